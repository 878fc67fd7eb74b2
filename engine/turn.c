/*
 * turn.c - several kilns on one working tree: who may write a step's outputs now.
 *
 * Steps of the host write in the tree itself, so two kilns that run one at once would mix their
 * outputs and store the mixture. While a step runs or is restored its kiln holds a write lock,
 * while something runs that needs it, a read lock: open file description locks (fcntl(2),
 * F_OFD_SETLK) on one byte a step of one file in the project's state directory, at an offset made
 * from the step's name. The kernel drops them when a kiln dies. All or none are taken and nobody
 * waits while holding one, so there is no deadlock; who does not get them tries again a little
 * later, and by then mostly finds the result in the cache.
 *
 * The locks belong to the file description, that is to this engine as a whole; which of its steps
 * hold what is counted in the nodes.
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MS 25

static void wait_over(uv_timer_t *timer);

void turn_open(struct engine *e)
{
    e->turn_fd = -1;
    uv_timer_init(e->loop, &e->turn_timer);
    e->turn_timer.data = e;
    if (!e->opt.records || e->opt.mode == ENGINE_PLAN)
        return;
    char *path = path_join(records_dir(e->opt.records), "steps.lock");
    e->turn_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
}

void turn_close(struct engine *e)
{
    if (e->turn_fd >= 0)
        close(e->turn_fd);
    vec_release(&e->turn_waiters);
}

/* Never 0, which stands for "not known yet". */
static uint64_t place_of(const struct node *node)
{
    struct digest id = digest_of(node->exec->name, strlen(node->exec->name));
    uint64_t offset;
    memcpy(&offset, id.hash, sizeof offset);
    offset &= INT64_MAX >> 1;
    return offset ? offset : 1;
}

/* Brings the kernel's lock in line with what the node's counts say. Without a lock file, or where
 * locks are not to be had, everybody may. */
static bool apply(struct engine *e, struct node *node)
{
    if (e->turn_fd < 0)
        return true;
    if (!node->turn_at)
        node->turn_at = place_of(node);
    struct flock lock = {.l_type = (short)(node->writing     ? F_WRLCK
                                           : node->n_readers ? F_RDLCK
                                                             : F_UNLCK),
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)node->turn_at,
                         .l_len = 1};
    if (fcntl(e->turn_fd, F_OFD_SETLK, &lock) == 0)
        return true;
    return errno != EAGAIN && errno != EACCES;
}

/* The kernel goes through all locks of a file for each that it is asked for, and a pipeline may
 * have a million needs: it is asked for the first reader and the last, of what there is to read. */
static bool start_reading(struct engine *e, struct node *dep)
{
    return dep->n_readers++ > 0 || !dep->exec->n_outputs || apply(e, dep);
}

static void stop_reading(struct engine *e, struct node *node, size_t n_deps)
{
    for (size_t i = 0; i < n_deps; i++) {
        struct node *dep = &e->nodes.v[node->deps.v[i]];
        if (--dep->n_readers == 0 && dep->exec->n_outputs)
            apply(e, dep);
    }
}

bool turn_take(struct engine *e, struct node *node)
{
    size_t n = 0;
    node->writing = true;
    bool ok = apply(e, node);
    for (; ok && n < node->deps.n; n++)
        ok = start_reading(e, &e->nodes.v[node->deps.v[n]]);
    if (ok)
        return true;
    stop_reading(e, node, n);
    node->writing = false;
    apply(e, node);
    return false;
}

void turn_give(struct engine *e, struct node *node)
{
    if (!node->writing)
        return;
    node->writing = false;
    apply(e, node);
    stop_reading(e, node, node->deps.n);
}

/* Once is enough. */
static void tell(struct engine *e, const struct instance *in, const char *cache)
{
    bool *told = cache ? &e->cache_told : &e->turn_told;
    const char *step = e->nodes.v[in->node].exec->name;
    if (*told)
        return;
    *told = true;
    char *text =
        cache ? mem_printf("step %s waits for the cache directory \"%s\", which is in use", step,
                           cache)
              : mem_printf("another kiln is at work on step %s in this tree: waiting for it", step);
    engine_notice(e, "info", text);
    free(text);
}

void turn_wait(struct engine *e, struct instance *in, const char *cache)
{
    tell(e, in, cache);
    in->state = READY;
    in->waited = true;
    vec_push(&e->turn_waiters, in);
    if (!uv_is_active((uv_handle_t *)&e->turn_timer))
        uv_timer_start(&e->turn_timer, wait_over, AGAIN_MS, 0);
}

void turn_forget(struct engine *e, const struct instance *in)
{
    for (size_t i = 0; i < e->turn_waiters.n; i++) {
        if (e->turn_waiters.v[i] == in)
            e->turn_waiters.v[i] = NULL;
    }
}

static void wait_over(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    vec_each (struct instance *, in, &e->turn_waiters) {
        if (*in)
            schedule_ready(e, *in);
    }
    vec_clear(&e->turn_waiters);
    schedule_pump(e);
}
