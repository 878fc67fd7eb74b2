/* Inputs, timeline and the past as plain functions with a clock of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/app.h"
#include "tui/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START UINT64_C(1700000000000000000)
#define MANY  10000

static void ignore(void *ctx, const struct command *command)
{
    (void)ctx;
    (void)command;
}

static void tell(struct app *app, enum event_type type, const char *step, uint64_t ms)
{
    struct event event = {.type = type, .step = step, .run = "7", .time_ns = START + ms * 1000000};
    if (type == EVENT_STEP_FINISHED)
        event.u.finished.status = STEP_PASSED;
    app_event(app, &event);
}

static void tell_cached(struct app *app, const char *step, uint64_t ms, uint64_t saved_ms)
{
    struct event event = {
        .type = EVENT_STEP_FINISHED, .step = step, .run = "7", .time_ns = START + ms * 1000000};
    event.u.finished.status = STEP_CACHED;
    event.u.finished.saved_ms = saved_ms;
    app_event(app, &event);
}

static void load(struct app *app, const struct event_step_info *steps, size_t n)
{
    const char **names = calloc(n, sizeof *names);
    struct event event = {.type = EVENT_PIPELINE_LOADED, .time_ns = START};
    event.u.pipeline.name = "demo";
    event.u.pipeline.steps = steps;
    event.u.pipeline.n_steps = n;
    app_event(app, &event);
    for (size_t i = 0; i < n; i++)
        names[i] = steps[i].name;
    event = (struct event){.type = EVENT_RUN_STARTED, .run = "7", .time_ns = START};
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = n;
    app_event(app, &event);
    free(names);
}

static void draw(struct app *app, int cols, int rows, uint64_t ms)
{
    screen_resize(&app->screen, cols, rows);
    app_draw(app, START + ms * 1000000);
}

/* The row as text, its trailing blanks cut; valid until the next call. */
static const char *row(const struct app *app, int y)
{
    static char text[4000];
    size_t n = 0;
    for (int x = 0; x < app->screen.cols; x++) {
        const struct cell *cell = &app->screen.back[y * app->screen.cols + x];
        memcpy(text + n, cell->text, cell->len);
        n += cell->len;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    return text;
}

static bool shows(const struct app *app, const char *text)
{
    for (int y = 0; y < app->screen.rows; y++)
        if (strstr(row(app, y), text))
            return true;
    return false;
}

/* -- timeline ---------------------------------------------------------------------------------- */

static const char *const on_a[] = {"a"}, *const on_b_c[] = {"b", "c"};
static const struct event_step_info diamond[] = {
    {.name = "a"},
    {.name = "b", .needs = on_a, .n_needs = 1},
    {.name = "c", .needs = on_a, .n_needs = 1},
    {.name = "d", .needs = on_b_c, .n_needs = 2},
};
static const struct control deaf = {.send = ignore};

static void test_critical_path(void **state)
{
    struct app app;
    (void)state;
    app_init(&app, &deaf, "demo", true);
    load(&app, diamond, 4);
    tell_cached(&app, "a", 10, 2500);
    tell(&app, EVENT_STEP_QUEUED, "b", 10);
    tell(&app, EVENT_STEP_QUEUED, "c", 10);
    tell(&app, EVENT_STEP_STARTED, "b", 100);
    tell(&app, EVENT_STEP_STARTED, "c", 200);
    tell(&app, EVENT_STEP_FINISHED, "b", 1100);
    tell(&app, EVENT_STEP_FINISHED, "c", 3200);
    tell(&app, EVENT_STEP_STARTED, "d", 3200);
    app_focus(&app, PANE_TIMELINE);
    app.zoom = true;
    draw(&app, 100, 30, 4200);
    /* c and d: 3 s and, so far, 1 s; b is not on it. */
    assert_true(shows(&app, "critical path 4.0s, saved 2.5s"));
    assert_non_null(strstr(row(&app, 3), "≡ saved 2.5s"));
    assert_non_null(strstr(row(&app, 4), "──"));
    assert_non_null(strstr(row(&app, 5), "━━"));
    assert_non_null(strstr(row(&app, 6), "━━"));
    assert_non_null(strstr(row(&app, 5), "·"));
    app_release(&app);
}

static void notice(struct app *app, const char *level, const char *text)
{
    struct event event = {.type = EVENT_NOTICE};
    event.u.notice.level = level;
    event.u.notice.text = text;
    app_event(app, &event);
}

/* No word of it is lost where it is longer than the screen is wide, and Esc takes it away. */
static void test_notices(void **state)
{
    struct app app;
    (void)state;
    app_init(&app, &deaf, "demo", true);
    load(&app, diamond, 4);
    notice(&app, "warning", "step d wrote more than 1.0 GiB: what is over is not in its log");
    draw(&app, 40, 24, 0);
    assert_string_equal(row(&app, 21), " ! step d wrote more than 1.0 GiB: what");
    assert_string_equal(row(&app, 22), "   is over is not in its log");
    app_key(&app, KEY_ESC);
    draw(&app, 40, 24, 0);
    assert_false(shows(&app, "is not in its log"));
    notice(&app, "error",
           "kiln.json:1:2: bad\n{a a a a a a a a a a a a a a a a a a a a a a a a a"
           " a a a a a a a a a a a a a a a a a a a a a a a a a a a a}");
    app_key(&app, KEY_ESC);
    draw(&app, 40, 24, 0);
    assert_string_equal(row(&app, 20), " ! kiln.json:1:2: bad");
    assert_string_equal(row(&app, 21), "   {a a a a a a a a a a a a a a a a a a");
    assert_string_equal(row(&app, 22), "   a a a a a a a a a a a a a a a a a a …");
    app_release(&app);
}

/* What is cut at the edge of a pane shows that it is, and sentences go on in the next row. */
static void test_nothing_is_cut_unseen(void **state)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .step = "d"};
    struct app app;
    (void)state;
    app_init(&app, &deaf, "demo", true);
    load(&app, diamond, 4);
    event.u.finished.status = STEP_FAILED;
    event.u.finished.error = "\"trigger\" is named in \"inputs\" and is not there; make it";
    app_event(&app, &event);
    app_key(&app, '3');
    draw(&app, 40, 10, 0);
    assert_string_equal(row(&app, 2), " ✗ failed after 0.00s: \"trigger\" is");
    assert_string_equal(row(&app, 3), "            named in \"inputs\" and is not");
    assert_string_equal(row(&app, 4), "            there; make it");
    assert_string_equal(row(&app, 5), " needs      ○ b waiting  ○ c waiting");
    /* A title leaves room for what stands at its right. */
    struct event_step_info long_one = {
        .name = "a-name-that-is-longer-than-any-pane-is-wide",
        .command = "one two three four five six seven eight nine ten eleven twelve thirteen "
                   "fourteen fifteen sixteen seventeen eighteen nineteen twenty one two three "
                   "four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"};
    load(&app, &long_one, 1);
    draw(&app, 40, 10, 0);
    draw(&app, 40, 10, 0);
    assert_string_equal(row(&app, 1), "─3 Why: a-name-that-is-longer-t…─ 7/10 ─");
    struct pen_row pen = {&app.screen, {0, 0, 8, 1}, 1, 0};
    row_put(&pen, ROLE_TEXT, "exactly ");
    assert_memory_equal(app.screen.back[7].text, "y", 1);
    row_put(&pen, ROLE_TEXT, "not");
    assert_memory_equal(app.screen.back[7].text, "…", 3);
    app_release(&app);
}

