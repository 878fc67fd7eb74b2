/* Layout, keys and selection as plain functions; the table of actions is sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/app.h"
#include "tui/keymap.h"

#include <stdio.h>
#include <string.h>

static char sent[200];

static void take(void *ctx, const struct command *command)
{
    (void)ctx;
    snprintf(sent, sizeof sent, "%d %s", (int)command->type, command->step ? command->step : "-");
}

static const struct control control = {.send = take};

static void load(struct app *app, size_t n)
{
    static struct event_step_info infos[10000];
    static char names[10000][32];
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "step%zu", i);
        infos[i].name = names[i];
    }
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = "demo";
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = n;
    event.u.pipeline.watching = true;
    app_event(app, &event);
}

static void step_event(struct app *app, enum event_type type, const char *step)
{
    struct event event = {.type = type, .step = step};
    if (type == EVENT_STEP_FINISHED)
        event.u.finished.status = STEP_FAILED;
    app_event(app, &event);
}

static void pass(struct app *app, const char *step)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .step = step};
    event.u.finished.status = STEP_PASSED;
    app_event(app, &event);
}

static enum layout_kind kind_of(int cols, int rows)
{
    return layout_of(&(struct layout_want){.cols = cols, .rows = rows, .steps = 5}).kind;
}

static void test_layout(void **state)
{
    (void)state;
    for (int cols = 1; cols <= 400; cols += 7) {
        for (int rows = 1; rows <= 130; rows += 3) {
            for (int focus = 0; focus < PANE_N; focus++) {
                for (int zoom = 0; zoom < 2; zoom++) {
                    struct layout_want want = {.cols = cols,
                                               .rows = rows,
                                               .focus = (enum pane)focus,
                                               .zoom = zoom,
                                               .steps = 12,
                                               .notice_rows = rows % 4};
                    want.recent[focus] = 1;
                    struct layout layout = layout_of(&want);
                    int shown = 0;
                    for (int pane = 0; pane < PANE_N; pane++) {
                        if (!layout.panes[pane].shown)
                            continue;
                        shown++;
                        struct area body = layout.panes[pane].body;
                        assert_true(body.w > 0 && body.h > 0);
                        assert_true(body.x >= 0 && body.x + body.w <= cols);
                        assert_true(body.y >= 2 && body.y + body.h <= layout.notice.y);
                    }
                    if (layout.kind != LAYOUT_STATUS) {
                        assert_true(layout.panes[focus].shown);
                        assert_true(layout.notice.y + layout.notice.h == layout.footer.y);
                        assert_true(!zoom || shown == 1);
                    }
                }
            }
        }
    }
    assert_int_equal(kind_of(29, 24), LAYOUT_STATUS);
    assert_int_equal(kind_of(59, 24), LAYOUT_SINGLE);
    assert_int_equal(kind_of(80, 24), LAYOUT_STACKED);
    assert_int_equal(kind_of(120, 40), LAYOUT_BESIDE);
    assert_int_equal(kind_of(200, 60), LAYOUT_WIDE);
}

static void test_actions(void **state)
{
    struct keymap keymap;
    (void)state;
    keymap_init(&keymap);
    for (size_t i = 0; i < keymap.n; i++) {
        const struct action *action = &keymap.actions[i];
        assert_true(!action->run != !action->with.run);
        assert_true(action->help || action->label);
        assert_true(!action->label || action->rank > 0);
        assert_true(action->contexts != 0);
        /* No key means two things in one place. */
        for (size_t k = 0; k < KEYMAP_KEYS && action->keys[k]; k++)
            for (unsigned context = 1; context <= IN_HELP; context <<= 1)
                if (action->contexts & context)
                    assert_ptr_equal(keymap_find(&keymap, action->keys[k], context), action);
    }
    assert_null(keymap_find(&keymap, KEY_NONE, IN_STEPS));
    assert_null(keymap_find(&keymap, '%', IN_STEPS));
    keymap_release(&keymap);
}

