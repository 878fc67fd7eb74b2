/* cmd_debug.c - kiln debug: which of its ways is meant, and what holds steps in a run that is
 * stepped through. */
#include "cli/debug.h"

#include "base/mem.h"
#include "cli/views.h"

#include <stdlib.h>
#include <string.h>

/* -- what was to be held and was not ------------------------------------------------------------
 */

/* A step that some run has, but not this one. */
static void note_left_out(struct debugging *d, const struct event *event)
{
    for (size_t i = 0; i < d->rules.v.n; i++) {
        const struct break_rule *rule = &d->rules.v.v[i];
        size_t k = 0;
        while (k < event->u.run_started.n_steps &&
               !break_rule_is_of(rule, event->u.run_started.steps[k]))
            k++;
        if (k == event->u.run_started.n_steps)
            vec_push(&d->remarks,
                     mem_printf("%s: no such step was asked for or needed, so nothing was held",
                                rule->text));
    }
}

static void note_cached(struct debugging *d, const struct event *event)
{
    for (size_t i = 0; i < d->rules.v.n; i++) {
        const struct break_rule *rule = &d->rules.v.v[i];
        if (rule->steps && !rule->met && break_rule_is_of(rule, event->step)) {
            vec_push(&d->remarks, mem_printf("%s was up to date and did not run, so nothing held "
                                             "it; --force=%s runs it all the same",
                                             event->step, event->step));
            return;
        }
    }
}

static void note(void *ctx, const struct event *event)
{
    if (event->type == EVENT_RUN_STARTED)
        note_left_out(ctx, event);
    else if (event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_CACHED)
        note_cached(ctx, event);
}

/* -- a run --------------------------------------------------------------------------------------
 */

void debugging_open(struct debugging *d, struct app *app, struct engine *engine,
                    const struct control *control)
{
    engine_subscribe(engine, note, d);
    if (!d->lines)
        return;
    d->line = debug_line_new(d, &app->loop, control, app->root);
    engine_subscribe(engine, debug_line_event, d->line);
}

void debugging_close(struct debugging *d)
{
    debug_line_close(d->line);
    d->line = NULL;
}

static int add_rules(const struct options *o, struct break_rules *rules, struct err *err)
{
    for (size_t i = 0; i < o->n_breaks; i++) {
        if (break_rules_add_step(rules, o->breaks[i], err) < 0)
            return err_wrap(err, "--break");
    }
    for (size_t i = 0; i < o->n_breaks_on; i++) {
        if (break_rules_add(rules, o->breaks_on[i], NULL, err) < 0)
            return err_wrap(err, "--break-on");
    }
    bool pause = o->on_failure ? strcmp(o->on_failure, "pause") == 0 : !rules->v.n;
    return pause ? break_rules_add(rules, "failure", NULL, err) : 0;
}

/* The panes, where there is a terminal for them and nothing else was asked for. */
static bool wants_panes(const struct options *options)
{
    struct options o = *options;
    struct views views;
    o.tui = true;
    views_init(&views, &o, NULL, false);
    bool linear = views_terminal(&views).linear;
    bool wants = views_want_tui(&views) && !linear && !o.shell_command;
    views_release(&views);
    return wants;
}

static int step_through(const struct options *options)
{
    struct options o = *options;
    struct debugging debugging = {.options = &o};
    struct err err = ERR_INIT;
    int code = EXIT_USAGE;
    if (add_rules(options, &debugging.rules, &err) < 0) {
        complain(options, err_text(&err));
    } else {
        o.tui = o.tui || wants_panes(options);
        o.plain = !o.tui && !o.json;
        o.keep_going |= o.on_failure && strcmp(o.on_failure, "continue") == 0;
        debugging.lines = !o.tui;
        code = run_debugged(&o, &debugging);
    }
    vec_each (char *, text, &debugging.remarks) {
        remark(&o, *text);
        free(*text);
    }
    vec_release(&debugging.remarks);
    break_rules_release(&debugging.rules);
    err_release(&err);
    return code;
}

int command_debug(const struct options *options)
{
    if (options->take)
        return debug_take(options);
    if (options->diff)
        return debug_diff(options);
    if (options->run_id)
        return debug_past(options);
    return step_through(options);
}
