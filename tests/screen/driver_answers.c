#include "driver_answers.h"

#include "base/mem.h"
#include "driver_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool told_key(struct told *told, const char *step, char hex[DIGEST_HEX + 1])
{
    const char *key = map_get_str(&told->keys, step);
    if (key)
        memcpy(hex, key, strnlen(key, DIGEST_HEX) + 1);
    return key != NULL;
}

bool told_facts(const struct told *told, const char *step, struct step_facts *out)
{
    static const struct reason changed = {
        .kind = REASON_FILE, .subject = "tests/spec.md", .old = "9f2c41", .now = "c41d07"};
    *out = (struct step_facts){.cwd = "docs", .keyed = true, .since = "1"};
    const char **env = arena_zalloc(&out->arena, told->envs.n + 1, sizeof *env);
    for (size_t i = 0; i < told->envs.n; i++)
        if (strcmp(told->envs.v[i].step, step) == 0)
            env[out->n_env++] = told->envs.v[i].variable;
    out->env = env;
    out->reasons = &changed;
    out->n_reasons = out->all_reasons = 1;
    memset(out->input_root, 'a', DIGEST_HEX);
    if (out->n_env == 0)
        arena_release(&out->arena);
    return out->n_env > 0;
}

void told_inputs(const struct told *told, uint64_t from, size_t n, struct inputs_page *page)
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

void told_event(struct told *told, const struct event *event)
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

struct told_use *told_use_of(struct told *told, const char *step)
{
    vec_each (struct told_use, use, &told->uses) {
        if (strcmp(use->step, step) == 0)
            return use;
    }
    struct told_use use = {.step = arena_strdup(&told->arena, step)};
    vec_push(&told->uses, use);
    return &vec_last(&told->uses);
}

int64_t told_pid(struct told *told, const char *step)
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

static void told_box(const struct told *told, struct question *q)
{
    const char *text = map_get_str(&told->boxes, q->step);
    q->found = text != NULL;
    q->error = arena_printf(&q->arena,
                            "\"%s\" passed when it last ran: what a failure before that "
                            "left is gone",
                            q->step);
    for (const char *line = text; line && *line; line += strcspn(line, "\n"), line += *line == '\n')
        q->changed += *line == '=' && strncmp(line, "=made ", 6) != 0;
    q->text = q->kind == QUESTION_BOX || !text
                  ? text
                  : arena_printf(&q->arena, "%zu files taken into the working tree", q->changed);
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
    case QUESTION_BOX:
    case QUESTION_TAKE: told_box(told, q); break;
    case QUESTION_KINDS: break;
    }
    q->done(q);
}

void told_answer_all(struct told *told)
{
    while (told->questions.n > 0)
        told_answer(told, vec_pop(&told->questions));
}

