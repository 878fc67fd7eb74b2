/*
 * beneath.h - opening directories below another one without ever following a symbolic link.
 *
 * Private to cache/. Stateless; any thread. Paths are normalised and relative, "" is the directory
 * itself.
 */
#ifndef KILN_CACHE_BENEATH_H
#define KILN_CACHE_BENEATH_H

#include "base/err.h"

#include <stdbool.h>

/* Opens the directory at path below root_fd for reading; *fd is the caller's. With make, missing
 * directories are made. ERR_CONFIG naming the component that is missing, or is a symbolic link or
 * no directory; ERR_SYSTEM for the rest. */
int beneath_open(int root_fd, const char *path, bool make, int *fd, struct err *err) MUST_CHECK;

/* Opens the directory that holds path; *name is path's last component, inside path. Otherwise as
 * beneath_open(). */
int beneath_open_parent(int root_fd, const char *path, bool make, int *fd, const char **name,
                        struct err *err) MUST_CHECK;

#endif
