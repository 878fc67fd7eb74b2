/*
 * breaks.c - steps that are held for a person: before they start, or when they have ended.
 *
 * Which are is said by rules (break_rules.h), and by stepping: then one step after the other is
 * held before it starts, the next when the one before has ended.
 *
 * Before it starts the instance stays QUEUED, in its place; it holds no turn, no box and none of
 * the places to run. When it has ended it is HELD with what it will be finished with: its log, its
 * result or its box are kept already, what depends on it waits, and it can be run again instead.
 *
 * They are this kiln's alone: while there are any, nobody else's run is done here (ask.c), for a
 * person's pause must not hold up somebody's commit.
 */
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)4000) /* of a line that is looked at */

struct held_end {
    enum step_status status;
    struct runner_exit exit;
    bool tainted;
    uint64_t duration_ms;
    char *error; /* or NULL */
};

/* What a step writes, while a rule is about that. */
struct break_watch {
    struct buf lines[2]; /* of each stream, what has no newline yet */
    char *rule;          /* that matched: then nothing more is read; NULL: none so far */
    struct buf why;
};

static const char *name_of(const struct engine *e, const struct instance *in)
{
    return e->nodes.v[in->node].exec->name;
}

/* -- rules ------------------------------------------------------------------------------------- */

void breaks_open(struct engine *e)
{
    e->breaks = e->opt.breaks ? e->opt.breaks : &e->own_breaks;
}

bool breaks_any(const struct engine *e)
{
    return e->breaks->v.n > 0 || e->stepping;
}

static void tell(struct engine *e, const char *rule, bool set)
{
    static const char before[] = "before@";
    const char *step =
        strncmp(rule, before, sizeof before - 1) == 0 ? rule + sizeof before - 1 : NULL;
    struct event event = {.type = EVENT_BREAKPOINT,
                          .step = step && graph_find(e->graph, step) != OP_NONE ? step : NULL,
                          .u.breakpoint = {set, rule}};
    emit(e, NULL, &event);
}

static int check(const struct engine *e, const struct break_rules *rules, struct err *err)
{
    const char **names = mem_zalloc(e->nodes.n + 1, sizeof *names);
    for (size_t i = 0; i < e->nodes.n; i++)
        names[i] = e->nodes.v[i].exec->name;
    int rc = break_rules_check(rules, names, e->nodes.n, err);
    free(names);
    return rc;
}

int breaks_load(struct engine *e, struct err *err)
{
    if (check(e, e->breaks, err) < 0)
        return -(int)err->kind;
    vec_each (struct break_rule, rule, &e->breaks->v)
        tell(e, rule->text, true);
    return 0;
}

static int add(struct engine *e, const char *rule, bool *added, struct err *err)
{
    struct break_rules alone = {0};
    int rc = break_rules_add(&alone, rule, NULL, err);
    if (rc == 0)
        rc = check(e, &alone, err);
    if (rc == 0)
        rc = break_rules_add(e->breaks, rule, added, err);
    break_rules_release(&alone);
    return rc;
}

/* What runs already is looked at from its beginning. */
static void watch_running(struct engine *e)
{
    for (size_t i = 0; i < e->nodes.n; i++) {
        struct flight *flight = e->nodes.v[i].flight;
        if (!flight || flight->watch)
            continue;
        breaks_watch(e, flight);
        uint64_t at = flight->spooled;
        for (size_t k = 0; k < flight->chunks.n; k++)
            at -= flight->chunks.v[k].bytes;
        for (size_t k = 0; k < flight->chunks.n && flight->watch; k++) {
            breaks_read(e, flight, flight->chunks.v[k].stream, at, flight->chunks.v[k].bytes);
            at += flight->chunks.v[k].bytes;
        }
    }
}

void breaks_set(struct engine *e, const char *rule, bool set)
{
    struct err err = ERR_INIT;
    char *text = mem_strdup(rule); /* it may be that of the rule that goes */
    bool changed = false;
    if (!set)
        changed = break_rules_remove(e->breaks, text);
    else if (add(e, text, &changed, &err) < 0)
        engine_notice(e, "warning", err_text(&err));
    if (changed)
        tell(e, text, set);
    if (changed && set) {
        asks_refuse(e, true);
        watch_running(e);
    }
    err_release(&err);
    free(text);
}

void breaks_close(struct engine *e)
{
    break_rules_release(&e->own_breaks);
    vec_release(&e->held_steps);
}

/* -- held instances ---------------------------------------------------------------------------- */

static void hold(struct engine *e, struct instance *in)
{
    in->held = true;
    vec_push(&e->held_steps, in);
}

