/*
 * driver_answers.h - the driver's answers to the questions of views, as the script has told them:
 * a part of driver.c.
 *
 *     record ID TRIGGER STATUS|- AT_MS MS PASSED CACHED FAILED SKIPPED SAVED_MS   a run on record
 *     facts DISK LIMIT GC_BYTES GC_RESULTS                               of the cache
 *     input PATH BYTES same|changed|added|removed
 *     inputs                                                             forgets them
 *     key STEP HEX|-                                                     that it has now
 *     diff PATH|* TEXT                          *: of every other; escapes as in "log"
 *     stored STEP 1|2 MS|- TEXT                 the cache has that too as the log of its results
 *     gone STEP WHY                             the cache has none of it any more
 *     use STEP CPU_MS BYTES                     what it uses as it runs, and then has used
 *
 * Every run of the script is on record with its events, too. Answers come when the script has
 * nothing more to say, and before a sync is answered.
 */
#ifndef KILN_TESTS_SCREEN_DRIVER_ANSWERS_H
#define KILN_TESTS_SCREEN_DRIVER_ANSWERS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "engine/command.h"

#include <stdio.h>
#include <string.h>

struct told_log {
    char *path; /* in the driver's directory */
    struct chunks chunks;
    const char *gone;
};

struct told_use {
    const char *step;
    struct usage_facts facts;
};

struct told {
    struct arena arena;
    VEC(struct run_facts) records; /* newest last */
    struct cache_facts facts;
    VEC(struct input_file) inputs;
    struct map keys;
    struct map diffs;  /* path -> text */
    struct map logs;   /* step -> struct told_log */
    struct map events; /* run -> struct buf, lines */
    VEC(struct question *) questions;
    VEC(struct told_use) uses; /* a step's place and 1 is its pid */
    uint64_t now_ns;
};

static bool told_key(struct told *told, const char *step, char hex[DIGEST_HEX + 1])
{
    const char *key = map_get_str(&told->keys, step);
    if (key)
        memcpy(hex, key, strnlen(key, DIGEST_HEX) + 1);
    return key != NULL;
}

static void told_inputs(const struct told *told, uint64_t from, size_t n, struct inputs_page *page)
{
    *page = (struct inputs_page){.known = told->inputs.n > 0, .current = true, .compared = true};
    page->v = arena_zalloc(&page->arena, n + 1, sizeof *page->v);
    for (size_t i = 0; i < told->inputs.n; i++) {
        page->changed += told->inputs.v[i].change != INPUT_SAME;
        page->files += told->inputs.v[i].change != INPUT_REMOVED;
        page->bytes += told->inputs.v[i].bytes;
    }
    for (int all = 0; all < 2; all++) {
        for (size_t i = 0; i < told->inputs.n; i++) {
            const struct input_file *file = &told->inputs.v[i];
            if (all ? file->change == INPUT_REMOVED : file->change == INPUT_SAME)
                continue;
            if (from > 0)
                from--;
            else if (page->n < n)
                page->v[page->n++] = *file;
        }
    }
}

/* Notes an event of a run. */
static void told_event(struct told *told, const struct event *event)
{
    struct buf *lines = event->run ? map_get_str(&told->events, event->run) : NULL;
    if (!event->run)
        return;
    if (!lines) {
        lines = mem_zalloc(1, sizeof *lines);
        map_put_str(&told->events, event->run, lines);
    }
    event_json(event, NULL, lines);
}

static void told_run(const struct told *told, struct question *q)
{
    const struct buf *lines = map_get_str(&told->events, q->run);
    for (size_t at = 0, n; lines && at < lines->len; at += n + 1) {
        struct arena arena = ARENA_INIT;
        struct event event;
        n = (size_t)((const char *)memchr(lines->data + at, '\n', lines->len - at) - lines->data) -
            at;
        if (event_parse(lines->data + at, n, &arena, &event, NULL) == 0)
            q->event(q->ctx, &event);
        arena_release(&arena);
        q->found = true;
    }
    q->error = "it is not on record";
}

