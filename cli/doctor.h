/*
 * doctor.h - what "kiln doctor" looks at beside what isolation needs (runners/probe.h): what
 * watching, images and the cache do. Private to cmd_doctor.c, doctor_*.c and their tests.
 */
#ifndef KILN_CLI_DOCTOR_H
#define KILN_CLI_DOCTOR_H

#include "runners/probe.h"

#include <stdint.h>

/* Each fills in an empty probe. root: before the paths of settings; "" but in tests. */
void doctor_skopeo(const char *root, struct probe *probe);
/* project: a directory, or NULL where there is none. */
void doctor_inotify(const char *root, const char *project, struct probe *probe);
/* dir: the cache's; NULL where it has no place. Files come and go in it. */
void doctor_cache(const char *dir, struct probe *probe);
/* The clock, compared with that of dir's file system (NULL: alone). */
void doctor_clock(const char *dir, uint64_t now_ns, struct probe *probe);

/* A step in the sandbox, in a directory of its own in dir, which lies in the cache's. */
void doctor_box(const char *cache, const char *dir, struct probe *probe);

/* All that is shown as text, 80 columns wide. */
void doctor_text(const struct probe *const *probes, size_t n, bool utf8, bool color,
                 struct buf *out);
void doctor_json(const struct probe *const *probes, size_t n, bool works, struct buf *out);

#endif
