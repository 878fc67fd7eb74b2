/*
 * plain_live.c - the status line of a run on a terminal: "● build 3.2s  ● lint 0.8s   3/5 done,
 * 1 cached" (see plain_private.h).
 */
#include "cli/plain_private.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MIN_WIDTH 20

void live_start(struct live *live, const char *step, uint64_t start_ns)
{
    live_end(live, step);
    vec_push(&live->running, (struct live_step){mem_strdup(step), start_ns, NULL});
}

void live_doing(struct live *live, const char *step, const char *doing)
{
    struct live_step *at = live->running.v;
    while (at < live->running.v + live->running.n && strcmp(at->name, step) != 0)
        at++;
    if (at == live->running.v + live->running.n) {
        vec_push(&live->running, (struct live_step){mem_strdup(step), 0, NULL});
        at = &vec_last(&live->running);
    }
    free(at->doing);
    at->doing = mem_strdup(doing);
}

void live_end(struct live *live, const char *step)
{
    for (size_t i = 0; i < live->running.n; i++) {
        struct live_step *at = &live->running.v[i];
        if (strcmp(at->name, step) != 0)
            continue;
        free(at->name);
        free(at->doing);
        memmove(at, at + 1, (live->running.n - i - 1) * sizeof *at);
        live->running.n--;
        return;
    }
}

void live_release(struct live *live)
{
    vec_each (struct live_step, step, &live->running) {
        free(step->name);
        free(step->doing);
    }
    vec_release(&live->running);
}

/* Columns at most: what may be wide counts as two. */
static size_t columns_of(const char *text, size_t n)
{
    size_t columns = 0;
    while (n) {
        uint32_t scalar = 0;
        size_t bytes = utf8_decode(text, n, &scalar);
        bool wide = scalar >= 0x2e80 || (scalar >= 0x1100 && scalar < 0x1160);
        columns += bytes && wide ? 2 : 1;
        bytes = bytes ? bytes : 1;
        text += bytes;
        n -= bytes;
    }
    return columns;
}

static void add_elapsed(uint64_t ns, struct buf *out)
{
    char text[16];
    uint64_t ms = ns / 1000000;
    if (ms < 60000)
        buf_addf(out, "%" PRIu64 ".%" PRIu64 "s", ms / 1000, ms % 1000 / 100);
    else
        buf_adds(out, text_duration(ms, text));
}

static void add_counts(const struct live *live, struct buf *out)
{
    buf_addf(out, "%" PRIu32 "/%" PRIu32 " done", live->done, live->total);
    if (live->cached)
        buf_addf(out, ", %" PRIu32 " cached", live->cached);
    if (live->failed)
        buf_addf(out, ", %" PRIu32 " failed", live->failed);
}

/* Adds as many of the running steps as fit into room columns; returns the columns taken. */
static size_t add_running(const struct live *live, size_t room, bool utf8, uint64_t now_ns,
                          struct buf *out)
{
    const char *glyph = utf8 ? "● " : "* ";
    size_t used = 0, shown = 0;
    struct buf item = BUF_INIT;
    for (; shown < live->running.n; shown++) {
        const struct live_step *step = &live->running.v[shown];
        size_t left = live->running.n - shown - 1;
        buf_reset(&item);
        buf_adds(&item, glyph);
        buf_add_shown(&item, step->name, strlen(step->name));
        buf_addc(&item, ' ');
        if (step->doing)
            buf_add_shown(&item, step->doing, strlen(step->doing));
        else
            add_elapsed(now_ns > step->start_ns ? now_ns - step->start_ns : 0, &item);
        buf_adds(&item, "  ");
        size_t columns = columns_of(item.data, item.len);
        if (used + columns + (left ? 6 : 0) > room)
            break;
        buf_add(out, item.data, item.len);
        used += columns;
    }
    if (shown < live->running.n && used + 6 <= room) {
        buf_reset(&item);
        buf_addf(&item, "+%zu  ", live->running.n - shown);
        buf_add(out, item.data, item.len);
        used += item.len;
    }
    buf_release(&item);
    return used;
}

void live_line(const struct live *live, size_t width, bool utf8, bool color, uint64_t now_ns,
               struct buf *out)
{
    struct buf counts = BUF_INIT;
    if (width < MIN_WIDTH)
        return;
    size_t room = width - 1;
    if (live->active)
        add_counts(live, &counts);
    else if (live->idle)
        buf_adds(&counts, live->idle);
    if (counts.len && counts.len <= room) {
        if (live->active)
            add_running(live, room - counts.len, utf8, now_ns, out);
        buf_addf(out, color ? "\033[2m%s\033[0m" : "%s", buf_str(&counts));
    }
    buf_release(&counts);
}