static void test_selection(void **state)
{
    (void)state;
    struct app app;
    app_init(&app, &control, NULL, true);
    screen_resize(&app.screen, 80, 24);
    load(&app, 40);
    app_draw(&app, 1);
    /* Until a key moves it the selection goes with the work, and stays with what failed first. */
    step_event(&app, EVENT_STEP_STARTED, "step7");
    assert_int_equal(app.selected, 7);
    step_event(&app, EVENT_STEP_STARTED, "step5");
    assert_int_equal(app.selected, 5);
    pass(&app, "step5");
    assert_int_equal(app.selected, 7);
    step_event(&app, EVENT_STEP_FINISHED, "step7");
    step_event(&app, EVENT_STEP_STARTED, "step9");
    assert_int_equal(app.selected, 7);
    app_key(&app, 'j');
    assert_int_equal(app.selected, 8);
    step_event(&app, EVENT_STEP_STARTED, "step11");
    assert_int_equal(app.selected, 8);
    app_key(&app, 'G');
    assert_int_equal(app.selected, 39);
    app_key(&app, 'j');
    assert_int_equal(app.selected, 39);
    app_draw(&app, 1);
    assert_true(app.steps_top > 0);
    app_key(&app, 'r');
    assert_string_equal(sent, "0 step39");
    app_key(&app, 'g');
    app_key(&app, KEY_UP);
    assert_int_equal(app.selected, 0);
    /* A reload keeps the selected step, or takes the first. */
    app_key(&app, KEY_PAGE_DOWN);
    size_t selected = app.selected;
    assert_true(selected > 3);
    load(&app, 30);
    assert_int_equal(app.selected, selected);
    load(&app, 2);
    assert_int_equal(app.selected, 0);
    load(&app, 0);
    app_draw(&app, 1);
    app_key(&app, 'r');
    app_key(&app, 'j');
    app_key(&app, KEY_ENTER);
    app_draw(&app, 1);
    app_release(&app);
}

static void test_panes(void **state)
{
    (void)state;
    struct app app;
    app_init(&app, &control, NULL, true);
    screen_resize(&app.screen, 80, 24);
    load(&app, 3);
    app_key(&app, KEY_TAB);
    assert_int_equal(app.focus, PANE_LOG);
    app_key(&app, 'w');
    assert_int_equal(app.focus, PANE_WHY);
    app_key(&app, KEY_ESC);
    assert_int_equal(app.focus, PANE_STEPS);
    app_key(&app, KEY_ENTER);
    assert_true(app.zoom && app.focus == PANE_LOG);
    app_key(&app, KEY_ESC);
    assert_true(!app.zoom && app.focus == PANE_STEPS);
    app_key(&app, '3');
    app_key(&app, '+');
    app_draw(&app, 1);
    assert_true(app.layout.panes[PANE_WHY].shown && !app.layout.panes[PANE_STEPS].shown);
    app_key(&app, '?');
    assert_int_equal(app.overlay, OVERLAY_HELP);
    app_key(&app, 'j');
    assert_int_equal(app.overlay, OVERLAY_HELP);
    app_key(&app, '%');
    assert_int_equal(app.overlay, OVERLAY_NONE);
    app_key(&app, 'p');
    assert_string_equal(sent, "3 -");
    assert_true(app.model.paused);
    app_release(&app);
}

static void test_any_keys_any_size(void **state)
{
    (void)state;
    struct app app;
    app_init(&app, &control, "demo", true);
    uint32_t seed = 11;
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1664525 + 1013904223;
        if (seed >> 28 == 0)
            screen_resize(&app.screen, (int)(seed >> 8 & 255), (int)(seed >> 16 & 127));
        if (seed >> 28 == 1)
            load(&app, seed >> 8 & 31);
        if (seed >> 28 == 2 && app.model.steps.n > 0) {
            char name[32];
            snprintf(name, sizeof name, "step%zu", (size_t)(seed >> 8) % app.model.steps.n);
            step_event(&app, EVENT_STEP_STARTED + (seed >> 16 & 1) * 2, name);
        }
        uint32_t key = seed >> 4 & 127;
        app_key(&app, seed & 1 ? key : KEY_UP + key % 24);
        app_work(&app);
        if (round % 4 == 0)
            app_draw(&app, seed);
    }
    app_release(&app);
}

