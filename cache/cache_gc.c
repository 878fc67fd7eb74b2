/*
 * cache_gc.c - making the disk cache smaller while others work in it.
 *
 * Nobody is locked out. A file goes only when nobody used it since the oldest commit or restore
 * that goes on began (cache_use.c), nor since gc did, and in three steps: it is renamed into tmp/,
 * looked at again, and removed when it still is as old as it was in the plan. Somebody who puts a
 * blob that is there touches it and looks whether it still is: either the touch comes before gc's
 * second look, then the file is brought back, or after, then it is missed and written anew.
 */
#include "cache/cache_gc.h"
#include "cache/unfinished.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/box_dir.h"
#include "cache/cache_gc_plan.h"
#include "cache/statcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define DAY_S     INT64_C(86400)

#define BAD_AGE_S      (7 * DAY_S)
#define BAD_AGE_FULL_S INT64_C(3600)
#define TMP_AGE_S      (7 * DAY_S) /* directories: files go when the cache is opened */
#define STAT_AGE_S     (30 * DAY_S)
#define GIT_AGE_S      (30 * DAY_S)
#define POOL_AGE_S     INT64_C(3600) /* what is about to be asked for again */

#define TIDY_PAUSE_S   10
#define RESCUE_PAUSE_S 60
#define ASK_AGAIN      256 /* removals between two looks at who is at work */

