/*
 * file.h - whole files and paths: read, write atomically, make and remove directories, join and
 * normalise names.
 *
 * Paths are byte strings. Returned strings are new and freed by the caller. Thread safe.
 */
#ifndef KILN_BASE_FILE_H
#define KILN_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Adds the whole file to buf. More than max bytes is an error (ERR_SYSTEM, EFBIG); the text names
 * the path. */
int file_read(const char *path, size_t max, struct buf *buf, struct err *err) MUST_CHECK;
/* The same from an open descriptor, from its current place; name is for the message. */
int file_read_fd(int fd, const char *name, size_t max, struct buf *buf, struct err *err) MUST_CHECK;
/* Writes all n bytes, past EINTR, short writes and, by waiting, EAGAIN; returns 0, or -1 with
 * errno. */
int file_write_all(int fd, const void *bytes, size_t n) MUST_CHECK;
/* Replaces path in one step: a temporary name beside it, then rename. No fsync: integrity, not
 * durability. */
int file_write_atomic(const char *path, const void *bytes, size_t n, mode_t mode,
                      struct err *err) MUST_CHECK;
/* For a place that somebody named: a file is replaced as above, but what is a link, a pipe or a
 * device (/dev/stdout, /dev/null) is opened and written to, and stays what it is. What leads to our
 * own standard output or error goes there, behind what was written so far; stdio's is the caller's
 * to flush. */
int file_write_named(const char *path, const void *bytes, size_t n, mode_t mode,
                     struct err *err) MUST_CHECK;
/* Whether somebody may write to the file (fd is open for reading, changed its ctime in seconds)
 * without leaving a trace in its times: has it open for writing, or mapped. Where that can't be
 * asked (a file of somebody else, a file system without leases) nothing is known against it: false.
 */
bool file_has_writer(int fd, int64_t changed);
/* Names this boot of the machine: what a program had written when it died is there until the next,
 * in the order in which it was written; after it, perhaps. "" where that can't be told. */
#define BOOT_ID_SIZE 64
void file_boot_id(char id[BOOT_ID_SIZE]);
/* Makes the directory and its missing parents (existing is fine); the parents can be entered
 * whatever mode says. */
int file_mkdirs(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Removes name below dirfd (AT_FDCWD is fine), whatever it is, directories with all they hold;
 * never follows a link at name's last component or below, never empties a mount; unlocks
 * directories of the caller that forbid it; any depth; absent is fine. Stops at the first failure.
 * A name whose last component is empty, "." or ".." is refused (EINVAL). */
int file_remove_tree(int dirfd, const char *name, struct err *err) MUST_CHECK;

/* Joins two paths with one slash; b alone when it is absolute or a is "", a alone when b is "". */
char *path_join(const char *a, const char *b);
/* Normalises a relative path by its text: "./a//b/../c/" -> "a/c", "." -> "". NULL when it is
 * absolute or leads out ("..", "a/../.."). */
char *path_normalize(const char *path);
/* True when path is prefix itself or lies below it ("" is above everything). */
bool path_is_below(const char *path, const char *prefix);
/* The user's directory by the XDG Base Directory specification: $variable when absolute, else
 * $HOME/fallback, with
 * "/kiln" behind. NULL when neither is usable. */
char *path_xdg(const char *variable, const char *fallback);

#endif
