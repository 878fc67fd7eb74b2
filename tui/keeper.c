#include "tui/keeper.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>

struct keeper {
    uv_loop_t *loop;
    uv_work_t work;
    struct settings settings; /* what it needs of them */
    void (*told)(void *ctx, const char *chosen, const char *what);
    void *ctx;
    bool gone, working;
    struct settings_choices now, next;
    struct err err;
};

struct keeper *keeper_new(uv_loop_t *loop, const struct settings *settings,
                          void (*told)(void *ctx, const char *chosen, const char *what), void *ctx)
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
    int code = 0;
    for (size_t i = 0; i < keeper->now.n && code == 0; i++)
        code = s->keep(s->file, s->file_shown, keeper->now.v[i].name, keeper->now.v[i].word,
                       &keeper->err);
    if (code < 0 && keeper->err.kind == ERR_NONE)
        err_set(&keeper->err, ERR_SYSTEM, "it could not be written");
}

static void start(struct keeper *keeper);

static void on_written(uv_work_t *work, int status)
{
    struct keeper *keeper = work->data;
    const struct settings_choices *now = &keeper->now;
    (void)status;
    keeper->working = false;
    if (!keeper->gone) {
        char *what = keeper->err.kind == ERR_NONE
                         ? mem_printf(", from now on (%s)", keeper->settings.file_shown)
                         : mem_printf(", but only for now: %s", err_text(&keeper->err));
        struct buf chosen = BUF_INIT;
        for (size_t i = 0; i < now->n; i++)
            buf_addf(&chosen, "%s%s %s", i ? ", " : "", now->v[i].name, now->v[i].word);
        keeper->told(keeper->ctx, buf_str(&chosen), what);
        buf_release(&chosen);
        free(what);
    }
    err_release(&keeper->err);
    if (keeper->next.n > 0)
        start(keeper);
    else if (keeper->gone)
        release(keeper);
}

static void start(struct keeper *keeper)
{
    keeper->now = keeper->next;
    keeper->next.n = 0;
    keeper->working = uv_queue_work(keeper->loop, &keeper->work, write_choice, on_written) == 0;
}

void keeper_keep(struct keeper *keeper, const struct settings_choices *choices)
{
    if (!keeper)
        return;
    for (size_t i = 0; i < choices->n; i++)
        settings_choose(&keeper->next, choices->v[i].name, choices->v[i].word);
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