static void test_steps_of_older_runs(void **state)
{
    static const char *const only[] = {"b"};
    struct app app;
    (void)state;
    app_init(&app, &deaf, "demo", true);
    load(&app, diamond, 4);
    tell(&app, EVENT_STEP_STARTED, "a", 100);
    tell(&app, EVENT_STEP_FINISHED, "a", 1100);
    tell(&app, EVENT_RUN_FINISHED, NULL, 1100);
    struct event event = {
        .type = EVENT_RUN_STARTED, .run = "8", .time_ns = START + UINT64_C(9000) * 1000000};
    event.u.run_started.steps = only;
    event.u.run_started.n_steps = 1;
    app_event(&app, &event);
    app_focus(&app, PANE_TIMELINE);
    app.zoom = true;
    draw(&app, 80, 24, 9500);
    assert_non_null(strstr(row(&app, 3), "○ b"));
    assert_string_equal(row(&app, 4), "");
    app_release(&app);
}

/* What is drawn and chosen is bounded by what is visible. */
static void test_many_lanes(void **state)
{
    static struct event_step_info steps[MANY];
    static char names[MANY][16];
    struct app app;
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "s%zu", i);
        steps[i] = (struct event_step_info){.name = names[i]};
    }
    app_init(&app, &deaf, "demo", true);
    load(&app, steps, MANY);
    app_focus(&app, PANE_TIMELINE);
    app.zoom = true;
    draw(&app, 80, 24, 100);
    views[PANE_TIMELINE]->move(&app, MOVE_END, 0);
    assert_int_equal(app.selected, MANY - 1);
    draw(&app, 80, 24, 100);
    assert_true(shows(&app, "s9999"));
    views[PANE_TIMELINE]->move(&app, MOVE_LINES, -3);
    assert_int_equal(app.selected, MANY - 4);
    views[PANE_TIMELINE]->click(&app, app.layout.panes[PANE_TIMELINE].body, 5, 1);
    assert_int_equal(app.selected, app.timeline_top);
    app_release(&app);
}

