#include "tui/asking.h"

#include "base/mem.h"
#include "tui/app.h"

#include <stdlib.h>
#include <string.h>

struct asked {
    struct question question;
    struct app *app; /* NULL: gone */
    answered_cb *answered;
    char *run, *path, *key, *step;
    void (*event)(void *ctx, const struct event *event);
    void *ctx;
};

static void on_event(void *ctx, const struct event *event)
{
    struct asked *asked = ctx;
    asked->event(asked->ctx, event);
}

static void on_done(struct question *question)
{
    struct asked *asked = question->ctx;
    struct app *app = asked->app;
    for (size_t i = 0; app && i < app->asked.n; i++) {
        if (app->asked.v[i] != asked)
            continue;
        app->asked.v[i] = vec_last(&app->asked);
        app->asked.n--;
        break;
    }
    question->ctx = asked->ctx;
    asked->answered(app, question);
    if (app && app->wake)
        app->wake(app->wake_ctx);
    arena_release(&question->arena);
    free(asked->run);
    free(asked->path);
    free(asked->key);
    free(asked->step);
    chunks_release(&question->chunks);
    free(asked);
}

bool app_ask(struct app *app, const struct question *question, answered_cb *answered)
{
    if (!app->control->ask)
        return false;
    struct asked *asked = mem_zalloc(1, sizeof *asked);
    *asked = (struct asked){.question = *question,
                            .app = app,
                            .answered = answered,
                            .run = question->run ? mem_strdup(question->run) : NULL,
                            .path = question->path ? mem_strdup(question->path) : NULL,
                            .key = question->key ? mem_strdup(question->key) : NULL,
                            .step = question->step ? mem_strdup(question->step) : NULL,
                            .event = question->event,
                            .ctx = question->ctx};
    asked->question.run = asked->run;
    asked->question.path = asked->path;
    asked->question.key = asked->key;
    asked->question.step = asked->step;
    asked->question.event = question->event ? on_event : NULL;
    asked->question.ctx = asked;
    asked->question.done = on_done;
    vec_push(&app->asked, asked);
    app->control->ask(app->control->ctx, &asked->question);
    return true;
}

void asking_release(struct app *app)
{
    vec_each (struct asked *, asked, &app->asked)
        (*asked)->app = NULL;
    vec_release(&app->asked);
}
