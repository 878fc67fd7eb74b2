/*
 * cmd_compare.c - kiln compare: where two runs begin to differ.
 *
 *     kiln compare --json     {"a": {"name", "run", "version", "status"}, "b": the same, "same",
 *                             "first": {"step", "what", "a": {"status", "key", "outputs":
 *                             [{"path", "digest", "bytes"}]}, "b": the same, "reasons": as kiln
 *                             explain has them, "reasons_total", "inputs_known"} or null,
 *                             "differs": [{"step", "what", "follows"}], "only_a", "only_b",
 *                             "not_compared": [names]}
 *
 * "what" is the first of key, outputs (the key is the same) and status (these are, too) that
 * differs; what "follows" needs a step that differs.
 */
#include "cli/cli.h"
#include "cli/seen.h"

#include "engine/reasons.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LINES = 40, MOST_REASONS = 10000, MOST_NAMES = 10, KEY_SHOWN = 12 };

static int fail(const struct options *options, struct err *err)
{
    int code = err->kind == ERR_USAGE || err->kind == ERR_CONFIG ? EXIT_USAGE : EXIT_KILN;
    complain(options, err_text(err));
    err_release(err);
    return code;
}

static const char *status_word(int status)
{
    return status < 0 ? "unfinished" : step_status_name((enum step_status)status);
}

/* -- two runs ---------------------------------------------------------------------------------- */

enum what { SAME, KEY, OUTPUTS, STATUS, UNKNOWN };
static const char *const what_names[] = {"same", "key", "outputs", "status", "unknown"};

struct difference {
    const struct seen_step *a, *b;
    enum what what;
    bool follows;
};

struct comparing {
    const struct options *options;
    struct app app;
    const char *names[2];
    struct seen runs[2];
    struct history *theirs[2];   /* of runs from elsewhere; or NULL */
    VEC(struct difference) list; /* topological */
    struct map differs;          /* names of steps */
    VEC(const char *) only[2];
    VEC(const char *) unknown;
    size_t common;
    struct reasons reasons; /* of the first */
    bool inputs_known;
};

/* What had nothing to be compared is not the same. */
static bool is_same(const struct comparing *c)
{
    return !c->list.n && c->common;
}

static bool is_number(const char *text)
{
    return *text && strlen(text) < 20 && !text[strspn(text, "0123456789")];
}

static int read_side(struct comparing *c, int side, struct err *err)
{
    const char *name = c->names[side];
    if (!is_number(name))
        return seen_read_file(name, &c->runs[side], err);
    while (*name == '0' && name[1])
        name++;
    if (!c->app.records)
        return err_set(err, ERR_USAGE, "run %s is on record in a project: there is none here",
                       name);
    c->theirs[side] = run_history(c->app.records, name);
    return seen_read_record(c->app.records, name, &c->runs[side], err);
}

/* What knows of that side's results; or NULL. */
static const struct history *history_of(const struct comparing *c, int side)
{
    return c->theirs[side] ? c->theirs[side] : c->app.history;
}

static bool same_outputs(const struct seen_step *a, const struct seen_step *b)
{
    if (a->n_outputs != b->n_outputs)
        return false;
    for (size_t i = 0; i < a->n_outputs; i++) {
        if (strcmp(a->outputs[i].path, b->outputs[i].path) != 0 ||
            strcmp(a->outputs[i].digest, b->outputs[i].digest) != 0)
            return false;
    }
    return true;
}

static bool has_passed(const struct seen_step *step)
{
    return step->status == STEP_PASSED || step->status == STEP_CACHED;
}

static enum what compare_step(const struct seen_step *a, const struct seen_step *b)
{
    if (!a->key || !b->key)
        return UNKNOWN;
    if (strcmp(a->key, b->key) != 0)
        return KEY;
    if (has_passed(a) && has_passed(b))
        return same_outputs(a, b) ? SAME : OUTPUTS;
    bool ended =
        (has_passed(a) || a->status == STEP_FAILED) && (has_passed(b) || b->status == STEP_FAILED);
    return !ended ? UNKNOWN : has_passed(a) != has_passed(b) ? STATUS : SAME;
}

