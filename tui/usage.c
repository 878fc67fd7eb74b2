#include "tui/usage.h"

#include "base/text.h"
#include "tui/asking.h"
#include "tui/view.h"

#include <inttypes.h>

#define EVERY_NS 900000000u /* what makes frames while a step runs comes once a second */
#define SHARE    50         /* looking takes at most one of so many parts of a processor */

static const struct usage_now *now_of(const struct app *app, const struct model_step *step)
{
    size_t index = (size_t)(step - app->model.steps.v);
    if (step->state != STATE_RUNNING || app->past.id)
        return NULL;
    vec_each (struct usage_now, now, &app->usages.v) {
        if (now->step == index && now->pid == step->pid && now->starts == step->starts)
            return now;
    }
    return NULL;
}

static void answered(struct app *app, struct question *question)
{
    if (!app)
        return;
    struct usages *usages = &app->usages;
    usages->asking = false;
    uint64_t rest_ns = question->usage_took_ns * SHARE;
    usages->next_ns = app->clock_ns + (rest_ns > EVERY_NS ? rest_ns : EVERY_NS);
    for (size_t i = 0; question->found && i < usages->v.n; i++) {
        struct usage_now *now = &usages->v.v[i];
        size_t k = 0;
        while (k < question->n_pids && question->pids[k] != now->pid)
            k++;
        if (k == question->n_pids)
            continue;
        const struct usage_facts *facts = &question->usage[k];
        uint64_t span = (question->usage_ns - now->at_ns) / 1000;
        if (question->usage_ns > now->at_ns && span > 0 && facts->cpu_us >= now->facts.cpu_us)
            now->percent = (unsigned)((facts->cpu_us - now->facts.cpu_us) * 100 / span);
        now->facts = *facts;
        now->at_ns = question->usage_ns;
    }
}

/* Those that are asked about: each with what was known of it, else from its start on. */
static void choose(struct app *app)
{
    struct usages *usages = &app->usages;
    VEC(struct usage_now) chosen = VEC_INIT;
    size_t only = app->layout.panes[PANE_STEPS].shown ? SIZE_MAX : app->selected;
    for (size_t i = model_first(&app->model, STATE_RUNNING);
         i < app->model.steps.n && chosen.n < QUESTION_PIDS; i = app->model.steps.v[i].after) {
        const struct model_step *step = &app->model.steps.v[i];
        const struct usage_now *known = now_of(app, step);
        if (step->pid <= 0 || (only != SIZE_MAX && only != i))
            continue;
        if (known)
            vec_push(&chosen, *known);
        else
            vec_push(&chosen, ((struct usage_now){.pid = step->pid,
                                                  .starts = step->starts,
                                                  .step = i,
                                                  .at_ns = step->started_ns}));
    }
    usages->v.n = 0;
    vec_each (struct usage_now, now, &chosen)
        vec_push(&usages->v, *now);
    vec_release(&chosen);
}

void usage_sync(struct app *app)
{
    struct usages *usages = &app->usages;
    bool seen = app->layout.panes[PANE_STEPS].shown || app->layout.panes[PANE_WHY].shown;
    bool is_time =
        app->now_ns >= usages->next_ns ||
        usages->next_ns - app->now_ns > (uint64_t)60 * 1000000000; /* the clock was set */
    if (usages->asking || !seen || !is_time || app->past.id || app->replay ||
        app->model.counts[STATE_RUNNING] == 0)
        return;
    choose(app);
    struct question question = {.kind = QUESTION_USAGE, .n_pids = usages->v.n};
    for (size_t i = 0; i < usages->v.n; i++)
        question.pids[i] = usages->v.v[i].pid;
    usages->asking = usages->v.n > 0 && app_ask(app, &question, answered);
}

void usage_release(struct usages *usages)
{
    vec_release(&usages->v);
}

/* What is known of the step; false: nothing. live: it goes on. */
static bool usage_of(const struct app *app, const struct model_step *step, struct usage_facts *out,
                     uint64_t *percent, bool *live)
{
    const struct usage_now *now = now_of(app, step);
    *live = now != NULL;
    if (now) {
        *out = now->facts;
        *percent = now->percent;
    } else if (step->state != STATE_RUNNING) {
        *out = (struct usage_facts){step->cpu_ms * 1000, step->memory_bytes};
        *percent = step->duration_ms ? step->cpu_ms * 100 / step->duration_ms : 0;
    } else {
        return false;
    }
    return out->cpu_us > 0 || out->memory > 0;
}

void usage_text(const struct app *app, const struct model_step *step, struct buf *out)
{
    struct usage_facts facts;
    uint64_t percent;
    bool live;
    char size[16];
    if (!usage_of(app, step, &facts, &percent, &live))
        return;
    buf_addf(out, "%4" PRIu64 "%%", percent);
    if (facts.memory)
        buf_addf(out, " %8s", text_size(facts.memory, size));
}

void usage_sentence(const struct app *app, const struct model_step *step, struct buf *out)
{
    struct usage_facts facts;
    uint64_t percent;
    bool live;
    char text[16];
    if (!usage_of(app, step, &facts, &percent, &live))
        return;
    buf_addf(out, "%s of processor", text_duration(facts.cpu_us / 1000, text));
    if (live)
        buf_addf(out, ", %" PRIu64 "%% now", percent);
    else if (step->duration_ms >= 100)
        buf_addf(out, ", %" PRIu64 ".%" PRIu64 " × its time", percent / 100, percent / 10 % 10);
    if (facts.memory)
        buf_addf(out, "; %s%s", live ? "" : "up to ", text_size(facts.memory, text));
}
