#include "tui/view.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/asking.h"
#include "tui/past.h"
#include "tui/width.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The rows that scroll: each begun with next(), drawn only where it is seen. */
struct rows {
    struct app *app;
    struct pen_row row;
    int top, count;
};

#define INDENT 12

static struct pen_row *next(struct rows *rows)
{
    rows->row.x = 1;
    rows->row.y = rows->count++ - rows->top;
    return &rows->row;
}

/* A row with a dim word at its left. */
static struct pen_row *labelled(struct rows *rows, const char *label)
{
    struct pen_row *row = next(rows);
    row_put(row, ROLE_DIM, label);
    row->x = row->x < INDENT ? INDENT : row->x + 1;
    return row;
}

static void put_shown(struct pen_row *row, enum role role, const char *text)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, text, strlen(text));
    row_put(row, role, buf_str(&shown));
    buf_release(&shown);
}

/* The text, on as many rows as it takes. */
static void put_wrapped(struct rows *rows, enum role role, const char *text)
{
    struct pen_row *row = &rows->row;
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, text, strlen(text));
    const char *bytes = buf_str(&shown);
    bool wraps = row->area.w > INDENT + 1;
    for (size_t left = shown.len, n; left > 0; left -= n, bytes += n) {
        size_t word = strcspn(bytes, " ");
        if (wraps && row->x > INDENT && row->x + width_text(bytes, word) > row->area.w)
            row = labelled(rows, "");
        n = wraps ? width_row(bytes, left, row->area.w - row->x) : left;
        row->x = screen_put(row->screen, row->area, row->x, row->y, look_style(role), bytes, n);
    }
    buf_release(&shown);
}

static void put_value(struct pen_row *row, enum role role, const char *value)
{
    struct buf text = BUF_INIT;
    look_value(value, 200, &text);
    row_put(row, role, buf_str(&text));
    buf_release(&text);
}

/* "9f2c41 → c41d07", "added c41d07", "removed, was 9f2c41"; long values stand under each other, so
 * that the eye finds what differs. */
static void put_change(struct rows *rows, const struct reason *reason)
{
    struct buf old = BUF_INIT, now = BUF_INIT;
    struct pen_row *row = &rows->row;
    reason_values(reason, 200, &old, &now);
    if (reason->old && reason->now && (int)(old.len + now.len) >= row->area.w - row->x - 8) {
        row = labelled(rows, "");
        row_put(row, ROLE_OLD, "− ");
        row_put(row, ROLE_OLD, buf_str(&old));
        row = labelled(rows, "");
        row_put(row, ROLE_NEW, "+ ");
        row_put(row, ROLE_NEW, buf_str(&now));
    } else if (reason->old && reason->now) {
        row_put(row, ROLE_TEXT, "  ");
        row_put(row, ROLE_OLD, buf_str(&old));
        row_put(row, ROLE_DIM, " → ");
        row_put(row, ROLE_NEW, buf_str(&now));
    } else if (reason->now) {
        row_put(row, ROLE_DIM, "  added ");
        row_put(row, ROLE_NEW, buf_str(&now));
    } else if (reason->old) {
        row_put(row, ROLE_DIM, "  removed, was ");
        row_put(row, ROLE_OLD, buf_str(&old));
    }
    buf_release(&old);
    buf_release(&now);
}

static void put_reason(struct rows *rows, const struct reason *reason)
{
    if ((unsigned)reason->kind >= REASON_N)
        return;
    const char *sentence = reason_sentence(reason->kind);
    struct pen_row *row = labelled(rows, reason_kind_name(reason->kind));
    if (sentence) {
        put_wrapped(rows, ROLE_TEXT, sentence);
        row_put(row, ROLE_TEXT, reason->subject || reason->note ? ", " : "");
    }
    if (reason->kind == REASON_UPSTREAM && reason->step) {
        put_shown(row, ROLE_STRONG, reason->step);
        row_put(row, ROLE_DIM, reason->subject ? ": " : "");
    }
    if (reason->subject)
        put_wrapped(rows, ROLE_STRONG, reason->subject);
    else if (reason->kind == REASON_COMMAND && !reason->old && !reason->now)
        row_put(row, ROLE_TEXT, "changed");
    put_change(rows, reason);
    if (reason->note) {
        row_put(&rows->row, ROLE_DIM, sentence ? "" : "  ");
        put_wrapped(rows, ROLE_DIM, reason->note);
    }
}

/* -- diffs ------------------------------------------------------------------------------------- */

#define DIFFS       64 /* kept */
#define DIFFS_ASKED 4  /* at a time */
#define DIFF_ROWS   12 /* a pane that has fewer shows none, unless it has the whole screen */

static void diff_free(struct diff *diff)
{
    free(diff->path);
    free(diff->text);
}