static void release(struct engine *e, struct instance *in)
{
    if (!in->held)
        return;
    in->held = false;
    for (size_t i = 0; i < e->held_steps.n; i++) {
        if (e->held_steps.v[i] != in)
            continue;
        memmove(&e->held_steps.v[i], &e->held_steps.v[i + 1],
                (e->held_steps.n - i - 1) * sizeof *e->held_steps.v);
        e->held_steps.n--;
        break;
    }
    if (in->end)
        free(in->end->error);
    free(in->end);
    in->end = NULL;
}

static void let_go(struct engine *e, struct instance *in)
{
    release(e, in);
    e->n_let_go += !in->let_go;
    in->let_go = true;
}

void breaks_forget(struct engine *e, struct instance *in)
{
    release(e, in);
    e->n_let_go -= in->let_go;
    in->let_go = false;
}

static void pause_event(struct engine *e, struct instance *in, const char *rule, const char *why)
{
    const struct held_end *end = in->end;
    char hex[DIGEST_HEX + 1];
    digest_hex(&in->key, hex);
    struct event event = {.type = EVENT_STEP_PAUSED,
                          .step = name_of(e, in),
                          .u.paused = {.rule = rule, .reason = why, .key = hex}};
    if (end) {
        event.u.paused.failed = end->status == STEP_FAILED;
        event.u.paused.passed = end->status == STEP_PASSED;
        event.u.paused.exit_code = end->exit.exit_code;
        event.u.paused.signal = end->exit.signal;
        event.u.paused.timed_out = end->exit.timed_out;
        event.u.paused.duration_ms = end->duration_ms;
        event.u.paused.error = end->error;
        event.u.paused.box = event.u.paused.failed ? e->nodes.v[in->node].kept : NULL;
    }
    emit(e, in->run, &event);
}

static const struct break_rule *ask_start(struct engine *e, const struct instance *in,
                                          struct buf *why)
{
    if (!e->breaks->asked[BREAK_START])
        return NULL;
    const struct history_record *pass =
        e->opt.history ? history_last_pass(e->opt.history, name_of(e, in)) : NULL;
    struct break_facts facts = {.moment = BREAK_START,
                                .step = name_of(e, in),
                                .never_passed = !pass,
                                .key_changed = pass && !digest_eq(&pass->key, &in->key)};
    return break_rules_ask(e->breaks, &facts, why);
}

bool breaks_hold(struct engine *e, struct instance *in)
{
    struct buf why = BUF_INIT;
    if (in->held)
        return true;
    if (in->let_go)
        return false;
    const struct break_rule *rule = ask_start(e, in, &why);
    if (!rule && !e->stepping)
        return false;
    if (rule || (!e->held_steps.n && !e->n_let_go)) {
        hold(e, in);
        pause_event(e, in, rule ? rule->text : NULL,
                    rule ? buf_str(&why) : "it is the next that starts");
    }
    buf_release(&why);
    return true;
}

/* -- what they write --------------------------------------------------------------------------- */

void breaks_watch(struct engine *e, struct flight *flight)
{
    if (!flight->shell &&
        break_rules_about(e->breaks, BREAK_LINE, e->nodes.v[flight->node].exec->name))
        flight->watch = mem_zalloc(1, sizeof *flight->watch);
}

void breaks_watch_free(struct break_watch *watch)
{
    if (!watch)
        return;
    buf_release(&watch->lines[0]);
    buf_release(&watch->lines[1]);
    buf_release(&watch->why);
    free(watch->rule);
    free(watch);
}

static void look_at_line(struct engine *e, struct flight *flight, struct buf *line)
{
    struct break_watch *watch = flight->watch;
    if (line->len && line->data[line->len - 1] == '\r')
        buf_truncate(line, line->len - 1);
    struct break_facts facts = {.moment = BREAK_LINE,
                                .step = e->nodes.v[flight->node].exec->name,
                                .line = buf_str(line),
                                .n = line->len};
    const struct break_rule *rule = break_rules_ask(e->breaks, &facts, &watch->why);
    watch->rule = rule ? mem_strdup(rule->text) : NULL;
    buf_reset(line);
}