static const char *told_diff(const struct told *told, const char *path)
{
    const char *text = map_get_str(&told->diffs, path);
    text = text ? text : map_get_str(&told->diffs, "*");
    return text ? text : "";
}

static struct told_log *told_log_of(struct told *told, const char *step)
{
    struct told_log *log = map_get_str(&told->logs, step);
    if (!log) {
        log = mem_zalloc(1, sizeof *log);
        map_put_str(&told->logs, step, log);
    }
    return log;
}

/* Adds to the log of a step's results. */
static void told_stored(struct told *told, const char *dir, const char *step, int stream,
                        uint64_t time_ns, const struct buf *text)
{
    struct told_log *log = told_log_of(told, step);
    if (!log->path)
        log->path = mem_printf("%s/stored-%s", dir, step);
    FILE *file = fopen(log->path, log->chunks.end == 0 ? "w" : "a");
    fwrite(text->data, 1, text->len, file);
    fclose(file);
    chunks_add(&log->chunks, log->chunks.end, text->len, stream, time_ns);
}

static void told_log(const struct told *told, struct question *q)
{
    const struct told_log *log = map_get_str(&told->logs, q->step);
    q->found = !log || !log->gone;
    q->error = log ? log->gone : NULL;
    q->log = log ? log->path : NULL;
    q->start_ns = 1;
    for (size_t i = 0; log && i < log->chunks.list.n; i++) {
        const struct chunk *chunk = &log->chunks.list.v[i];
        uint64_t end = i + 1 < log->chunks.list.n ? chunk[1].offset : log->chunks.end;
        chunks_add(&q->chunks, chunk->offset, end - chunk->offset, chunk->stream, chunk->time_ns);
    }
}

static struct told_use *told_use_of(struct told *told, const char *step)
{
    vec_each (struct told_use, use, &told->uses) {
        if (strcmp(use->step, step) == 0)
            return use;
    }
    struct told_use use = {.step = arena_strdup(&told->arena, step)};
    vec_push(&told->uses, use);
    return &vec_last(&told->uses);
}

static int64_t told_pid(struct told *told, const char *step)
{
    return told_use_of(told, step) - told->uses.v + 1;
}

static void told_usage(const struct told *told, struct question *q)
{
    q->usage = arena_zalloc(&q->arena, q->n_pids + 1, sizeof *q->usage);
    for (size_t i = 0; i < q->n_pids; i++)
        q->usage[i] = told->uses.v[q->pids[i] - 1].facts;
    q->usage_ns = told->now_ns;
}

static void told_answer(struct told *told, struct question *q)
{
    q->found = true;
    switch (q->kind) {
    case QUESTION_RUNS:
        q->n_runs = told->records.n;
        q->runs = arena_zalloc(&q->arena, q->n_runs + 1, sizeof *q->runs);
        for (size_t i = 0; i < q->n_runs; i++)
            q->runs[i] = told->records.v[q->n_runs - 1 - i];
        break;
    case QUESTION_RUN:
        q->found = false;
        told_run(told, q);
        break;
    case QUESTION_CACHE:
        q->cache = told->facts;
        q->found = told->facts.path != NULL;
        q->error = "nobody has told";
        break;
    case QUESTION_DIFF: q->text = told_diff(told, q->path); break;
    case QUESTION_LOG: told_log(told, q); break;
    case QUESTION_USAGE: told_usage(told, q); break;
    case QUESTION_KINDS: break;
    }
    q->done(q);
}

static void told_answer_all(struct told *told)
{
    while (told->questions.n > 0)
        told_answer(told, vec_pop(&told->questions));
}

static void told_release(struct told *told)
{
    told_answer_all(told);
    vec_release(&told->questions);
    vec_release(&told->uses);
    vec_release(&told->records);
    vec_release(&told->inputs);
    map_release(&told->keys);
    map_release(&told->diffs);
    map_each (entry, &told->logs) {
        struct told_log *log = entry->value;
        chunks_release(&log->chunks);
        free(log->path);
        free(log);
    }
    map_release(&told->logs);
    map_each (entry, &told->events) {
        buf_release(entry->value);
        free(entry->value);
    }
    map_release(&told->events);
    arena_release(&told->arena);
}

#endif