static void type(struct app *app, const char *text)
{
    for (; *text; text++)
        app_key(app, (unsigned char)*text);
}

static void test_palette(void **state)
{
    (void)state;
    struct app app;
    app_init(&app, &control, "demo", true);
    screen_resize(&app.screen, 80, 24);
    load(&app, 30);
    app_draw(&app, 1);
    type(&app, ":retry");
    app_draw(&app, 1);
    assert_int_equal(app.overlay, OVERLAY_PALETTE);
    app_key(&app, KEY_ENTER);
    assert_int_equal(app.overlay, OVERLAY_NONE);
    assert_string_equal(sent, "0 step0");
    /* A step is gone to, a pane's action goes to the pane. */
    type(&app, ":step17\r");
    assert_int_equal(app.selected, 17);
    type(&app, ":wrp");
    app_key(&app, KEY_ESC);
    assert_false(app.log.wrap);
    type(&app, ":wrap\r");
    assert_true(app.log.wrap && app.focus == PANE_LOG);
    /* What would do nothing now says why, where its name is typed; nothing else is done. */
    type(&app, ":abort\r");
    assert_non_null(strstr(app.said, "no step is held"));
    assert_int_equal(app.marks.count, 0);
    type(&app, ":");
    app_draw(&app, 1);
    for (size_t i = 0; i < app.palette.n; i++)
        assert_string_not_equal(keymap_actions[app.palette.items[i].index].name, "abort");
    app_key(&app, KEY_ESC);
    /* Nothing is called like that; nothing happens. */
    type(&app, ":zqzqzq");
    app_draw(&app, 1);
    assert_int_equal(app.palette.n, 0);
    app_key(&app, KEY_DOWN);
    app_key(&app, KEY_ENTER);
    assert_int_equal(app.overlay, OVERLAY_NONE);
    app_release(&app);
}

static void test_bindings(void **state)
{
    (void)state;
    struct app app;
    char name[16];
    const uint32_t keys[] = {key_of_name("x"), key_of_name("gR"), key_of_name("F5")};
    app_init(&app, &control, "demo", true);
    load(&app, 3);
    for (size_t i = 0; i < keymap_n; i++)
        for (size_t k = 0; k < KEYMAP_KEYS && keymap_actions[i].keys[k]; k++)
            assert_int_equal(key_of_name(key_name(keymap_actions[i].keys[k], name)),
                             keymap_actions[i].keys[k]);
    assert_false(keymap_bind(&app.keymap, "no-such-action", keys, 1));
    assert_true(keymap_bind(&app.keymap, "run-stale", keys, 3));
    /* What had one of them has it no more, and keeps its others. */
    assert_string_equal(keymap_find(&app.keymap, 'x', IN_STEPS)->name, "run-stale");
    assert_string_equal(keymap_find(&app.keymap, KEY_F1 + 8, IN_STEPS)->name, "cancel");
    assert_null(keymap_find(&app.keymap, 'R', IN_STEPS));
    /* Two keys: the first waits, and one that does not go on is nothing. */
    sent[0] = '\0';
    type(&app, "g");
    assert_string_equal(sent, "");
    type(&app, "R");
    assert_string_equal(sent, "1 -");
    sent[0] = '\0';
    type(&app, "gx");
    assert_string_equal(sent, "");
    app_release(&app);
}

static void test_many_steps(void **state)
{
    (void)state;
    struct app app;
    app_init(&app, &control, "demo", true);
    screen_resize(&app.screen, 200, 60);
    load(&app, 10000);
    for (int i = 0; i < 400; i++) {
        app_key(&app, KEY_PAGE_DOWN);
        app_draw(&app, 1);
    }
    assert_int_equal(app.selected, 9999);
    app_release(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_panes),
        cmocka_unit_test(test_any_keys_any_size),
        cmocka_unit_test(test_palette),
        cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_many_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
