/*
 * cmd_last_pass.c - kiln explain --last-pass: why a step failed that had passed.
 *
 *     --json    {"step", "status", "run", "key", "reasons", "reasons_total", "since": {"run",
 *               "status", "time"}}: as kiln explain has them; without since it never passed
 */
#include "cli/cli.h"
#include "cli/seen.h"

#include "base/file.h"
#include "base/text.h"
#include "engine/reasons.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LINES = 40, MOST_REASONS = 10000, KEY_SHOWN = 12 };

struct asking_past {
    const struct options *options;
    const char *step;
    struct app app;
    struct history *theirs; /* of a run from elsewhere; or NULL */
    const struct history *history;
    struct history_record *found, *same; /* own last and, where it has the same key, pass; if a run
                                            is named */
    const struct history_record *last, *pass;
    struct reasons reasons;
    struct plan_step told;
};

/* Which outputs are whose is told by the run that failed, if it is still on record. */
static void find_reasons(struct asking_past *a)
{
    struct seen seen;
    const char *run = a->options->run_id ? a->options->run_id : a->last->run;
    if (seen_read_record(a->app.records, run, &seen, NULL) < 0) {
        seen_release(&seen);
        seen_init(&seen);
    }
    reasons_between(a->history, a->pass, a->history, a->last, MOST_REASONS, seen_owner, &seen,
                    &a->reasons);
    seen_release(&seen);
    a->told = (struct plan_step){.name = a->step,
                                 .reasons = a->reasons.list.v,
                                 .n_reasons = a->reasons.list.n,
                                 .all_reasons = a->reasons.all,
                                 .since_run = a->pass->run,
                                 .since_status = history_status_name(a->pass->status),
                                 .since_ns = a->pass->time_ns};
}

static void add_name(struct buf *out, const char *name)
{
    buf_add_shown(out, name, strlen(name));
}

static void past_text(struct buf *out, const struct asking_past *a)
{
    struct explain_style style = {.color = color_wanted(a->options, STDOUT_FILENO),
                                  .most = MOST_LINES};
    const char *how = a->last->status == HISTORY_FAILED ? "failed" : "was disturbed";
    add_name(out, a->step);
    if (a->last->status == HISTORY_PASSED) {
        buf_addf(out, " passed %s run %s: nothing fails.\n",
                 a->found ? "in" : "when it last ran, in", a->last->run);
    } else if (!a->pass) {
        buf_addf(out, " %s in run %s, and has not passed yet: there is nothing to compare with.\n",
                 how, a->last->run);
    } else if (digest_eq(&a->pass->key, &a->last->key)) {
        buf_addf(out,
                 " passed in run %s and %s in run %s with the same inputs:\nwhat it depends on is "
                 "not all among them, or it is left to chance.\n",
                 a->pass->run, how, a->last->run);
    } else {
        char was[DIGEST_HEX + 1], is[DIGEST_HEX + 1];
        digest_hex(&a->pass->key, was);
        digest_hex(&a->last->key, is);
        buf_addf(out, " passed in run %s and %s in run %s. What differs:\n", a->pass->run, how,
                 a->last->run);
        explain_reasons(out, &a->told, &style, 2);
        buf_addf(out, "  key         %.*s -> %.*s\n", KEY_SHOWN, was, KEY_SHOWN, is);
    }
}

static void past_json(struct buf *out, const struct asking_past *a)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(&a->last->key, hex);
    buf_adds(out, "{\"step\":");
    buf_add_json_str(out, a->step);
    buf_addf(out, ",\"status\":\"%s\",\"run\":", history_status_name(a->last->status));
    buf_add_json_str(out, a->last->run);
    buf_addf(out, ",\"key\":\"%s\",", hex);
    explain_json(out, &a->told);
    buf_adds(out, "}\n");
}

static void add_known(void *ctx, const char *step)
{
    VEC(const char *) *names = ctx;
    vec_push(names, step);
}