/* -- inputs ------------------------------------------------------------------------------------ */

struct source {
    int pieces; /* until all is counted */
    uint64_t files, changed;
    uint64_t asked; /* the most for one window */
};

static void inputs(void *ctx, const char *step, uint64_t from, size_t n, struct inputs_page *page)
{
    struct source *source = ctx;
    (void)step;
    *page = (struct inputs_page){.known = true, .current = true, .compared = true};
    page->counting = source->pieces > 0 && source->pieces-- > 0;
    if (page->counting)
        return;
    source->asked = n > source->asked ? n : source->asked;
    page->files = source->files;
    page->changed = source->changed;
    page->v = arena_zalloc(&page->arena, n + 1, sizeof *page->v);
    for (uint64_t at = from; page->n < n && at < source->changed + source->files; at++) {
        bool head = at < source->changed;
        page->v[page->n++] = (struct input_file){
            .path = arena_printf(&page->arena, "f%llu",
                                 (unsigned long long)(head ? at : at - source->changed)),
            .change = head ? INPUT_CHANGED : INPUT_SAME};
    }
}

static void test_inputs_in_pieces(void **state)
{
    struct source source = {.pieces = 5, .files = 50000};
    struct control control = {.ctx = &source, .send = ignore, .inputs = inputs};
    struct app app;
    (void)state;
    app_init(&app, &control, "demo", true);
    load(&app, diamond, 4);
    app_focus(&app, PANE_INPUTS);
    app.zoom = true;
    draw(&app, 80, 24, 0);
    assert_true(shows(&app, "Counting"));
    while (app_work(&app))
        ;
    assert_int_equal(source.pieces, 0);
    draw(&app, 80, 24, 0);
    assert_true(shows(&app, "50000 files"));
    assert_non_null(strstr(row(&app, 2), "f0"));
    views[PANE_INPUTS]->move(&app, MOVE_END, 0);
    draw(&app, 80, 24, 0);
    assert_non_null(strstr(row(&app, 22), "f49999"));
    assert_true(source.asked <= 24);
    assert_false(app_work(&app));
    app_release(&app);
}

/* Every row is what it is wherever the window stands, also across the line between the two parts.
 */
static void test_inputs_changed_first(void **state)
{
    struct source source = {.files = 100, .changed = 7};
    struct control control = {.ctx = &source, .send = ignore, .inputs = inputs};
    struct app app;
    char want[20];
    (void)state;
    app_init(&app, &control, "demo", true);
    load(&app, diamond, 4);
    app_focus(&app, PANE_INPUTS);
    app.zoom = true;
    for (uint64_t top = 0; top <= 88; top++) {
        app.inputs.top = top;
        draw(&app, 80, 22, 0);
        assert_int_equal(app.inputs.top, top);
        for (int y = 0; y < 19; y++) {
            uint64_t at = top + (uint64_t)y;
            snprintf(want, sizeof want,
                     at < 7    ? "f%d"
                     : at == 7 ? "all 100"
                               : "f%d",
                     (int)(at < 7 ? at : at - 8));
            assert_non_null(strstr(row(&app, 2 + y), want));
            assert_true((strstr(row(&app, 2 + y), "changed") != NULL) == (at < 7));
        }
    }
    app_release(&app);
}

/* -- the past ---------------------------------------------------------------------------------- */

struct asker {
    struct question *question;
};

static void ask(void *ctx, struct question *question)
{
    ((struct asker *)ctx)->question = question;
}

/* An answer may come when the app that asked is gone. */
static void test_late_answer(void **state)
{
    struct asker asker = {NULL};
    struct control control = {.ctx = &asker, .send = ignore, .ask = ask};
    struct app app;
    (void)state;
    app_init(&app, &control, "demo", true);
    past_open(&app, "3");
    assert_non_null(asker.question);
    struct event event = {.type = EVENT_STEP_STARTED, .step = "x", .run = "3"};
    asker.question->event(asker.question->ctx, &event);
    app_release(&app);
    asker.question->found = true;
    asker.question->done(asker.question);
}

