/*
 * outputs_batch.c - the files of outputs, moved by several hands (see outputs_private.h).
 */
#include "base/crew.h"
#include "cache/outputs_private.h"

/* What one hand takes at a time. */
#define TASK_FILES  64
#define TASK_BYTES  ((uint64_t)4 << 20)
#define ALONE_FILES 16 /* up to these many and TASK_BYTES no second thread is worth its start */

static void hand_work(void *ctx, size_t index)
{
    struct batch *batch = ctx;
    struct hand *hand = &batch->hands[index];
    while (!atomic_load(&batch->stop)) {
        size_t i = atomic_fetch_add(&batch->next, 1);
        if (i >= batch->tasks.n)
            return;
        if (!hand->tools.hasher)
            cache_hand_init(&hand->tools);
        hand->answer = CACHE_HIT;
        batch->work(batch->ctx, hand, &batch->tasks.v[i]);
        if (hand->rc != 0 || hand->answer == CACHE_MISS)
            atomic_store(&batch->stop, true);
    }
}

int batch_run(struct batch *batch, enum cache_answer *answer, struct err *err)
{
    int rc = 0;
    bool alone =
        batch->tasks.n < 2 || (batch->n_files <= ALONE_FILES && batch->n_bytes <= TASK_BYTES);
    size_t n = alone ? 1 : crew_size();
    atomic_store(&batch->next, 0);
    crew_run(n < HANDS ? n : HANDS, hand_work, batch);
    for (size_t i = 0; i < HANDS; i++) {
        struct hand *hand = &batch->hands[i];
        if (!hand->tools.hasher)
            continue; /* it came too late for a task */
        if (hand->rc != 0 && rc == 0) {
            rc = hand->rc;
            err_move(err, &hand->err);
        }
        if (hand->answer == CACHE_MISS)
            *answer = CACHE_MISS;
    }
    vec_clear(&batch->tasks);
    arena_release(&batch->arena);
    batch->n_files = 0;
    batch->n_bytes = 0;
    return rc;
}

/* In pieces small enough to be shared out. */
void batch_add(struct batch *batch, const char *path, const char *at, bool fresh,
               struct tree_entry *entries, size_t n)
{
    struct task task = {.path = arena_strdup(&batch->arena, path),
                        .at = arena_strdup(&batch->arena, at),
                        .fresh = fresh};
    size_t files = 0;
    uint64_t bytes = 0;
    for (size_t i = 0, from = 0; i < n; i++) {
        if (entries[i].kind == TREE_FILE) {
            files++;
            bytes += entries[i].digest.size;
        }
        if (files < TASK_FILES && bytes < TASK_BYTES && i + 1 < n)
            continue;
        task.entries = entries + from;
        task.n = i + 1 - from;
        if (files > 0)
            vec_push(&batch->tasks, task);
        batch->n_files += files;
        batch->n_bytes += bytes;
        files = 0;
        bytes = 0;
        from = i + 1;
    }
}

void batch_release(struct batch *batch)
{
    vec_release(&batch->tasks);
    arena_release(&batch->arena);
    for (size_t i = 0; i < HANDS; i++) {
        if (batch->hands[i].tools.hasher)
            cache_hand_release(&batch->hands[i].tools);
        err_release(&batch->hands[i].err);
    }
}
