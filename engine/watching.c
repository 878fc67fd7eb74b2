/*
 * watching.c - from inotify's events to the wish for a round: marks at once, work when things are
 * quiet.
 *
 * Settling counts idle time, not events: a known file written and closed is taken up after a
 * millisecond, in which a program that writes many shows itself; what may be half of a change (a
 * new name, a removal, a write) after a few; a big burst (a checkout) when it has been quiet for
 * longer; and all of it when git no longer holds its index lock. A lock is as good as gone when it
 * is old, unless files are still being written one after the other: a big checkout takes its time.
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET_SAVED_MS 1
#define QUIET_MS       3
#define QUIET_BIG_MS   40
#define SMALL_BURST    8 /* events of a save, however an editor goes about it */
#define BIG_BURST      50
#define GIT_MS         15 /* between looks at git's lock */
#define GIT_PAUSE_MS   3000
#define GIT_LONGEST_MS 60000
#define LONGEST_MS \
    10000 /* never keep somebody waiting longer than this, however busy the tree is */

static void settled(uv_timer_t *timer);

static void settle_again(struct engine *e, bool saved)
{
    uint64_t quiet = e->n_settling > BIG_BURST                                    ? QUIET_BIG_MS
                     : saved && e->n_settling <= SMALL_BURST && !schedule_busy(e) ? QUIET_SAVED_MS
                                                                                  : QUIET_MS;
    uv_timer_start(&e->settle, settled, quiet, 0);
}

/* Where git keeps the lock of the index that the project's files are checked out from: beside a
 * .git directory, or where a .git file of a linked worktree or submodule points. NULL without a
 * repository. */
static char *find_git_lock(const char *root)
{
    char *lock = NULL;
    for (char *dir = mem_strdup(root); dir; *dir ? (void)0 : (free(dir), dir = NULL)) {
        struct stat st;
        char *git = path_join(dir, ".git");
        struct buf text = BUF_INIT;
        if (stat(git, &st) == 0 && S_ISDIR(st.st_mode)) {
            lock = path_join(git, "index.lock");
        } else if (file_read(git, 4096, &text, NULL) == 0 &&
                   strncmp(buf_str(&text), "gitdir: ", 8) == 0) {
            text.data[strcspn(text.data, "\n")] = '\0';
            char *place = path_join(dir, text.data + 8);
            lock = path_join(place, "index.lock");
            free(place);
        }
        buf_release(&text);
        free(git);
        if (lock) {
            free(dir);
            break;
        }
        *strrchr(dir, '/') = '\0';
    }
    return lock;
}

/* git holds the lock from the first file that it writes to the last; one that nobody removes is
 * soon not heeded. */
static bool git_is_busy(const struct engine *e)
{
    struct stat st;
    if (!e->git_lock || stat(e->git_lock, &st) != 0)
        return false;
    uint64_t since = (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
    uint64_t now = clock_realtime_ns() / 1000000;
    if (now < since + LONGEST_MS)
        return true;
    return now < since + GIT_LONGEST_MS &&
           (clock_monotonic_ns() - e->last_settling) / 1000000 < GIT_PAUSE_MS;
}

static void settled(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    if (git_is_busy(e)) {
        uv_timer_start(&e->settle, settled, GIT_MS, 0);
        return;
    }
    e->n_settling = 0;
    e->round_wanted = e->look_wanted = true;
    round_next(e);
}

static void something_happened(struct engine *e, bool saved)
{
    e->last_settling = clock_monotonic_ns();
    if (e->n_settling++ == 0)
        e->settling_since = e->last_settling;
    if ((e->last_settling - e->settling_since) / 1000000 < LONGEST_MS ||
        !uv_is_active((uv_handle_t *)&e->settle))
        settle_again(e, saved);
}

static void on_entry(void *ctx, uint32_t dir, const char *name, enum watch_what what, uint64_t tick)
{
    struct engine *e = ctx;
    bool known = worktree_mark(e->worktree, dir, name, tick);
    calm_restart(e);
    something_happened(e, known && what == WATCH_WRITTEN);
}

static void on_rescan(void *ctx, const char *reason, struct watch_clock clock)
{
    struct engine *e = ctx;
    worktree_mark_all(e->worktree, clock.tick);
    char *text = mem_printf("%s: everything is looked at again", reason);
    struct event event = {.type = EVENT_WATCH_DEGRADED, .u.degraded = {.reason = text}};
    emit(e, NULL, &event);
    free(text);
    something_happened(e, false);
}

static void on_degraded(void *ctx, const char *reason)
{
    struct event event = {.type = EVENT_WATCH_DEGRADED, .u.degraded = {.reason = reason}};
    emit(ctx, NULL, &event);
}

static void on_root_gone(void *ctx)
{
    struct engine *e = ctx;
    char *text = mem_printf("%s is gone: there is nothing left to watch", e->opt.root);
    engine_notice(e, "error", text);
    free(text);
    e->exit_code = 3;
    e->root_gone = true;
    if (!e->finished) {
        e->finished = true;
        e->opt.done(e->opt.ctx);
    }
}

int watching_open(struct engine *e, struct err *err)
{
    static const struct watch_callbacks callbacks = {on_entry, on_rescan, on_degraded,
                                                     on_root_gone};
    struct watch_options options = {.root = e->opt.root};
    if (!e->settle_open) {
        uv_timer_init(e->loop, &e->settle);
        e->settle.data = e;
        e->settle_open = true;
    }
    free(e->git_lock);
    e->git_lock = find_git_lock(e->opt.root);
    return watch_new(e->loop, &options, &callbacks, e, &e->watch, err);
}