void told_release(struct told *told)
{
    told_answer_all(told);
    vec_release(&told->questions);
    vec_release(&told->envs);
    vec_release(&told->uses);
    vec_release(&told->records);
    vec_release(&told->inputs);
    map_release(&told->keys);
    map_release(&told->diffs);
    map_release(&told->boxes);
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

static void do_record(struct told *told, char *rest)
{
    static const char *const statuses[] = {"passed", "failed", "cancelled"};
    struct arena *arena = &told->arena;
    struct run_facts run = {.id = arena_strdup(arena, word_take(&rest))};
    run.trigger = arena_strdup(arena, word_take(&rest));
    const char *status = word_take(&rest);
    run.status = status ? word_index(status, statuses, RUN_STATUS_N) : -1;
    run.time_ns = (uint64_t)((int64_t)EPOCH_NS + word_number(&rest) * 1000000);
    run.duration_ms = (uint64_t)word_number(&rest);
    run.passed = (uint32_t)word_number(&rest);
    run.cached = (uint32_t)word_number(&rest);
    run.failed = (uint32_t)word_number(&rest);
    run.skipped = (uint32_t)word_number(&rest);
    run.saved_ms = (uint64_t)word_number(&rest);
    vec_push(&told->records, run);
}

static void do_facts(struct told *told, char *rest)
{
    struct cache_facts *facts = &told->facts;
    *facts = (struct cache_facts){.path = "/home/me/.cache/kiln",
                                  .results = 56,
                                  .blobs = 1234,
                                  .snapshots = 3,
                                  .images = 2,
                                  .snapshot_bytes = 1100000,
                                  .image_bytes = 84000000,
                                  .mount_bytes = 1300000000};
    facts->disk_bytes = (uint64_t)word_number(&rest);
    facts->limit_bytes = (uint64_t)word_number(&rest);
    facts->gc_bytes = (uint64_t)word_number(&rest);
    facts->gc_results = (uint64_t)word_number(&rest);
    facts->oldest_ns = facts->gc_bytes ? EPOCH_NS - UINT64_C(4000000000000) : 0;
}

static void do_input(struct told *told, char *rest)
{
    static const char *const changes[] = {"same", "changed", "added", "removed"};
    struct input_file file = {.path = arena_strdup(&told->arena, word_take(&rest))};
    file.bytes = (uint64_t)word_number(&rest);
    file.change = word_index(word_take(&rest), changes, 4);
    vec_push(&told->inputs, file);
}

static void do_key(struct told *told, char *rest)
{
    const char *step = word_take(&rest), *key = word_take(&rest);
    if (key)
        map_put_str(&told->keys, step, arena_strdup(&told->arena, key));
    else
        map_del_str(&told->keys, step);
}

static void do_stored(struct told *told, const char *dir, char *rest)
{
    struct buf out = BUF_INIT;
    const char *step = word_take(&rest);
    int stream = (int)word_number(&rest);
    const char *ms = word_take(&rest);
    word_unescape(rest ? rest : "", &out);
    told_stored(told, dir, step, stream, ms ? 1 + strtoull(ms, NULL, 10) * 1000000 : 0, &out);
    buf_release(&out);
}

static void do_text(struct told *told, struct map *map, char *rest)
{
    struct buf out = BUF_INIT;
    const char *name = strsep(&rest, " ");
    word_unescape(rest ? rest : "", &out);
    map_put_str(map, name, arena_strdup(&told->arena, buf_str(&out)));
    buf_release(&out);
}

bool told_line(struct told *told, const char *dir, const char *verb, char *rest)
{
    if (strcmp(verb, "record") == 0) {
        do_record(told, rest);
    } else if (strcmp(verb, "facts") == 0) {
        do_facts(told, rest);
    } else if (strcmp(verb, "inputs") == 0) {
        vec_clear(&told->inputs);
    } else if (strcmp(verb, "input") == 0) {
        do_input(told, rest);
    } else if (strcmp(verb, "key") == 0) {
        do_key(told, rest);
    } else if (strcmp(verb, "stored") == 0) {
        do_stored(told, dir, rest);
    } else if (strcmp(verb, "use") == 0) {
        struct usage_facts *use = &told_use_of(told, word_take(&rest))->facts;
        use->cpu_us = (uint64_t)word_number(&rest) * 1000;
        use->memory = (uint64_t)word_number(&rest);
    } else if (strcmp(verb, "env") == 0) {
        const char *step = arena_strdup(&told->arena, word_take(&rest));
        struct told_env env = {step, arena_strdup(&told->arena, rest ? rest : "")};
        vec_push(&told->envs, env);
    } else if (strcmp(verb, "gone") == 0) {
        const char *step = word_take(&rest);
        told_log_of(told, step)->gone = arena_strdup(&told->arena, rest ? rest : "");
    } else if (strcmp(verb, "diff") == 0) {
        do_text(told, &told->diffs, rest);
    } else if (strcmp(verb, "box") == 0) {
        do_text(told, &told->boxes, rest);
    } else {
        return false;
    }
    return true;
}