int cache_gc_lock(struct cache *cache, bool wait)
{
    int fd = openat(cache->root_fd, "gc", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (cache_flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0)
        return fd;
    int errnum = errno;
    close(fd);
    errno = errnum;
    return -1;
}

struct gc {
    struct cache *cache;
    const struct gc_options *options;
    struct gc_report *report;
    struct gc_plan plan;
    int64_t keep;   /* what was used from here on stays, whoever looks idle by now */
    uint64_t freed; /* of what the plan counts */
    int gate;
    size_t *result_item; /* results that go -> their item + 1 */
};

/* -- taking away ------------------------------------------------------------------------------- */

/* Whether the file rel of dirfd is gone now, or was before; false when somebody used it since. */
static bool take_away(const struct gc *gc, int dirfd, const struct cache_file *file)
{
    struct cache *cache = gc->cache;
    char rel[CACHE_REL_SIZE], name[CACHE_NAME_SIZE];
    struct stat st;
    cache_rel(&file->digest, rel);
    if (fstatat(dirfd, rel, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    if (cache_mtime_ns(&st) != file->mtime_ns)
        return false;
    cache_unique_name(cache, "gc", name);
    cache_gate_shut(gc->gate, true);
    if (renameat(dirfd, rel, cache->tmp_fd, name) != 0) {
        int errnum = errno;
        cache_gate_shut(gc->gate, false);
        return errnum == ENOENT;
    }
    bool same = fstatat(cache->tmp_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                cache_mtime_ns(&st) == file->mtime_ns;
    if (!same && linkat(cache->tmp_fd, name, dirfd, rel, 0) != 0 && errno != EEXIST) {
        /* No links here: then over what may have been put there meanwhile, which is the same. */
        (void)renameat(cache->tmp_fd, name, dirfd, rel);
    }
    cache_gate_shut(gc->gate, false);
    (void)unlinkat(cache->tmp_fd, name, 0);
    return same;
}

/* What was used from here on stays. */
static int64_t keep_from(struct cache *cache)
{
    int64_t oldest = cache_use_oldest(cache), ns;
    if (oldest == INT64_MAX || __builtin_mul_overflow(oldest - TOUCH_AGE_S, SECOND_NS, &ns))
        return INT64_MAX;
    return ns;
}

/*
 * The lists are made one after the other, so a commit that ends meanwhile may have its blobs in one
 * and not its result in the other: what it touched must stay even when nobody is at work once the
 * lists are there. If it was at work when they were begun, this says so; if it began later, nothing
 * it touched is older than now.
 */
static int begin(struct gc *gc, struct err *err)
{
    int64_t now = cache_use_now(gc->cache), at_work = keep_from(gc->cache);
    gc->keep = now < at_work ? now : at_work;
    return gc_plan_count(&gc->plan, gc->cache, err);
}

static void add_derived(struct gc *gc, const struct derived *derived)
{
    struct gc_report *report = gc->report;
    bool snapshot = derived->kind == GC_SNAPSHOT;
    struct gc_item item = {.kind = derived->kind,
                           .name = arena_strdup(&report->arena, derived->name),
                           .used_ns = derived->used_ns,
                           .bytes = derived->bytes,
                           .result = SIZE_MAX};
    report->removed.snapshots += snapshot ? 1 : 0;
    report->removed.images += derived->kind == GC_SNAPSHOT ? 0 : 1;
    *(snapshot ? &report->removed.snapshot_bytes : &report->removed.image_bytes) += item.bytes;
    report->removed.disk_bytes += item.bytes;
    gc->freed += item.bytes;
    vec_push(&report->items, item);
}

static void add_item(struct gc *gc, const struct gc_entry *entry)
{
    struct gc_plan *plan = &gc->plan;
    struct gc_report *report = gc->report;
    bool blob = entry->kind == GC_BLOB;
    const struct cache_file *file =
        blob ? &plan->blobs.v[entry->index] : &plan->results.v[entry->index];
    struct gc_item item = {.kind = entry->kind,
                           .digest = file->digest,
                           .used_ns = entry->used_ns,
                           .bytes = cache_on_disk(file->digest.size),
                           .result = SIZE_MAX};
    if (blob) {
        uint32_t owner = plan->marks[entry->index].owner;
        if (owner != UINT32_MAX && gc->result_item[owner] > 0)
            item.result = gc->result_item[owner] - 1;
        report->removed.blobs++;
    } else {
        const struct gc_origin *origin = &plan->origins[entry->index];
        gc->result_item[entry->index] = report->items.n + 1;
        if (origin->step) {
            item.step = arena_strdup(&report->arena, origin->step);
            item.root = arena_strdup(&report->arena, origin->root);
        }
        report->removed.actions++;
    }
    report->removed.bytes += file->digest.size;
    report->removed.disk_bytes += item.bytes;
    gc->freed += item.bytes;
    vec_push(&report->items, item);
}

/* Takes the entry away and reports it, or only reports it. */
static void collect_entry(struct gc *gc, const struct gc_entry *entry)
{
    struct gc_plan *plan = &gc->plan;
    struct cache *cache = gc->cache;
    bool dry_run = gc->options->dry_run;
    if (entry->kind == GC_BLOB) {
        if (!plan->marks[entry->index].spared &&
            (dry_run || take_away(gc, cache->cas_fd, &plan->blobs.v[entry->index])))
            add_item(gc, entry);
    } else if (entry->kind == GC_RESULT) {
        if (dry_run || take_away(gc, cache->ac_fd, &plan->results.v[entry->index]))
            add_item(gc, entry);
        else
            gc_plan_spare(plan, cache, entry->index);
    } else {
        const struct derived *derived = &plan->derived.items.v[entry->index];
        if (dry_run || derived_take(cache, derived))
            add_derived(gc, derived);
    }
}

static void collect(struct gc *gc)
{
    const struct gc_plan *plan = &gc->plan;
    uint64_t total = plan->stats.disk_bytes, target = gc->report->target;
    int64_t keep = INT64_MAX;
    gc->result_item = mem_zalloc(plan->results.n + 1, sizeof(*gc->result_item));
    gc->gate = gc->options->dry_run ? -1 : cache_gate_open(gc->cache);
    gc->freed += plan->loose;
    for (size_t i = 0; i < plan->order.n && (target == 0 || total - gc->freed > target); i++) {
        if (i % ASK_AGAIN == 0)
            keep = keep_from(gc->cache);
        if (plan->order.v[i].used_ns >= (keep < gc->keep ? keep : gc->keep))
            break;
        collect_entry(gc, &plan->order.v[i]);
    }
    if (gc->gate >= 0)
        close(gc->gate);
    if (!gc->options->dry_run)
        derived_sweep_pool(gc->cache, 0);
    gc->report->removed.snapshot_bytes += plan->loose;
    gc->report->removed.disk_bytes += plan->loose;
    gc->report->in_use = total - gc->freed > target;
}

/* -- what is no content ------------------------------------------------------------------------ */

struct sweep {
    struct gc *gc;
    const char *sub;
    enum gc_kind kind;
    int64_t older_than_s; /* CLOCK_REALTIME */
};

static bool project_is_gone(int dirfd, const char *name)
{
    struct stat st;
    char *root = NULL;
    bool gone = !statcache_check(dirfd, name, &root) ||
                (lstat(root, &st) != 0 && (errno == ENOENT || errno == ENOTDIR));
    free(root);
    return gone;
}

static int sweep_cb(void *ctx, int dirfd, const char *name)
{
    struct sweep *sweep = ctx;
    struct gc_report *report = sweep->gc->report;
    struct stat st;
    if (sweep->kind == GC_TMP && (unfinished_is_note(name) || cache_is_locked_kind(name)))
        return 0; /* somebody may have it for long, and others look after it */
    /* A stat cache is written beside its place: a name with a dot is not one yet. */
    bool unfinished = sweep->kind == GC_STAT && *name == '.';
    int64_t older_than_s = unfinished ? (int64_t)time(NULL) - TMP_AGE_S : sweep->older_than_s;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_mtime >= older_than_s ||
        (sweep->kind == GC_STAT && !unfinished && !project_is_gone(dirfd, name)))
        return 0;
    if (!sweep->gc->options->dry_run && file_remove_tree(dirfd, name, NULL) != 0)
        return 0;
    struct gc_item item = {.kind = sweep->kind,
                           .name = arena_printf(&report->arena, "%s/%s", sweep->sub, name),
                           .used_ns = cache_mtime_ns(&st),
                           .bytes = cache_on_disk(S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0),
                           .result = SIZE_MAX};
    report->others_bytes += item.bytes;
    vec_push(&report->items, item);
    return 0;
}

static void sweep(struct gc *gc, const char *sub, enum gc_kind kind, int64_t age_s)
{
    struct sweep sweep = {.gc = gc, .sub = sub, .kind = kind};
    sweep.older_than_s = (int64_t)time(NULL) - age_s;
    (void)cache_each_name(gc->cache->root_fd, sub, sweep_cb, &sweep); /* it may not be there */
}

/* -- how far ----------------------------------------------------------------------------------- */

/* Finds the target; slack: come down a bit further when anything is to be done. */
static void aim(struct gc *gc, const struct cache_limits *limits, bool slack)
{
    struct gc_report *report = gc->report;
    uint64_t total = report->before.disk_bytes;
    report->target = total;
    if (gc->options->size != GC_TO_LIMIT) {
        report->over_limit = total > gc->options->size ? total - gc->options->size : 0;
        report->target = total - report->over_limit;
        return;
    }
    if (limits->limit > 0 && total > limits->limit) {
        report->over_limit = total - limits->limit;
        report->target = slack ? limits->limit - limits->limit / 10 : limits->limit;
    }
    if (limits->missing > 0 && total > limits->floor) {
        uint64_t most = total - limits->floor;
        report->disk_missing = limits->missing < most ? limits->missing : most;
        if (total - report->disk_missing < report->target)
            report->target = total - report->disk_missing;
    }
}

static int run(struct gc *gc, const struct cache_limits *limits, bool slack, struct err *err)
{
    struct gc_report *report = gc->report;
    int rc = begin(gc, err);
    if (rc != 0)
        return rc;
    report->before = gc->plan.stats;
    report->before.limit_bytes = limits->limit;
    aim(gc, limits, slack);
    bool wanted = report->target < report->before.disk_bytes;
    if (wanted) {
        gc_plan_order(&gc->plan, gc->cache);
        collect(gc);
    }
    sweep(gc, "bad", GC_BAD, wanted ? BAD_AGE_FULL_S : BAD_AGE_S);
    sweep(gc, "stat", GC_STAT, STAT_AGE_S);
    sweep(gc, "git", GC_GIT, GIT_AGE_S);
    sweep(gc, "tmp", GC_TMP, TMP_AGE_S);
    if (!gc->options->dry_run) {
        derived_tidy(gc->cache);
        derived_sweep_pool(gc->cache, POOL_AGE_S);
        box_dir_sweep(gc->cache, BOX_DIR_KEPT_S);
        cache_size_set(gc->cache, gc->plan.stats.disk_bytes - gc->freed);
    }
    return 0;
}

static void release(struct gc *gc)
{
    gc_plan_release(&gc->plan);
    free(gc->result_item);
}

static int refused(const struct cache *cache, int errnum, struct err *err)
{
    return err_sys(err, errnum, "cannot collect in the cache at %s", cache->path);
}

int cache_gc(struct cache *cache, const struct gc_options *options, struct gc_report *report,
             struct err *err)
{
    struct gc gc = {.cache = cache, .options = options, .report = report};
    struct cache_limits limits;
    *report = (struct gc_report){0};
    int rc = cache_limits(cache, &limits, err);
    if (rc != 0 || cache->root_fd < 0)
        return rc;
    int lock = -1;
    if (!options->dry_run) {
        if (cache->read_only)
            return refused(cache, EROFS, err);
        lock = cache_gc_lock(cache, true);
        if (lock < 0)
            return refused(cache, errno, err);
    }
    rc = run(&gc, &limits, false, err);
    if (lock >= 0)
        close(lock);
    release(&gc);
    return rc;
}

void gc_report_release(struct gc_report *report)
{
    vec_release(&report->items);
    arena_release(&report->arena);
}

/* -- by itself --------------------------------------------------------------------------------- */

/* Not again and again when what is in use keeps it from coming down. */
static bool was_just_done(const struct cache *cache)
{
    struct stat st;
    time_t now = time(NULL);
    return fstatat(cache->root_fd, "gc", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime <= now &&
           st.st_mtime > now - TIDY_PAUSE_S;
}

static bool is_large(struct cache *cache, const struct cache_limits *limits)
{
    uint64_t about;
    if (!cache_size_estimate(cache, &about))
        return true; /* then it is counted */
    return (limits->limit > 0 && about > limits->limit) ||
           (limits->missing > 0 && about > limits->floor + limits->floor / 4);
}

int cache_tidy(struct cache *cache, bool *did, struct gc_report *report, struct err *err)
{
    struct gc_options options = {.size = GC_TO_LIMIT};
    struct gc gc = {.cache = cache, .options = &options, .report = report};
    struct cache_limits limits;
    *report = (struct gc_report){0};
    *did = false;
    if (cache->read_only || !atomic_load(&cache->stored) || was_just_done(cache))
        return 0;
    atomic_store(&cache->stored, false);
    cache_size_flush(cache);
    int rc = cache_limits(cache, &limits, err);
    if (rc != 0 || !is_large(cache, &limits))
        return rc;
    int lock = cache_gc_lock(cache, false);
    if (lock < 0)
        return 0; /* somebody is at it */
    rc = run(&gc, &limits, true, err);
    *did = rc == 0 && report->items.n > 0;
    if (*did)
        (void)futimens(lock, NULL);
    close(lock);
    release(&gc);
    return rc;
}

/* -- a full disk ------------------------------------------------------------------------------- */

/* Not more often than once in a while: what fills the disk may be something else. */
static bool may_make_room(struct cache *cache)
{
    int_fast64_t now = (int_fast64_t)(clock_monotonic_ns() / (uint64_t)SECOND_NS) + 1;
    int_fast64_t last = atomic_load(&cache->rescued);
    return (last == 0 || now - last >= RESCUE_PAUSE_S) &&
           atomic_compare_exchange_strong(&cache->rescued, &last, now);
}

static bool give_up_a_portion(struct gc *gc, uint64_t need)
{
    if (begin(gc, NULL) != 0)
        return false;
    uint64_t total = gc->plan.stats.disk_bytes;
    if (need > total / 2)
        return false;
    gc->report->target = total - (total / 10 > need ? total / 10 : need);
    gc_plan_order(&gc->plan, gc->cache);
    collect(gc);
    cache_size_set(gc->cache, total - gc->freed);
    return gc->freed >= need;
}

bool cache_make_room(struct cache *cache, uint64_t need)
{
    struct gc_options options = {.size = GC_TO_LIMIT};
    struct gc_report report = {0};
    struct gc gc = {.cache = cache, .options = &options, .report = &report};
    if (!may_make_room(cache))
        return false;
    int lock = cache_gc_lock(cache, false);
    bool waited = lock < 0 && errno == EWOULDBLOCK;
    if (waited)
        lock = cache_gc_lock(cache, true);
    /* Who had the lock has just made room, most likely. */
    bool room = waited || (lock >= 0 && give_up_a_portion(&gc, cache_on_disk(need + need / 4)));
    if (lock >= 0)
        close(lock);
    release(&gc);
    gc_report_release(&report);
    return room;
}