/* Asked for another one meanwhile, the first is thrown away; events go to the live model. */
static void test_past_and_live(void **state)
{
    struct asker asker = {NULL};
    struct control control = {.ctx = &asker, .send = ignore, .ask = ask};
    struct app app;
    (void)state;
    app_init(&app, &control, "demo", true);
    load(&app, diamond, 4);
    past_open(&app, "3");
    struct question *first = asker.question;
    past_open(&app, "4");
    struct question *second = asker.question;
    first->found = second->found = true;
    first->done(first);
    assert_null(app.past.id);
    struct event event = {.type = EVENT_STEP_STARTED, .step = "old", .run = "4"};
    second->event(second->ctx, &event);
    second->done(second);
    assert_string_equal(app.past.id, "4");
    assert_int_equal(app.model.steps.n, 1);
    tell(&app, EVENT_STEP_STARTED, "a", 50);
    assert_int_equal(app.model.steps.n, 1);
    assert_int_equal(past_live(&app)->counts[STATE_RUNNING], 1);
    app_send(&app, COMMAND_RETRY, "a");
    assert_null(app.past.id);
    assert_int_equal(app.model.steps.n, 4);
    assert_int_equal(app.model.counts[STATE_RUNNING], 1);
    app_release(&app);
}

#define SECOND UINT64_C(1000000000)

/* -- usage ------------------------------------------------------------------------------------- */

static void draw_at(struct app *app, uint64_t ms)
{
    app_draw(app, SECOND + ms * 1000000);
}

/* Nobody looks but while a step runs, and then once a second. */
static void test_usage(void **state)
{
    struct asker asker = {NULL};
    struct control control = {.ctx = &asker, .send = ignore, .ask = ask};
    struct app app;
    struct buf text = BUF_INIT;
    (void)state;
    app_init(&app, &control, "demo", true);
    screen_resize(&app.screen, 200, 60);
    load(&app, diamond, 4);
    draw_at(&app, 0);
    assert_null(asker.question);
    struct event event = {.type = EVENT_STEP_STARTED, .step = "a", .time_ns = SECOND};
    event.u.started.pid = 77;
    app_event(&app, &event);
    draw_at(&app, 1000);
    struct question *first = asker.question;
    assert_non_null(first);
    assert_int_equal(first->kind, QUESTION_USAGE);
    assert_int_equal(first->n_pids, 1);
    assert_int_equal(first->pids[0], 77);
    struct usage_facts facts = {1500000, 64 << 20};
    first->found = true;
    first->usage = &facts;
    first->usage_ns = SECOND + 1000u * 1000000;
    first->usage_took_ns = 1000000;
    asker.question = NULL;
    draw_at(&app, 1001);
    assert_null(asker.question); /* one at a time */
    first->done(first);
    draw_at(&app, 1500);
    assert_null(asker.question);
    usage_text(&app, &app.model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), " 150% 64.0 MiB");
    draw_at(&app, 2000);
    struct question *second = asker.question;
    assert_non_null(second);
    facts = (struct usage_facts){1750000, 96 << 20};
    second->found = true;
    second->usage = &facts;
    second->usage_ns = SECOND + 2000u * 1000000;
    second->usage_took_ns = 100000000; /* a machine with very many processes */
    second->done(second);
    buf_reset(&text);
    usage_sentence(&app, &app.model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "1.7s of processor, 25% now; 96.0 MiB");
    asker.question = NULL;
    draw_at(&app, 6900);
    assert_null(asker.question);
    event = (struct event){.type = EVENT_STEP_FINISHED, .step = "a", .time_ns = 7 * SECOND};
    event.u.finished.duration_ms = 6000;
    event.u.finished.cpu_ms = 9000;
    event.u.finished.memory_bytes = 128 << 20;
    app_event(&app, &event);
    draw_at(&app, 9000);
    assert_null(asker.question);
    buf_reset(&text);
    usage_sentence(&app, &app.model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "9.0s of processor, 1.5 × its time; up to 128 MiB");
    buf_release(&text);
    app_release(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_critical_path),
        cmocka_unit_test(test_notices),
        cmocka_unit_test(test_nothing_is_cut_unseen),
        cmocka_unit_test(test_steps_of_older_runs),
        cmocka_unit_test(test_many_lanes),
        cmocka_unit_test(test_inputs_in_pieces),
        cmocka_unit_test(test_inputs_changed_first),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_past_and_live),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