static int no_past(const struct asking_past *a, struct err *err)
{
    VEC(const char *) names = VEC_INIT;
    struct buf text = BUF_INIT;
    int rc;
    for (size_t i = 0; a->app.config && i < a->app.config->n_steps; i++) {
        if (!strcmp(a->app.config->steps[i].name.text, a->step)) {
            vec_release(&names);
            return err_set(err, ERR_USAGE, "\"%s\" has not run yet; \"kiln run\" does", a->step);
        }
        vec_push(&names, a->app.config->steps[i].name.text);
    }
    history_steps(a->app.history, add_known, &names);
    add_name(&text, a->step);
    const char *near = text_nearest(a->step, names.v, names.n);
    rc = near ? err_set(err, ERR_USAGE, "there is no step \"%s\"; did you mean \"%s\"?",
                        buf_str(&text), near)
              : err_set(err, ERR_USAGE, "there is no step \"%s\" (\"kiln logs\" lists them)",
                        buf_str(&text));
    buf_release(&text);
    vec_release(&names);
    return rc;
}

/* The history has of each key how it ended last, which may have been in a run since. */
static void as_in_run(struct asking_past *a, const struct seen_step *step, const struct digest *key)
{
    bool passed = step->status == STEP_PASSED || step->status == STEP_CACHED;
    if (step->status == STEP_FAILED && a->found->status == HISTORY_PASSED)
        a->same = history_find(a->history, a->step, key);
    if (step->status == STEP_FAILED)
        a->found->status = HISTORY_FAILED;
    else if (passed && !step->tainted)
        a->found->status = HISTORY_PASSED;
    if (!a->theirs)
        a->found->run = a->options->run_id;
}

/* The step's result in the run that was asked for. */
static int find_in_run(struct asking_past *a, struct err *err)
{
    const char *run = a->options->run_id;
    struct seen seen;
    struct digest key;
    struct buf name = BUF_INIT;
    add_name(&name, a->step);
    int rc = seen_read_record(a->app.records, run, &seen, err);
    const struct seen_step *step = rc == 0 ? seen_find(&seen, a->step) : NULL;
    if (rc == 0 && !step)
        rc =
            err_set(err, ERR_USAGE, "run %s has no step \"%s\" (\"kiln logs --run %s\" lists them)",
                    run, buf_str(&name), run);
    if (rc == 0 && step->key && digest_parse(step->key, 0, &key))
        a->last = a->found = history_find(a->history, a->step, &key);
    if (a->found)
        as_in_run(a, step, &key);
    if (rc == 0 && !a->found)
        rc = err_set(err, ERR_USAGE,
                     "what \"%s\" came to in run %s is not on record, or not any more",
                     buf_str(&name), run);
    seen_release(&seen);
    buf_release(&name);
    return rc;
}

static int look(struct asking_past *a, struct buf *out, struct err *err)
{
    int rc = app_open_records(&a->app, a->options, 0, err);
    if (rc < 0)
        return rc;
    a->theirs = a->options->run_id ? run_history(a->app.records, a->options->run_id) : NULL;
    a->history = a->theirs ? a->theirs : a->app.history;
    if (!a->history)
        return err_set(err, ERR_SYSTEM, "there is no history of results to read");
    if (a->options->run_id) {
        if (find_in_run(a, err) < 0)
            return -(int)err->kind;
    } else {
        a->last = history_last(a->history, a->step);
    }
    a->pass = a->same ? a->same : history_last_pass(a->history, a->step);
    if (!a->last)
        return no_past(a, err);
    if (a->pass && a->last->status != HISTORY_PASSED)
        find_reasons(a);
    if (a->options->json)
        past_json(out, a);
    else
        past_text(out, a);
    return 0;
}

int command_last_pass(const struct options *options)
{
    struct asking_past a = {.options = options, .step = options->args[0]};
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    int code = EXIT_OK;
    if (look(&a, &out, &err) < 0) {
        code = err.kind == ERR_USAGE || err.kind == ERR_CONFIG ? EXIT_USAGE : EXIT_KILN;
        complain(options, err_text(&err));
        err_release(&err);
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    reasons_release(&a.reasons);
    free(a.found);
    free(a.same);
    history_close(a.theirs);
    app_close(&a.app);
    return output_end(options, code);
}