static bool needs_different(const struct comparing *c, const struct seen_step *step)
{
    for (size_t i = 0; i < step->n_needs; i++) {
        if (map_get_str(&c->differs, step->needs[i]))
            return true;
    }
    return false;
}

static void compare_runs(struct comparing *c)
{
    vec_each (struct seen_step, a, &c->runs[0].steps) {
        const struct seen_step *b = seen_find(&c->runs[1], a->name);
        if (!b) {
            vec_push(&c->only[0], a->name);
            continue;
        }
        enum what what = compare_step(a, b);
        c->common += what != UNKNOWN;
        if (what == UNKNOWN)
            vec_push(&c->unknown, a->name);
        if (what == SAME || what == UNKNOWN)
            continue;
        vec_push(&c->list,
                 (struct difference){a, b, what, needs_different(c, a) || needs_different(c, b)});
        map_put_str(&c->differs, a->name, c);
    }
    vec_each (struct seen_step, b, &c->runs[1].steps) {
        if (!seen_find(&c->runs[0], b->name))
            vec_push(&c->only[1], b->name);
    }
}

/* What the history knows of the result with that key; new, or NULL. */
static struct history_record *record_of(const struct comparing *c, int side,
                                        const struct seen_step *step)
{
    struct digest key;
    if (!history_of(c, side) || !digest_parse(step->key, 0, &key))
        return NULL;
    return history_find(history_of(c, side), step->name, &key);
}

static void add_text(struct comparing *c, enum reason_kind kind, const char *subject,
                     const char *old, const char *now)
{
    if ((!old && !now) || (old && now && !strcmp(old, now)))
        return;
    reasons_add(&c->reasons, MOST_REASONS,
                (struct reason){.kind = kind, .subject = subject, .old = old, .now = now});
}

/* Why the keys of the first differ: by the history, else as far as the events tell. */
static void find_reasons(struct comparing *c)
{
    const struct difference *first = c->list.v;
    struct history_record *a = record_of(c, 0, first->a), *b = record_of(c, 1, first->b);
    if (a && b)
        reasons_between(history_of(c, 0), a, history_of(c, 1), b, MOST_REASONS, seen_owner,
                        &c->runs[1], &c->reasons);
    c->inputs_known = a && b;
    free(a);
    free(b);
    if (c->inputs_known)
        return;
    add_text(c, REASON_COMMAND, NULL, first->a->command, first->b->command);
    add_text(c, REASON_SETTINGS, "cwd", first->a->cwd ? first->a->cwd : ".",
             first->b->cwd ? first->b->cwd : ".");
    add_text(c, REASON_SETTINGS, "runner", first->a->runner, first->b->runner);
    add_text(c, REASON_SETTINGS, "kiln", c->runs[0].version, c->runs[1].version);
}

/* -- in words ---------------------------------------------------------------------------------- */

static void add_name(struct buf *out, const char *name)
{
    buf_add_shown(out, name, strlen(name));
}

static void add_run(struct buf *out, const struct comparing *c, int side)
{
    buf_adds(out, is_number(c->names[side]) ? "run " : "");
    add_name(out, c->names[side]);
}

static void add_names(struct buf *out, const char *before, const char *const *names, size_t n)
{
    if (!n)
        return;
    buf_adds(out, before);
    for (size_t i = 0; i < n && i < MOST_NAMES; i++) {
        buf_adds(out, i ? ", " : " ");
        add_name(out, names[i]);
    }
    if (n > MOST_NAMES)
        buf_addf(out, " and %zu more", n - MOST_NAMES);
    buf_addc(out, '\n');
}