void diffs_release(struct diffs *diffs)
{
    for (size_t i = 0; i < diffs->n; i++)
        diff_free(&diffs->v[i]);
    free(diffs->v);
}

static void diff_answered(struct app *app, struct question *question)
{
    if (!app)
        return;
    struct diffs *diffs = &app->diffs;
    diffs->asking--;
    for (size_t i = 0; i < diffs->n; i++) {
        struct diff *diff = &diffs->v[i];
        if (diff->no == (uint64_t)(uintptr_t)question->ctx)
            diff->text = mem_strdup(question->found ? question->text : "");
    }
}

/* "64 hex +x" as a digest; what is none (a link, a directory) has no lines to show. */
static bool take_digest(const char *value, struct digest *out)
{
    char hex[DIGEST_HEX + 1];
    *out = (struct digest){0};
    if (!value)
        return true;
    size_t n = strcspn(value, " ");
    if (n != DIGEST_HEX)
        return false;
    memcpy(hex, value, n);
    hex[n] = '\0';
    return digest_parse(hex, 0, out);
}

/* NULL: it has no diff, or that is yet to come. Asks for it where nobody has. */
static const char *diff_of(struct app *app, const struct reason *reason)
{
    struct diffs *diffs = &app->diffs;
    struct digest old, now;
    if (!reason->subject || !take_digest(reason->old, &old) || !take_digest(reason->now, &now))
        return NULL;
    for (size_t i = 0; i < diffs->n; i++) {
        const struct diff *diff = &diffs->v[i];
        if (strcmp(diff->path, reason->subject) == 0 && digest_eq(&diff->old, &old) &&
            digest_eq(&diff->now, &now))
            return diff->text;
    }
    if (diffs->asking >= DIFFS_ASKED)
        return NULL;
    if (!diffs->v)
        diffs->v = mem_zalloc(DIFFS, sizeof *diffs->v);
    if (diffs->n == DIFFS) {
        diff_free(&diffs->v[0]);
        memmove(diffs->v, diffs->v + 1, (DIFFS - 1) * sizeof *diffs->v);
        diffs->n--;
    }
    struct question question = {.kind = QUESTION_DIFF,
                                .path = reason->subject,
                                .old = old,
                                .now = now,
                                .ctx = (void *)(uintptr_t)++diffs->no};
    diffs->v[diffs->n++] = (struct diff){mem_strdup(reason->subject), NULL, old, now, diffs->no};
    diffs->asking++;
    if (!app_ask(app, &question, diff_answered))
        diffs->asking--;
    return NULL;
}

static void put_diff_line(struct rows *rows, const char *line, size_t n)
{
    struct buf text = BUF_INIT;
    struct pen_row *row = labelled(rows, "");
    buf_add_shown(&text, line + 1, n - 1);
    switch (*line) {
    case '-': row_printf(row, ROLE_OLD, "− %s", buf_str(&text)); break;
    case '+': row_printf(row, ROLE_NEW, "+ %s", buf_str(&text)); break;
    case '@': row_printf(row, ROLE_DIM, "  line%s", buf_str(&text)); break;
    default: row_printf(row, ROLE_DIM, "  %s", buf_str(&text)); break;
    }
    buf_release(&text);
}

/* Below a file's reason, where the pane has room: what changed in it. */
static void put_diff(struct rows *rows, const struct reason *reason)
{
    if ((rows->row.area.h < DIFF_ROWS && !rows->app->zoom) ||
        (reason->kind != REASON_FILE && reason->kind != REASON_UPSTREAM))
        return;
    const char *text = diff_of(rows->app, reason);
    for (size_t n; text && *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (n > 0)
            put_diff_line(rows, text, n);
    }
}

static void put_reasons(struct rows *rows, const struct model_step *step)
{
    for (size_t i = 0; i < step->n_reasons; i++) {
        put_reason(rows, &step->reasons[i]);
        put_diff(rows, &step->reasons[i]);
    }
    if (step->all_reasons > step->n_reasons)
        row_printf(labelled(rows, ""), ROLE_DIM, "and %zu more",
                   step->all_reasons - step->n_reasons);
}

static void put_failure(struct rows *rows, const struct buf *failure)
{
    if (failure->len == 0)
        return;
    row_put(&rows->row, ROLE_STRONG, ": ");
    put_wrapped(rows, ROLE_STRONG, failure->data);
}