void breaks_read(struct engine *e, struct flight *flight, int stream, uint64_t offset, uint64_t n)
{
    char bytes[1 << 14];
    struct buf *line = &flight->watch->lines[stream == 2];
    while (n > 0 && !flight->watch->rule) {
        size_t want = n < sizeof bytes ? (size_t)n : sizeof bytes;
        ssize_t got = flight->spool < 0 ? -1 : pread(flight->spool, bytes, want, (off_t)offset);
        if (got <= 0)
            return;
        for (ssize_t i = 0; i < got && !flight->watch->rule; i++) {
            if (bytes[i] == '\n')
                look_at_line(e, flight, line);
            else if (line->len < LINE_MAX_BYTES)
                buf_addc(line, bytes[i] ? bytes[i] : ' ');
        }
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
}

/* -- what has ended ---------------------------------------------------------------------------- */

/* The rule that wants an execution held that ended like this: its text, new; NULL: none does. */
static char *ask_end(struct engine *e, struct flight *flight, bool failed, uint64_t duration_ms,
                     struct buf *why)
{
    struct break_watch *watch = flight->watch;
    for (int i = 0; watch && i < 2 && !watch->rule; i++) {
        if (watch->lines[i].len)
            look_at_line(e, flight, &watch->lines[i]); /* the last, without its newline */
    }
    if (watch && watch->rule && break_rules_find(e->breaks, watch->rule)) {
        buf_adds(why, buf_str(&watch->why));
        return mem_strdup(watch->rule);
    }
    struct break_facts facts = {.moment = BREAK_END,
                                .step = e->nodes.v[flight->node].exec->name,
                                .failed = failed,
                                .duration_ms = duration_ms};
    const struct break_rule *rule = break_rules_ask(e->breaks, &facts, why);
    return rule ? mem_strdup(rule->text) : NULL;
}

bool breaks_hold_end(struct engine *e, struct flight *flight, enum step_status status, bool tainted,
                     uint64_t duration_ms, const char *error)
{
    struct instance *in = flight->owner;
    struct buf why = BUF_INIT;
    if (!e->breaks->v.n || (status != STEP_FAILED && status != STEP_PASSED) || e->drained ||
        e->closing || e->stop_starting || flight->shell || !flight->exit.end_ns || in->run->ask ||
        e->nodes.v[flight->node].current != in)
        return false;
    char *rule = ask_end(e, flight, status == STEP_FAILED, duration_ms, &why);
    if (!rule)
        return false;
    in->state = HELD;
    in->flight = NULL;
    in->end = mem_zalloc(1, sizeof *in->end);
    *in->end = (struct held_end){.status = status,
                                 .exit = flight->exit,
                                 .tainted = tainted,
                                 .duration_ms = duration_ms,
                                 .error = error ? mem_strdup(error) : NULL};
    in->end->exit.lost = NULL;
    hold(e, in);
    pause_event(e, in, rule, buf_str(&why));
    buf_release(&why);
    free(rule);
    return true;
}

bool breaks_stop_starting(const struct engine *e)
{
    if (e->opt.mode != ENGINE_RUN || e->opt.keep_going)
        return false;
    vec_each (struct instance *, in, (instances *)&e->held_steps) {
        if ((*in)->end && (*in)->end->status == STEP_FAILED)
            return true; /* whether anything else is to start is what the person decides */
    }
    return false;
}

bool breaks_has_passed(const struct instance *in)
{
    return in->end && in->end->status == STEP_PASSED;
}

void breaks_end(struct engine *e, struct instance *in)
{
    struct held_end *end = in->end;
    in->end = NULL;
    instance_finish(e, in, end->status, &end->exit, end->tainted, end->duration_ms, end->error);
    free(end->error);
    free(end);
}

/* -- what the person decides ------------------------------------------------------------------- */

static void resume(struct engine *e, struct instance *in)
{
    struct event event = {.type = EVENT_STEP_RESUMED, .step = name_of(e, in)};
    emit(e, in->run, &event);
}

void breaks_go_on(struct engine *e, const char *step, bool stepping)
{
    instances held = VEC_INIT;
    vec_each (struct instance *, in, &e->held_steps) {
        if (!step || strcmp(name_of(e, *in), step) == 0)
            vec_push(&held, *in);
    }
    e->stepping = stepping && schedule_busy(e);
    if (e->stepping)
        asks_refuse(e, true);
    vec_each (struct instance *, at, &held) {
        struct instance *in = *at;
        resume(e, in);
        if (in->state == HELD)
            breaks_end(e, in);
        else
            let_go(e, in);
    }
    vec_release(&held);
    schedule_pump(e);
}

bool breaks_retry(struct engine *e, struct node *node)
{
    struct instance *in = node->current;
    if (!in || !in->held)
        return false;
    bool ended = in->state == HELD;
    resume(e, in);
    let_go(e, in);
    if (ended) {
        in->attempt = 1;
        in->forced = true;
        if (e->watch) {
            schedule_ready(e, in);
        } else { /* it may have been mended, which nothing tells of */
            worktree_mark_all(e->worktree, 0);
            round_look_again(e, in);
        }
    }
    schedule_pump(e);
    return true;
}

void breaks_skip(struct engine *e, struct node *node)
{
    struct instance *in = node->current;
    if (!in || !in->held || breaks_has_passed(in))
        return;
    bool failed = in->end != NULL;
    resume(e, in);
    in->run->left_out = true;
    instance_finish(e, in, STEP_SKIPPED, NULL, false, 0,
                    failed ? "skipped by hand, after it failed" : "skipped by hand");
    schedule_pump(e);
}