static void add_outputs(struct buf *out, const struct difference *d)
{
    for (size_t i = 0, k = 0; i < d->a->n_outputs || k < d->b->n_outputs;) {
        const struct event_output *a = i < d->a->n_outputs ? &d->a->outputs[i] : NULL;
        const struct event_output *b = k < d->b->n_outputs ? &d->b->outputs[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->path, b->path);
        i += order <= 0;
        k += order >= 0;
        if (order == 0 && !strcmp(a->digest, b->digest))
            continue;
        buf_adds(out, "  output      ");
        add_name(out, order <= 0 ? a->path : b->path);
        buf_addf(out, "  %.6s -> %.6s\n", order <= 0 ? a->digest : "none",
                 order >= 0 ? b->digest : "none");
    }
}

static void add_first(struct buf *out, struct comparing *c)
{
    const struct difference *d = c->list.v;
    struct explain_style style = {.color = color_wanted(c->options, STDOUT_FILENO),
                                  .most = MOST_LINES};
    struct plan_step step = {.reasons = c->reasons.list.v,
                             .n_reasons = c->reasons.list.n,
                             .all_reasons = c->reasons.all};
    struct buf how = BUF_INIT;
    switch (d->what) {
    case KEY:
        buf_adds(out, "its inputs are others:\n");
        explain_reasons(out, &step, &style, 2);
        buf_addf(out, "  key         %.*s -> %.*s\n", KEY_SHOWN, d->a->key, KEY_SHOWN, d->b->key);
        if (!c->inputs_known)
            buf_adds(out,
                     "Which of its files and variables differ is not known: kiln knows that of "
                     "what ran here,\nand not for ever.\n");
        break;
    case OUTPUTS:
        buf_adds(out, "it gave other outputs for the same inputs:\n");
        add_outputs(out, d);
        break;
    default:
        seen_how(d->a->status == STEP_FAILED ? d->a : d->b, &how);
        buf_addf(out, "with the same inputs it %s in the one and %s in the other (",
                 status_word(d->a->status), status_word(d->b->status));
        add_name(out, buf_str(&how));
        buf_adds(out, ").\nWhat it depends on is not all among its inputs, or it is left to "
                      "chance.\n");
        break;
    }
    buf_release(&how);
}

static void compare_text(struct buf *out, struct comparing *c)
{
    VEC(const char *) own = VEC_INIT;
    VEC(const char *) follow = VEC_INIT;
    for (size_t i = 1; i < c->list.n; i++) {
        if (c->list.v[i].follows)
            vec_push(&follow, c->list.v[i].a->name);
        else
            vec_push(&own, c->list.v[i].a->name);
    }
    if (c->list.n) {
        add_run(out, c, 0);
        buf_adds(out, " and ");
        add_run(out, c, 1);
        buf_adds(out, " part at ");
        add_name(out, c->list.v[0].a->name);
        buf_adds(out, ": ");
        add_first(out, c);
    } else {
        add_run(out, c, 0);
        buf_adds(out, " and ");
        add_run(out, c, 1);
        if (c->common)
            buf_addf(out, " do not differ: %zu %s the same, inputs and outputs.\n", c->common,
                     c->common == 1 ? "step was" : "steps were");
        else
            buf_adds(out, " cannot be compared: there is no step that both got to.\n");
    }
    add_names(out, "Differs by itself, too:", own.v, own.n);
    add_names(out, "Differs because of what it needs:", follow.v, follow.n);
    add_names(out, "Only in the first:", c->only[0].v, c->only[0].n);
    add_names(out, "Only in the second:", c->only[1].v, c->only[1].n);
    add_names(out, "Not compared, for one of them did not get there:", c->unknown.v, c->unknown.n);
    vec_release(&own);
    vec_release(&follow);
}

/* -- as JSON ----------------------------------------------------------------------------------- */

static void json_field(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "\"%s\":", name);
    buf_add_json_str(out, value);
}

static void json_names(struct buf *out, const char *field, const char *const *names, size_t n)
{
    buf_addf(out, ",\"%s\":[", field);
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, names[i]);
    }
    buf_addc(out, ']');
}

static void json_side(struct buf *out, const struct comparing *c, int side)
{
    const struct seen *run = &c->runs[side];
    buf_addf(out, "\"%c\":{", "ab"[side]);
    json_field(out, "name", c->names[side]);
    buf_addc(out, ',');
    json_field(out, "run", run->run);
    buf_addc(out, ',');
    json_field(out, "version", run->version);
    buf_addc(out, ',');
    json_field(out, "status",
               run->status < 0 ? NULL : run_status_name((enum run_status)run->status));
    buf_adds(out, "},");
}

