/* view_cache.c - the cache: how big it is, how much it helps, what a gc would do now. */
#include "tui/view.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/asking.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LABEL 12

static void answered(struct app *app, struct question *question)
{
    if (!app)
        return;
    struct cache_view *cache = &app->cache;
    cache->asking = false;
    free(cache->error);
    cache->error = question->found ? NULL : mem_strdup(question->error ? question->error : "");
    if (!question->found)
        return;
    arena_release(&cache->arena);
    cache->arena = question->arena;
    question->arena = (struct arena)ARENA_INIT;
    cache->facts = question->cache;
    cache->known = true;
}

static void sync_facts(struct app *app)
{
    struct cache_view *cache = &app->cache;
    uint64_t stamp = app_stamp(app);
    if (cache->asking || ((cache->known || cache->error) && cache->as_of == stamp))
        return;
    cache->as_of = stamp;
    cache->asking = app_ask(app, &(struct question){.kind = QUESTION_CACHE}, answered);
}

/* -- rows -------------------------------------------------------------------------------------- */

struct rows {
    struct pen_row row;
    int top, count;
};

static struct pen_row *labelled(struct rows *rows, const char *label)
{
    rows->row.x = 1;
    rows->row.y = rows->count++ - rows->top;
    row_put(&rows->row, ROLE_DIM, label);
    rows->row.x = LABEL;
    return &rows->row;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void put_size(struct pen_row *row, uint64_t bytes)
{
    char text[16];
    row_put(row, ROLE_STRONG, text_size(bytes, text));
}

static void put_gauge(struct pen_row *row, uint64_t part, uint64_t whole)
{
    int width = row->area.w - row->x - 1 < 20 ? row->area.w - row->x - 1 : 20;
    double share = part < whole ? (double)part / (double)whole : 1;
    int full = (int)(share * width + 0.5);
    if (width < 5)
        return;
    for (int i = 0; i < width; i++)
        row_put(row, i < full ? (share > 0.9 ? ROLE_WARNING : ROLE_HIT) : ROLE_DIM,
                i < full ? "━" : "─");
}

static void put_part(struct pen_row *row, bool *any, uint64_t n, const char *what, uint64_t bytes)
{
    char text[16];
    if (n == 0 && bytes == 0)
        return;
    row_put(row, ROLE_DIM, *any ? " · " : "");
    if (n > 0)
        row_printf(row, ROLE_TEXT, "%" PRIu64 " ", n);
    row_printf(row, ROLE_TEXT, "%s %s", what, text_size(bytes, text));
    *any = true;
}

static void put_rate(struct pen_row *row, uint64_t hits, uint64_t all)
{
    if (all == 0) {
        row_put(row, ROLE_DIM, "nothing yet");
        return;
    }
    row_printf(row, ROLE_STRONG, "%" PRIu64 "%%", hits * 100 / all);
    row_printf(row, ROLE_TEXT, " from the cache: %" PRIu64 " of %" PRIu64 " results", hits, all);
}

static void put_facts(struct app *app, struct rows *rows)
{
    const struct cache_facts *facts = &app->cache.facts;
    char text[16];
    struct pen_row *row = labelled(rows, "size");
    put_size(row, facts->disk_bytes);
    if (facts->limit_bytes) {
        row_printf(row, ROLE_TEXT, " of %s ", text_size(facts->limit_bytes, text));
        put_gauge(row, facts->disk_bytes, facts->limit_bytes);
    } else {
        row_put(row, ROLE_TEXT, ", no limit");
    }
    row = labelled(rows, "holds");
    row_printf(row, ROLE_TEXT, "%" PRIu64 " result%s, %" PRIu64 " blob%s", facts->results,
               plural(facts->results), facts->blobs, plural(facts->blobs));
    bool any = false;
    if (facts->snapshots || facts->images || facts->snapshot_bytes || facts->image_bytes) {
        row = labelled(rows, "");
        put_part(row, &any, facts->snapshots, "snapshots", facts->snapshot_bytes);
        put_part(row, &any, facts->images, "blobs and layers of images", facts->image_bytes);
    }
    any = false;
    if (facts->mount_bytes || facts->box_bytes) {
        row = labelled(rows, "besides");
        put_part(row, &any, 0, "cache directories of steps", facts->mount_bytes);
        put_part(row, &any, 0, "what isolated steps wrote", facts->box_bytes);
    }
    row = labelled(rows, "gc now");
    if (facts->gc_bytes == 0 && facts->gc_results == 0) {
        row_put(row, ROLE_TEXT, "nothing to remove");
    } else {
        row_put(row, ROLE_TEXT, "would remove ");
        put_size(row, facts->gc_bytes);
        row_printf(row, ROLE_TEXT, " with %" PRIu64 " result%s", facts->gc_results,
                   plural(facts->gc_results));
        if (facts->oldest_ns && facts->oldest_ns < app->clock_ns)
            row_printf(row, ROLE_DIM, ", some unused for %s",
                       text_duration((app->clock_ns - facts->oldest_ns) / 1000000000 * 1000, text));
    }
    row = labelled(rows, "place");
    struct buf path = BUF_INIT;
    buf_add_shown(&path, facts->path, strlen(facts->path));
    row_put(row, ROLE_DIM, buf_str(&path));
    buf_release(&path);
}

/* Of the run that is shown. */
static void put_run(struct app *app, struct rows *rows)
{
    const struct model *model = &app->model;
    uint64_t hits = 0, all = 0, saved = 0;
    char text[16];
    vec_each (const struct model_step, step, &model->steps) {
        if (!model_in_run(model, step))
            continue;
        hits += step->state == STATE_CACHED;
        all += step->state == STATE_CACHED || step->state == STATE_PASSED ||
               step->state == STATE_FAILED;
        saved += step->state == STATE_CACHED ? step->saved_ms : 0;
    }
    struct pen_row *row = labelled(rows, app->past.id ? "that run" : "this run");
    put_rate(row, hits, all);
    if (saved > 0)
        row_printf(row, ROLE_HIT, ", %s saved", text_duration(saved, text));
}

static void put_runs(struct app *app, struct rows *rows)
{
    uint64_t hits = 0, all = 0, saved = 0;
    char text[16];
    for (size_t i = 0; i < app->runs.n; i++) {
        const struct run_facts *run = &app->runs.v[i];
        saved += run->saved_ms;
        hits += run->cached;
        all += run->cached + run->passed + run->failed;
    }
    if (!app->runs.known)
        return;
    struct pen_row *row = labelled(rows, "all runs");
    put_rate(row, hits, all);
    if (all > 0)
        row_printf(row, ROLE_DIM, " in %zu run%s on record", app->runs.n, plural(app->runs.n));
    if (saved > 0)
        row_printf(row, ROLE_HIT, ", %s saved", text_duration(saved, text));
}

static void draw(struct app *app, struct area area)
{
    struct cache_view *cache = &app->cache;
    sync_facts(app);
    runs_sync(app);
    int most = cache->rows > area.h ? cache->rows - area.h : 0;
    cache->top = cache->top > most ? most : cache->top;
    struct rows rows = {{&app->screen, area, 0, 0}, cache->top, 0};
    if (cache->known)
        put_facts(app, &rows);
    else
        row_put(labelled(&rows, ""), ROLE_DIM,
                cache->error                ? cache->error
                : app->control->ask == NULL ? "Nothing is known of the cache here."
                                            : "Looking …");
    put_run(app, &rows);
    put_runs(app, &rows);
    cache->rows = rows.count;
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    const struct cache_view *cache = &app->cache;
    char text[16];
    buf_adds(left, "Cache");
    if (cache->known)
        buf_adds(right, text_size(cache->facts.disk_bytes, text));
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct cache_view *cache = &app->cache;
    int height = app->layout.panes[PANE_CACHE].body.h;
    int most = cache->rows > height ? cache->rows - height : 0;
    cache->top = (int)motion_to(motion, amount, height, (uint64_t)cache->top, (uint64_t)most);
}

const struct view view_cache = {"cache", title, draw, move, NULL};
