/* shard.c - dividing a pipeline (see shard.h): the longest first, to where it adds least. */
#include "cli/shard.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/seen.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN_MS 1000u /* of each step, where nothing is known of any */

struct sink {
    uint32_t step;
    uint64_t ms; /* with all it needs */
};

struct division {
    const struct graph *graph;
    size_t n, shards;
    struct map index; /* name -> place + 1 */
    uint64_t *ms;     /* of each step */
    bool *wanted, *needed;
    bool *has; /* shard * n + step */
    uint64_t *load;
    uint32_t *stamp, now; /* which steps the walk under way has seen */
    VEC(uint32_t) walk;
    VEC(struct sink) sinks; /* the longest first */
    uint32_t *shard_of;     /* by sinks */
};

static const struct op_exec *exec_at(const struct division *d, size_t step)
{
    return &d->graph->ops[d->graph->execs[step]].u.exec;
}

static size_t place_of(const struct division *d, const char *name)
{
    return (size_t)(uintptr_t)map_get_str(&d->index, name) - 1;
}

/* Puts the step and all that it needs into walk, each once. */
static void walk_needs(struct division *d, uint32_t step)
{
    d->now++;
    vec_clear(&d->walk);
    vec_push(&d->walk, step);
    d->stamp[step] = d->now;
    for (size_t at = 0; at < d->walk.n; at++) {
        const struct op_exec *exec = exec_at(d, d->walk.v[at]);
        for (size_t i = 0; i < exec->n_after; i++) {
            size_t need = place_of(d, d->graph->ops[exec->after[i]].u.exec.name);
            if (d->stamp[need] == d->now)
                continue;
            d->stamp[need] = d->now;
            vec_push(&d->walk, (uint32_t)need);
        }
    }
}

static int longest_first(const void *a, const void *b)
{
    const struct sink *x = a, *y = b;
    if (x->ms != y->ms)
        return x->ms > y->ms ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

/* How long the steps took by the file; those that it does not have, as long as the others on
 * average. */
static int read_durations(struct division *d, const char *path, struct err *err)
{
    struct seen seen = {0};
    uint64_t sum = 0, known = 0;
    int rc = path ? seen_read_file(path, &seen, err) : 0;
    for (size_t i = 0; rc == 0 && i < d->n; i++) {
        const struct seen_step *step = seen_find(&seen, exec_at(d, i)->name);
        uint64_t ms = !step                         ? 0
                      : step->status == STEP_CACHED ? step->saved_ms
                      : step->executions.n          ? step->duration_ms
                                                    : 0;
        d->ms[i] = ms ? ms : step ? step->last_ms : 0;
        sum += d->ms[i];
        known += d->ms[i] != 0;
    }
    for (size_t i = 0; i < d->n; i++)
        d->ms[i] = d->ms[i] ? d->ms[i] : known ? sum / known : UNKNOWN_MS;
    seen_release(&seen);
    return rc;
}

static void find_wanted(struct division *d, const struct options *options)
{
    for (size_t i = 0; i < d->n && !options->n_args; i++)
        d->wanted[i] = true;
    for (size_t i = 0; i < options->n_args; i++) {
        walk_needs(d, (uint32_t)place_of(d, options->args[i]));
        vec_each (uint32_t, step, &d->walk)
            d->wanted[*step] = true;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct op_exec *exec = exec_at(d, i);
        for (size_t k = 0; d->wanted[i] && k < exec->n_after; k++)
            d->needed[place_of(d, d->graph->ops[exec->after[k]].u.exec.name)] = true;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        struct sink sink = {.step = i};
        if (!d->wanted[i] || d->needed[i])
            continue;
        walk_needs(d, i);
        vec_each (uint32_t, step, &d->walk)
            sink.ms += d->ms[*step];
        vec_push(&d->sinks, sink);
    }
    if (d->sinks.n)
        qsort(d->sinks.v, d->sinks.n, sizeof *d->sinks.v, longest_first);
}

static void divide(struct division *d)
{
    d->shard_of = mem_zalloc(d->sinks.n + 1, sizeof *d->shard_of);
    for (size_t i = 0; i < d->sinks.n; i++) {
        size_t best = 0;
        uint64_t least = UINT64_MAX;
        walk_needs(d, d->sinks.v[i].step);
        for (size_t shard = 0; shard < d->shards; shard++) {
            uint64_t load = d->load[shard];
            vec_each (uint32_t, step, &d->walk)
                load += d->has[shard * d->n + *step] ? 0 : d->ms[*step];
            if (load < least) {
                least = load;
                best = shard;
            }
        }
        vec_each (uint32_t, step, &d->walk)
            d->has[best * d->n + *step] = true;
        d->load[best] = least;
        d->shard_of[i] = (uint32_t)best;
    }
}

/* The same digits on two machines: the same division. */
static void fingerprint(const struct division *d, char hex[DIGEST_HEX + 1])
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < d->sinks.n; i++)
        buf_addf(&text, "%u %s\n", (unsigned)d->shard_of[i], exec_at(d, d->sinks.v[i].step)->name);
    struct digest digest = digest_of(buf_str(&text), text.len);
    digest_hex(&digest, hex);
    buf_release(&text);
}

