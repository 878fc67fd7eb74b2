/* acts_breaks.c - what a person says about when steps are to be held. */
#include "tui/acts.h"

#include "base/mem.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

bool act_has_step(const struct app *app)
{
    return act_step(app) && !app->quitting;
}

void act_break_after(struct app *app)
{
    char *name = mem_strdup(act_step(app)->name), *rule = mem_printf("after@%s", name);
    bool set = !model_has_break(act_now(app), rule);
    app_send_rule(app, set ? COMMAND_BREAK : COMMAND_UNBREAK, rule);
    app_say(app, set ? "%s is held when it has ended" : "%s is not held any more when it has ended",
            name);
    free(rule);
    free(name);
}

/* A bad rule is told by a notice of the engine. */
static void rule_ended(struct app *app, bool accepted)
{
    if (!accepted || app->typed.len == 0)
        return;
    char *rule = mem_strdup(buf_str(&app->typed));
    app_send_rule(app, COMMAND_BREAK, rule);
    if (model_has_break(act_now(app), rule))
        app_say(app, "held from now on: %s (L lists, and takes away)", rule);
    free(rule);
}

/* By the width that there is. */
static const struct prompt prompts[] = {
    {"hold on: ", NULL, NULL, rule_ended},
    {"failure key-changed duration>9s output~X @STEP: ", NULL, NULL, rule_ended},
    {"hold on failure, key-changed, duration>30s, output~WORDS, each @STEP: ", NULL, NULL,
     rule_ended},
};

void act_ask_break(struct app *app)
{
    int w = app->layout.footer.w;
    app_prompt(app, &prompts[w < 80 ? 0 : w < 120 ? 1 : 2]);
}

bool act_has_breaks(const struct app *app)
{
    return act_now(app)->breaks.n > 0 && act_not_quitting(app);
}

void act_list_breaks(struct app *app)
{
    palette_open_breaks(app);
}
