#include "engine/answers.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/cache_gc.h"
#include "engine/kept_box.h"
#include "engine/record.h"
#include "runners/usage.h"

#include <stdlib.h>
#include <string.h>

#define MAX_JOBS 64 /* so many waiting, and files are not kept */

struct answers {
    struct answers_options options;
    char *root;
    VEC(struct job *) jobs;
    bool ended; /* goes with the last job */
};

struct job {
    uv_work_t work;
    struct answers *answers;
    struct question *question; /* NULL: a file is to be kept */
    char *keep;
    struct kept_box *box; /* the question is about it */
    char *no_box;         /* why there is none */
};

static void refuse(struct question *question, const char *why)
{
    question->found = false;
    question->error = arena_strdup(&question->arena, why);
}

static void answer_runs(struct records *records, struct question *q)
{
    struct record_summary *list = NULL;
    struct err err = ERR_INIT;
    size_t n = 0;
    if (!records || records_list(records, RECORD_KEEP, &list, &n, &err) < 0) {
        refuse(q, records ? err_text(&err) : "no runs are recorded");
        err_release(&err);
        return;
    }
    q->runs = arena_zalloc(&q->arena, n + 1, sizeof *q->runs);
    for (size_t i = 0; i < n; i++) {
        q->runs[i] = (struct run_facts){.id = arena_strdup(&q->arena, list[i].id),
                                        .trigger = arena_strdup(&q->arena, list[i].trigger),
                                        .time_ns = list[i].time_ns,
                                        .duration_ms = list[i].duration_ms,
                                        .status = list[i].status,
                                        .passed = list[i].passed,
                                        .cached = list[i].cached,
                                        .failed = list[i].failed,
                                        .skipped = list[i].skipped,
                                        .cancelled = list[i].cancelled,
                                        .saved_ms = list[i].saved_ms};
    }
    q->n_runs = n;
    q->found = true;
    records_free_list(list, n);
}

static void answer_run(struct records *records, struct question *q)
{
    struct err err = ERR_INIT;
    bool found = false;
    if (!records) {
        refuse(q, "no runs are recorded");
        return;
    }
    if (records_replay(records, q->run, q->event, q->ctx, &found, &err) < 0)
        refuse(q, err_text(&err));
    else if (!found)
        refuse(q, q->run ? "that run is no longer on record" : "nothing has run here yet");
    else
        q->found = true;
    err_release(&err);
}

static void answer_cache(struct cache *cache, struct question *q)
{
    struct gc_options how = {.size = GC_TO_LIMIT, .dry_run = true};
    struct gc_report report;
    struct cache_stats stats;
    struct err err = ERR_INIT;
    if (!cache) {
        refuse(q, "there is no cache");
        return;
    }
    if (cache_stats(cache, &stats, &err) < 0 || cache_gc(cache, &how, &report, &err) < 0) {
        refuse(q, err_text(&err));
        err_release(&err);
        return;
    }
    q->cache = (struct cache_facts){
        .path = arena_strdup(&q->arena, cache_path(cache)),
        .results = stats.actions,
        .blobs = stats.blobs,
        .snapshots = stats.snapshots,
        .images = stats.images,
        .disk_bytes = stats.disk_bytes,
        .limit_bytes = report.before.limit_bytes,
        .snapshot_bytes = stats.snapshot_bytes,
        .image_bytes = stats.image_bytes,
        .box_bytes = stats.box_bytes,
        .mount_bytes = stats.mount_bytes,
        .gc_bytes = report.removed.disk_bytes + report.others_bytes,
        .gc_results = report.removed.actions,
    };
    if (report.items.n > 0 && report.items.v[0].used_ns > 0)
        q->cache.oldest_ns = (uint64_t)report.items.v[0].used_ns;
    q->found = true;
    gc_report_release(&report);
}

static void answer_usage(struct question *q)
{
    pid_t pids[QUESTION_PIDS];
    struct usage used[QUESTION_PIDS];
    uint64_t began = clock_monotonic_ns();
    for (size_t i = 0; i < q->n_pids; i++)
        pids[i] = (pid_t)q->pids[i];
    usage_take(pids, q->n_pids, used);
    q->usage = arena_zalloc(&q->arena, q->n_pids + 1, sizeof *q->usage);
    for (size_t i = 0; i < q->n_pids; i++)
        q->usage[i] = (struct usage_facts){used[i].cpu_us, used[i].memory};
    q->usage_ns = clock_realtime_ns();
    q->usage_took_ns = clock_monotonic_ns() - began;
    q->found = true;
}

static void on_work(uv_work_t *work)
{
    struct job *job = work->data;
    const struct answers_options *options = &job->answers->options;
    struct question *q = job->question;
    if (!q) {
        answer_keep(job->answers->root, options->cache, job->keep);
        return;
    }
    switch (q->kind) {
    case QUESTION_RUNS: answer_runs(options->records, q); break;
    case QUESTION_RUN: answer_run(options->records, q); break;
    case QUESTION_CACHE: answer_cache(options->cache, q); break;
    case QUESTION_DIFF: answer_diff(job->answers->root, options->cache, q); break;
    case QUESTION_LOG: answer_log(options->cache, options->records, q); break;
    case QUESTION_USAGE: answer_usage(q); break;
    case QUESTION_BOX:
    case QUESTION_TAKE:
        if (job->box)
            answer_box(job->box, q);
        else
            refuse(q, job->no_box ? job->no_box : "no box is known here");
        break;
    case QUESTION_KINDS: break;
    }
}

static void release(struct answers *answers)
{
    vec_release(&answers->jobs);
    free(answers->root);
    free(answers);
}

static void on_done(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct answers *answers = job->answers;
    for (size_t i = 0; i < answers->jobs.n; i++) {
        if (answers->jobs.v[i] != job)
            continue;
        answers->jobs.v[i] = vec_last(&answers->jobs);
        answers->jobs.n--;
        break;
    }
    if (job->question && status != 0)
        refuse(job->question, "kiln is ending");
    if (job->question)
        job->question->done(job->question);
    kept_box_free(job->box);
    free(job->no_box);
    free(job->keep);
    free(job);
    if (answers->ended && answers->jobs.n == 0)
        release(answers);
}

struct answers *answers_new(const struct answers_options *options)
{
    struct answers *answers = mem_zalloc(1, sizeof *answers);
    answers->options = *options;
    answers->root = mem_strdup(options->root);
    return answers;
}

static void begin(struct answers *answers, struct job *job)
{
    job->answers = answers;
    job->work.data = job;
    vec_push(&answers->jobs, job);
    /* It fails for a NULL function alone. */
    (void)uv_queue_work(answers->options.loop, &job->work, on_work, on_done);
}

void answers_ask(struct answers *answers, struct question *question)
{
    struct job *job = mem_zalloc(1, sizeof *job);
    job->question = question;
    begin(answers, job);
}

void answers_ask_box(struct answers *answers, struct question *question, struct kept_box *box,
                     const char *why)
{
    struct job *job = mem_zalloc(1, sizeof *job);
    job->question = question;
    job->box = box;
    job->no_box = why ? mem_strdup(why) : NULL;
    begin(answers, job);
}

void answers_keep(struct answers *answers, const char *path)
{
    if (!answers->options.cache || answers->jobs.n >= MAX_JOBS)
        return;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->keep = mem_strdup(path);
    begin(answers, job);
}

void answers_free(struct answers *answers)
{
    if (!answers)
        return;
    answers->ended = true;
    vec_each (struct job *, job, &answers->jobs)
        (void)uv_cancel((uv_req_t *)&(*job)->work);
    if (answers->jobs.n == 0)
        release(answers);
}
