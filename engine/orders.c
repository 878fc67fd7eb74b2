/*
 * orders.c - the narrow way back: what views order, and what they ask (command.h).
 */
#include "engine/answers.h"
#include "engine/kept_box.h"
#include "engine/look.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <stdlib.h>

/* The command that runs, be it for an older run, and what was to follow it. */
static void cancel_step(struct engine *e, struct node *node)
{
    struct instance *in = node->current;
    if (node->flight)
        flight_cancel(node->flight, NULL);
    if (in && in->run && !(node->flight && node->flight->owner == in))
        schedule_cancel(e, in, NULL);
}

static void set_break(struct engine *e, const struct command *command)
{
    bool set = command->type == COMMAND_BREAK;
    char *before = !command->rule && command->step ? break_rule_before(command->step) : NULL;
    if (command->rule || before)
        breaks_set(e, before ? before : command->rule, set);
    free(before);
}

static void on_command(void *ctx, const struct command *command)
{
    struct engine *e = ctx;
    if (e->drained || !e->graph)
        return;
    op_id op = command->step ? graph_find(e->graph, command->step) : OP_NONE;
    switch (command->type) {
    case COMMAND_RETRY:
        if (command->step)
            round_retry(e, command->step);
        break;
    case COMMAND_RUN_STALE:
        e->stale_wanted = e->round_wanted = true;
        round_next(e);
        break;
    case COMMAND_CANCEL:
        if (!command->step)
            engine_cancel_all(e, NULL);
        if (op != OP_NONE)
            cancel_step(e, &e->nodes.v[e->node_of[op]]);
        schedule_pump(e);
        break;
    case COMMAND_FORCE: round_force(e, command->step); break;
    case COMMAND_BREAK:
    case COMMAND_UNBREAK: set_break(e, command); break;
    case COMMAND_CONTINUE: breaks_go_on(e, command->step, false); break;
    case COMMAND_STEP: breaks_go_on(e, command->step, true); break;
    case COMMAND_SKIP:
        if (op != OP_NONE)
            breaks_skip(e, &e->nodes.v[e->node_of[op]]);
        break;
    case COMMAND_ABORT:
        if (op != OP_NONE && e->nodes.v[e->node_of[op]].current &&
            e->nodes.v[e->node_of[op]].current->held)
            schedule_cancel(e, e->nodes.v[e->node_of[op]].current, NULL);
        else if (!command->step)
            engine_cancel_all(e, NULL);
        schedule_pump(e);
        break;
    case COMMAND_PAUSE:
        e->paused = true;
        asks_refuse(e, false);
        break;
    case COMMAND_RESUME:
        e->paused = false;
        round_next(e);
        break;
    case COMMAND_QUIT:
        if (!e->finished) {
            e->finished = true;
            e->opt.done(e->opt.ctx);
        }
        break;
    case COMMAND_INPUT:
        if (op != OP_NONE && e->nodes.v[e->node_of[op]].exec->interactive &&
            e->nodes.v[e->node_of[op]].flight)
            typing_input(e, e->nodes.v[e->node_of[op]].flight, command->bytes, command->n);
        break;
    case COMMAND_TERMINAL:
        typing_resize(e, (struct winsize){.ws_row = command->rows, .ws_col = command->cols});
        break;
    case COMMAND_INIT: break; /* there is one */
    }
}

struct answers *engine_answers(struct engine *e)
{
    struct answers_options options = {
        .loop = e->loop, .root = e->opt.root, .cache = e->opt.cache, .records = e->opt.records};
    if (!e->answers)
        e->answers = answers_new(&options);
    return e->answers;
}

static void ask_about_box(struct engine *e, struct question *question)
{
    const struct kept_box_options options = {.records = e->opt.records,
                                             .history = e->opt.history,
                                             .cache = e->opt.cache,
                                             .graph = e->graph,
                                             .root = e->opt.root,
                                             .step = question->step};
    struct kept_box *box = NULL;
    struct err err = ERR_INIT;
    if (!e->graph)
        err_set(&err, ERR_USAGE, "there is no pipeline");
    else if (kept_box_open(&options, &box, &err) < 0)
        box = NULL;
    answers_ask_box(engine_answers(e), question, box, box ? NULL : err_text(&err));
    err_release(&err);
}

static void on_question(void *ctx, struct question *question)
{
    if (question->kind == QUESTION_BOX || question->kind == QUESTION_TAKE)
        ask_about_box(ctx, question);
    else
        answers_ask(engine_answers(ctx), question);
}

struct control engine_control(struct engine *e)
{
    return (struct control){.ctx = e,
                            .send = on_command,
                            .log_path = logs_path,
                            .key_now = look_key,
                            .place = look_place,
                            .inputs = look_inputs,
                            .ask = on_question,
                            .facts = look_facts};
}
