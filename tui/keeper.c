#include "tui/keeper.h"

#include "base/mem.h"

#include <stdlib.h>

struct choice {
    const char *name, *word; /* NULL: none */
};

struct keeper {
    uv_loop_t *loop;
    uv_work_t work;
    struct settings settings; /* what it needs of them */
    void (*told)(void *ctx, const char *name, const char *word, const char *what);
    void *ctx;
    bool gone, working;
    struct choice now, next;
    struct err err;
};

struct keeper *keeper_new(uv_loop_t *loop, const struct settings *settings,
                          void (*told)(void *ctx, const char *name, const char *word,
                                       const char *what),
                          void *ctx)
{
    if (!settings->keep || !settings->file)
        return NULL;
    struct keeper *keeper = mem_zalloc(1, sizeof *keeper);
    *keeper = (struct keeper){.loop = loop, .told = told, .ctx = ctx};
    keeper->settings.keep = settings->keep;
    keeper->settings.file = mem_strdup(settings->file);
    keeper->settings.file_shown = mem_strdup(settings->file_shown);
    keeper->work.data = keeper;
    return keeper;
}

static void release(struct keeper *keeper)
{
    settings_release(&keeper->settings);
    free(keeper);
}

static void write_choice(uv_work_t *work)
{
    struct keeper *keeper = work->data;
    const struct settings *s = &keeper->settings;
    if (s->keep(s->file, s->file_shown, keeper->now.name, keeper->now.word, &keeper->err) < 0 &&
        keeper->err.kind == ERR_NONE)
        err_set(&keeper->err, ERR_SYSTEM, "it could not be written");
}

static void start(struct keeper *keeper);

static void on_written(uv_work_t *work, int status)
{
    struct keeper *keeper = work->data;
    const struct choice *now = &keeper->now;
    (void)status;
    keeper->working = false;
    if (!keeper->gone) {
        char *what = keeper->err.kind == ERR_NONE
                         ? mem_printf(", from now on (%s)", keeper->settings.file_shown)
                         : mem_printf(", but only for now: %s", err_text(&keeper->err));
        keeper->told(keeper->ctx, now->name, now->word, what);
        free(what);
    }
    err_release(&keeper->err);
    if (keeper->next.name)
        start(keeper);
    else if (keeper->gone)
        release(keeper);
}

static void start(struct keeper *keeper)
{
    keeper->now = keeper->next;
    keeper->next = (struct choice){NULL, NULL};
    keeper->working = uv_queue_work(keeper->loop, &keeper->work, write_choice, on_written) == 0;
}

void keeper_keep(struct keeper *keeper, const char *name, const char *word)
{
    if (!keeper)
        return;
    keeper->next = (struct choice){name, word};
    if (!keeper->working)
        start(keeper);
}

void keeper_free(struct keeper *keeper)
{
    if (!keeper)
        return;
    keeper->gone = true;
    if (!keeper->working)
        release(keeper);
}