/* Where it is held, and why. */
static void put_held(struct rows *rows, const struct model_step *step)
{
    struct buf failure = BUF_INIT;
    char text[16];
    struct pen_row *row = &rows->row;
    if (step->held_failed || step->held_passed)
        row_printf(row, ROLE_TEXT, ": %s after %s", step->held_failed ? "failed" : "passed",
                   text_duration(step->duration_ms, text));
    else
        row_put(row, ROLE_TEXT, " before it starts");
    if (step->held_failed)
        look_failure(step, &failure);
    put_failure(rows, &failure);
    buf_release(&failure);
    if (!step->held_why)
        return;
    labelled(rows, "held");
    put_wrapped(rows, ROLE_WARNING, step->held_why);
    if (step->held_rule) {
        put_wrapped(rows, ROLE_DIM, "  ");
        put_wrapped(rows, ROLE_DIM, step->held_rule);
    }
}

void held_release(struct held_view *held)
{
    if (held->known)
        arena_release(&held->facts.arena);
    free(held->step);
    *held = (struct held_view){0};
}

/* Asked for once each time that a step comes to be held; NULL: it is not, or nobody knows. */
static const struct step_facts *facts_of(struct app *app, const struct model_step *step)
{
    struct held_view *held = &app->held;
    if (step->state != STATE_PAUSED || app->past.id || app->replay || !app->control->facts)
        return NULL;
    if (!held->step || held->state_no != step->state_no || strcmp(held->step, step->name) != 0) {
        held_release(held);
        held->step = mem_strdup(step->name);
        held->state_no = step->state_no;
        held->known = app->control->facts(app->control->ctx, step->name, &held->facts);
    }
    return held->known ? &held->facts : NULL;
}

/* What is other than when it last passed. */
static void put_since_pass(struct rows *rows, const struct step_facts *facts)
{
    if (!facts->keyed)
        return;
    if (!facts->since || facts->all_reasons == 0) {
        labelled(rows, "changed");
        put_wrapped(rows, ROLE_TEXT,
                    facts->since ? "nothing, since it passed in run " : "it has not passed before");
        put_wrapped(rows, ROLE_TEXT, facts->since ? facts->since : "");
    }
    for (size_t i = 0; i < facts->n_reasons; i++) {
        put_reason(rows, &facts->reasons[i]);
        put_diff(rows, &facts->reasons[i]);
    }
    if (facts->all_reasons > facts->n_reasons)
        row_printf(labelled(rows, ""), ROLE_DIM, "and %zu more",
                   facts->all_reasons - facts->n_reasons);
}

static void put_environment(struct rows *rows, const struct step_facts *facts)
{
    if (*facts->cwd) {
        labelled(rows, "in");
        put_wrapped(rows, ROLE_TEXT, facts->cwd);
    }
    for (size_t i = 0; i < facts->n_env; i++) {
        labelled(rows, i ? "" : "env");
        put_wrapped(rows, ROLE_TEXT, facts->env[i]);
    }
    if (facts->keyed)
        put_value(labelled(rows, "inputs"), ROLE_DIM, facts->input_root);
}

static void put_verdict(struct rows *rows, const struct model_step *step)
{
    struct app *app = rows->app;
    char text[16];
    struct buf failure = BUF_INIT;
    struct pen_row *row = next(rows);
    enum role role = look_role(step->state);
    row_printf(row, role, "%s %s", look_glyph(step->state), look_word(step->state));
    switch (step->state) {
    case STATE_PASSED:
        row_printf(row, ROLE_TEXT, " in %s", text_duration(step->duration_ms, text));
        if (step->tainted)
            put_wrapped(rows, ROLE_WARNING, "; inputs changed while it ran: not kept");
        break;
    case STATE_CACHED:
        put_wrapped(rows, ROLE_TEXT, ": up to date, nothing it reads has changed");
        if (step->saved_ms > 0) {
            put_wrapped(rows, ROLE_DIM, "; saved ");
            put_wrapped(rows, ROLE_DIM, text_duration(step->saved_ms, text));
        }
        break;
    case STATE_FAILED:
        look_failure(step, &failure);
        row_printf(row, ROLE_TEXT, " after %s", text_duration(step->duration_ms, text));
        put_failure(rows, &failure);
        if (step->attempt > 1)
            row_printf(row, ROLE_DIM, ", attempt %u", step->attempt);
        if (step->tainted)
            put_wrapped(rows, ROLE_WARNING, "; inputs changed while it ran");
        break;
    case STATE_RUNNING:
        row_printf(row, ROLE_TEXT, " for %s",
                   look_elapsed(model_elapsed_ms(step, app->now_ns), text));
        if (step->last_ms > 0)
            row_printf(row, ROLE_DIM, "; took %s last time", text_duration(step->last_ms, text));
        if (step->attempt > 1)
            row_printf(row, ROLE_WARNING, ", attempt %u", step->attempt);
        break;
    case STATE_PAUSED: put_held(rows, step); break;
    case STATE_QUEUED:
        if (step->doing) {
            row_put(row, ROLE_TEXT, ": ");
            put_wrapped(rows, ROLE_TEXT, step->doing);
        }
        break;
    default:
        if (step->error)
            row_put(row, ROLE_TEXT, ": ");
        look_failure(step, &failure);
        put_wrapped(rows, ROLE_TEXT, buf_str(&failure));
        break;
    }
    buf_release(&failure);
}

