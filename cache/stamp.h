/*
 * stamp.h - what stat(2) tells of a file, as far as it says whether the content is still the same.
 */
#ifndef KILN_CACHE_STAMP_H
#define KILN_CACHE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* What identifies the content of a file as long as it does not change. */
struct stamp {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    uint32_t mode;
};

struct stamp stamp_of(const struct stat *st);
bool stamp_eq(const struct stamp *a, const struct stamp *b);
/* Whether a digest that was begun at recorded_ns (CLOCK_REALTIME) still says what a file with that
 * same stamp holds: the racy rule, see stamp.c. */
bool stamp_settled(const struct stamp *stamp, int64_t recorded_ns);
/* As recorded_ns: no stamp is old enough for what was read to be trusted by it. */
#define NEVER_SETTLED INT64_C(0)

#endif
