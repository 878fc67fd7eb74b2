/*
 * The racy rule. A file that is written twice within one tick of the filesystem's clock has the
 * same stamp both times. So a digest is trusted by its stamp only when mtime and ctime lie clearly
 * before the moment hashing began: no later write can have left that stamp. RACY_NS is well above
 * the coarsest tick of Linux' own clock (10 ms at HZ=100); a stamp that has whole seconds in both
 * times may come from a filesystem that keeps no more (FAT even rounds to two), and must be older
 * than COARSE_NS. A time in the future, or a clock that was set back, is never clearly before.
 */
#include "cache/stamp.h"

#define RACY_NS   (20 * INT64_C(1000000))
#define COARSE_NS (2 * SECOND_NS + RACY_NS)
#define SECOND_NS INT64_C(1000000000)

static int64_t ns_of(const struct timespec *t)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)t->tv_sec, SECOND_NS, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
        return INT64_MAX; /* far in the future: never trusted */
    return ns;
}

struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
        .mode = st->st_mode,
    };
}

bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->mode == b->mode;
}

bool stamp_settled(const struct stamp *stamp, int64_t recorded_ns)
{
    bool coarse = stamp->mtime_ns % SECOND_NS == 0 && stamp->ctime_ns % SECOND_NS == 0;
    int64_t limit;
    if (__builtin_sub_overflow(recorded_ns, coarse ? COARSE_NS : RACY_NS, &limit))
        return false;
    return stamp->mtime_ns < limit && stamp->ctime_ns < limit;
}