static void json_step(struct buf *out, char side, const struct seen_step *step)
{
    buf_addf(out, "\"%c\":{", side);
    json_field(out, "status", step->status < 0 ? NULL : status_word(step->status));
    buf_addc(out, ',');
    json_field(out, "key", step->key);
    buf_adds(out, ",\"outputs\":[");
    for (size_t i = 0; i < step->n_outputs; i++) {
        buf_adds(out, i ? ",{" : "{");
        json_field(out, "path", step->outputs[i].path);
        buf_addc(out, ',');
        json_field(out, "digest", step->outputs[i].digest);
        buf_addf(out, ",\"bytes\":%llu}", (unsigned long long)step->outputs[i].bytes);
    }
    buf_adds(out, "]},");
}

static void compare_json(struct buf *out, const struct comparing *c)
{
    buf_addc(out, '{');
    json_side(out, c, 0);
    json_side(out, c, 1);
    buf_addf(out, "\"same\":%s,\"first\":", is_same(c) ? "true" : "false");
    if (c->list.n) {
        const struct difference *d = c->list.v;
        struct plan_step step = {.reasons = c->reasons.list.v,
                                 .n_reasons = c->reasons.list.n,
                                 .all_reasons = c->reasons.all};
        buf_addc(out, '{');
        json_field(out, "step", d->a->name);
        buf_addc(out, ',');
        json_field(out, "what", what_names[d->what]);
        buf_addc(out, ',');
        json_step(out, 'a', d->a);
        json_step(out, 'b', d->b);
        explain_json(out, &step);
        buf_addf(out, ",\"inputs_known\":%s}", c->inputs_known ? "true" : "false");
    } else {
        buf_adds(out, "null");
    }
    buf_adds(out, ",\"differs\":[");
    for (size_t i = 0; i < c->list.n; i++) {
        const struct difference *d = &c->list.v[i];
        buf_adds(out, i ? ",{" : "{");
        json_field(out, "step", d->a->name);
        buf_addc(out, ',');
        json_field(out, "what", what_names[d->what]);
        buf_addf(out, ",\"follows\":%s}", d->follows ? "true" : "false");
    }
    buf_addc(out, ']');
    json_names(out, "only_a", c->only[0].v, c->only[0].n);
    json_names(out, "only_b", c->only[1].v, c->only[1].n);
    json_names(out, "not_compared", c->unknown.v, c->unknown.n);
    buf_adds(out, "}\n");
}

int command_compare(const struct options *options)
{
    struct comparing c = {.options = options, .names = {options->args[0], options->args[1]}};
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    bool files = !is_number(c.names[0]) && !is_number(c.names[1]);
    int code;
    seen_init(&c.runs[0]);
    seen_init(&c.runs[1]);
    int rc = app_open_records(&c.app, options, 0, &err);
    if (rc < 0 && files) { /* they need no project */
        err_release(&err);
        rc = 0;
    }
    if (rc < 0 || read_side(&c, 0, &err) < 0 || read_side(&c, 1, &err) < 0) {
        code = fail(options, &err);
    } else {
        compare_runs(&c);
        if (c.list.n && c.list.v[0].what == KEY)
            find_reasons(&c);
        if (options->json)
            compare_json(&out, &c);
        else
            compare_text(&out, &c);
        code = is_same(&c) ? EXIT_OK : EXIT_STEP_FAILED;
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    reasons_release(&c.reasons);
    vec_release(&c.list);
    vec_release(&c.only[0]);
    vec_release(&c.only[1]);
    vec_release(&c.unknown);
    map_release(&c.differs);
    seen_release(&c.runs[0]);
    seen_release(&c.runs[1]);
    history_close(c.theirs[0]);
    history_close(c.theirs[1]);
    app_close(&c.app);
    return output_end(options, code);
}