/* Of a run of the past: whether that would still be so. */
static void put_label(struct rows *rows, const struct model_step *step)
{
    if (!rows->app->past.id || !step->key)
        return;
    enum past_label label = past_label(rows->app, step);
    struct pen_row *row = labelled(rows, "now");
    row_put(row,
            label == PAST_CURRENT ? ROLE_GOOD
            : label == PAST_STALE ? ROLE_WARNING
                                  : ROLE_DIM,
            past_word(label));
    put_wrapped(rows, ROLE_DIM,
                label == PAST_CURRENT ? ": all that it reads is as it was then"
                : label == PAST_STALE ? ": what it reads is not what it was then"
                                      : ": what it would read now can't be told");
}

static void put_needs(struct rows *rows, const struct model_step *step)
{
    if (step->needs.n == 0)
        return;
    struct pen_row *row = labelled(rows, "needs");
    vec_each (size_t, need, &step->needs) {
        const struct model_step *other = &rows->app->model.steps.v[*need];
        int width =
            width_text(other->name, strlen(other->name)) + 3 + (int)strlen(look_word(other->state));
        if (row->x > INDENT && row->x + width > row->area.w)
            row = labelled(rows, "");
        row_put(row, look_role(other->state), look_glyph(other->state));
        row_put(row, ROLE_TEXT, " ");
        put_wrapped(rows, ROLE_TEXT, other->name);
        row_printf(row, ROLE_DIM, " %s  ", look_word(other->state));
    }
}

static void put_usage(struct rows *rows, const struct model_step *step)
{
    struct buf text = BUF_INIT;
    usage_sentence(rows->app, step, &text);
    if (text.len > 0) {
        labelled(rows, step->state == STATE_RUNNING ? "uses" : "used");
        put_wrapped(rows, ROLE_TEXT, text.data);
    }
    buf_release(&text);
}

static void draw(struct app *app, struct area area)
{
    const struct model_step *step = app_selected(app);
    struct rows rows = {app, {&app->screen, area, 0, 0}, app->why_top, 0};
    if (!step) {
        app->why_rows = 0;
        return;
    }
    put_verdict(&rows, step);
    put_label(&rows, step);
    for (size_t i = 0; i < step->n_hints; i++) {
        labelled(&rows, "hint");
        put_wrapped(&rows, ROLE_WARNING, step->hints[i]);
    }
    const struct step_facts *facts = facts_of(app, step);
    if (facts && !step->held_passed)
        put_since_pass(&rows, facts);
    else if (step->has_started && step->state != STATE_CACHED && step->state != STATE_IDLE)
        put_reasons(&rows, step);
    put_needs(&rows, step);
    if (step->command) {
        labelled(&rows, "runs");
        put_wrapped(&rows, ROLE_TEXT, step->command);
    }
    if (facts)
        put_environment(&rows, facts);
    if (step->description) {
        labelled(&rows, "about");
        put_wrapped(&rows, ROLE_TEXT, step->description);
    }
    put_usage(&rows, step);
    if (step->key) {
        struct pen_row *row = labelled(&rows, "key");
        put_value(row, ROLE_DIM, step->key);
        if (step->source)
            row_printf(row, ROLE_DIM, ", from the %s cache", step->source);
        else if (step->runner)
            row_printf(row, ROLE_DIM, ", on %s", step->runner);
    }
    app->why_rows = rows.count;
    int most = rows.count > area.h ? rows.count - area.h : 0;
    if (app->why_top > most) {
        /* The step has fewer rows than the one before, or the pane has grown. */
        app->why_top = most;
        for (int y = 0; y < area.h; y++)
            screen_rule(&app->screen, area, 0, y, area.w, look_style(ROLE_TEXT), " ");
        draw(app, area);
    }
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    const struct model_step *step = app_selected(app);
    buf_adds(left, "Why");
    if (step)
        buf_addf(left, ": %s", step->name);
    int height = app->layout.panes[PANE_WHY].body.h;
    if (app->why_rows > height && height > 0)
        buf_addf(right, "%d/%d", app->why_top + height, app->why_rows);
}

static void move(struct app *app, enum motion motion, int amount)
{
    int height = app->layout.panes[PANE_WHY].body.h;
    int most = app->why_rows > height ? app->why_rows - height : 0;
    app->why_top = (int)motion_to(motion, amount, height, (uint64_t)app->why_top, (uint64_t)most);
}

const struct view view_why = {"why", title, draw, move, NULL};