static void take(const struct division *d, size_t shard, struct shard *out)
{
    VEC(const char *) steps = VEC_INIT;
    size_t n = 0, all = 0;
    char hex[DIGEST_HEX + 1];
    vec_reserve(&steps, 1);
    for (size_t i = 0; i < d->sinks.n; i++) {
        if (d->shard_of[i] == shard)
            vec_push(&steps, exec_at(d, d->sinks.v[i].step)->name);
    }
    for (size_t i = 0; i < d->n; i++) {
        n += d->has[shard * d->n + i];
        all += d->wanted[i];
    }
    fingerprint(d, hex);
    out->steps = steps.v;
    out->n = steps.n;
    out->text = mem_printf("shard %zu of %zu: %zu of %zu steps (division %.8s)", shard + 1,
                           d->shards, n, all, hex);
}

static void take_all(const struct options *options, struct shard *out)
{
    out->steps = mem_alloc((options->n_args + 1) * sizeof *out->steps);
    for (size_t i = 0; i < options->n_args; i++)
        out->steps[i] = options->args[i];
    out->n = options->n_args;
}

int shard_take(const struct options *options, const struct graph *graph, struct shard *out,
               struct err *err)
{
    *out = (struct shard){0};
    bool all = !options->shards;
    for (size_t i = 0; i < options->n_args; i++)
        all = all || graph_find(graph, options->args[i]) == OP_NONE;
    if (all) {
        take_all(options, out);
        return 0;
    }
    size_t n = graph->n_execs;
    struct division d = {.graph = graph, .n = n, .shards = options->shards};
    d.ms = mem_zalloc(n + 1, sizeof *d.ms);
    d.wanted = mem_zalloc(n + 1, sizeof *d.wanted);
    d.needed = mem_zalloc(n + 1, sizeof *d.needed);
    d.stamp = mem_zalloc(n + 1, sizeof *d.stamp);
    d.has = mem_zalloc(n + 1, d.shards * sizeof *d.has);
    d.load = mem_zalloc(d.shards, sizeof *d.load);
    for (size_t i = 0; i < n; i++)
        map_put_str(&d.index, exec_at(&d, i)->name, (void *)(uintptr_t)(i + 1));
    int rc = read_durations(&d, options->durations, err);
    if (rc == 0) {
        find_wanted(&d, options);
        divide(&d);
        take(&d, options->shard - 1, out);
    }
    free(d.ms);
    free(d.wanted);
    free(d.needed);
    free(d.stamp);
    free(d.has);
    free(d.load);
    free(d.shard_of);
    vec_release(&d.walk);
    vec_release(&d.sinks);
    map_release(&d.index);
    return rc;
}

void shard_release(struct shard *shard)
{
    free(shard->steps);
    free(shard->text);
}
