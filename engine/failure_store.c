/*
 * failure_store.c - see failure_store.h. What is left for later:
 *
 *     the places' paths, each with a NUL, and one more NUL; the Tree message
 *
 * It counts while the record says "unfinished"; what it claims is checked as it is stored.
 */
#include "engine/failure_store.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/kept_inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES  ((size_t)50000)
#define MAX_BYTES  ((uint64_t)512 << 20)
#define MAX_PLACES ((size_t)SNAPSHOT_LAYERS_MAX + 1)
#define LEFT_MAX   ((size_t)64 << 20)

void failure_store_place(struct failure_store *store, const char *place)
{
    store->places = mem_realloc(store->places, store->n_places + 1, sizeof *store->places);
    store->places[store->n_places++] = mem_strdup(place);
}

static char *path_of(const char *run_dir, const char *step, const char *ending)
{
    char name[DIGEST_HEX + 6];
    failure_name(step, name);
    return mem_printf("%s/failed/%.*s%s", run_dir, DIGEST_HEX, name, ending);
}

static void write_beside(const struct failure_store *store, const char *ending,
                         const struct buf *bytes)
{
    char *path = path_of(store->run_dir, store->failure.exec.name, ending);
    char *folder = path_join(store->run_dir, "failed");
    /* Not the run's directory as well: it may have been removed meanwhile. */
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        (void)!file_write_atomic(path, bytes->data, bytes->len, 0600, NULL);
    free(folder);
    free(path);
}

void failure_store_note(const struct failure_store *store)
{
    struct buf text = BUF_INIT;
    failure_text(&store->failure, &text);
    write_beside(store, ".json", &text);
    buf_release(&text);
}

void failure_store_leave(const struct failure_store *store)
{
    struct buf left = BUF_INIT;
    for (size_t i = 0; i < store->n_places; i++)
        buf_add(&left, store->places[i], strlen(store->places[i]) + 1);
    buf_addc(&left, '\0');
    buf_add(&left, buf_str(&store->tree), store->tree.len);
    if (left.len <= LEFT_MAX)
        write_beside(store, ".tree", &left);
    buf_release(&left);
}

static void set_answer(struct failure_store *store, const struct kept_inputs_report *report)
{
    static const enum failure_inputs states[] = {[KEPT_INPUTS_WHOLE] = FAILURE_KEPT,
                                                 [KEPT_INPUTS_CHANGED] = FAILURE_CHANGED,
                                                 [KEPT_INPUTS_TOO_MUCH] = FAILURE_TOO_MUCH,
                                                 [KEPT_INPUTS_LATE] = FAILURE_UNFINISHED};
    struct failure *failure = &store->failure;
    failure->inputs = states[report->answer];
    failure->why = report->path ? arena_strdup(&failure->arena, report->path) : NULL;
    failure->files = report->files;
    failure->bytes = report->bytes;
}

void failure_store_run(struct failure_store *store, struct cache *cache,
                       const atomic_uint_fast64_t *until)
{
    struct failure *failure = &store->failure;
    struct kept_inputs_report report;
    struct err err = ERR_INIT;
    const struct kept_inputs_options options = {.step = failure->exec.name,
                                                .root = store->places[store->n_places - 1],
                                                .places = (const char *const *)store->places,
                                                .n_places = store->n_places,
                                                .max_files = MAX_FILES,
                                                .max_bytes = MAX_BYTES,
                                                .until = until};
    int rc = kept_inputs_put(cache, store->tree.data, store->tree.len, &options, &report, &err);
    if (rc == 0) {
        set_answer(store, &report);
    } else {
        bool ended = err.kind == ERR_CANCELLED || err.errnum == ECANCELED;
        failure->inputs = ended ? FAILURE_UNFINISHED : FAILURE_REFUSED;
        failure->why = ended ? NULL : arena_strdup(&failure->arena, err_text(&err));
    }
    free(report.path);
    err_release(&err);
    if (failure->inputs == FAILURE_UNFINISHED)
        failure_store_leave(store);
    failure_store_note(store);
    if (failure->inputs != FAILURE_UNFINISHED) {
        char *left = path_of(store->run_dir, failure->exec.name, ".tree");
        (void)unlink(left);
        free(left);
    }
}

/* What failure_store_leave() wrote. */
static bool parse_left(struct failure_store *store, const struct buf *left)
{
    size_t at = 0;
    while (at < left->len && left->data[at]) {
        const char *end = memchr(left->data + at, '\0', left->len - at);
        if (!end || left->data[at] != '/' || store->n_places == MAX_PLACES)
            return false;
        failure_store_place(store, left->data + at);
        at = (size_t)(end - left->data) + 1;
    }
    if (at >= left->len || !store->n_places)
        return false;
    buf_add(&store->tree, left->data + at + 1, left->len - at - 1);
    return true;
}

bool failure_store_take(struct failure_store *store, const char *run_dir, const char *step)
{
    struct buf left = BUF_INIT;
    bool found = false;
    char *path = path_of(run_dir, step, ".tree");
    *store = (struct failure_store){.run_dir = mem_strdup(run_dir)};
    bool whole = file_read(path, LEFT_MAX, &left, NULL) == 0 && parse_left(store, &left) &&
                 failure_read(run_dir, step, &store->failure, &found, NULL) == 0 && found &&
                 store->failure.inputs == FAILURE_UNFINISHED;
    buf_release(&left);
    free(path);
    return whole;
}

bool failure_finish(const char *run_dir, const char *step, struct cache *cache)
{
    struct failure_store store;
    bool taken = failure_store_take(&store, run_dir, step);
    if (taken)
        failure_store_run(&store, cache, NULL);
    failure_store_release(&store);
    return taken;
}

void failure_store_release(struct failure_store *store)
{
    snapshot_release(store->view);
    for (size_t i = 0; i < store->n_places; i++)
        free(store->places[i]);
    free(store->places);
    buf_release(&store->tree);
    failure_release(&store->failure);
    free(store->run_dir);
    *store = (struct failure_store){0};
}
