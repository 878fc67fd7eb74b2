/* The screen in place of the panes: its lines, its keys. */
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

static const struct tui_line lines[] = {
    {TUI_STRONG, "Welcome."},
    {TUI_PLAIN, ""},
    {TUI_PLAIN, "  one two three four five six seven eight nine ten eleven twelve thirteen"},
    {TUI_BAD, "averyveryveryverylongwordwithoutanyblank"},
};

static void open_app(struct app *app, int cols, int rows, bool can_init)
{
    app_init(app, &control, "demo", true);
    start_set(&app->start, &(struct tui_start){lines, sizeof lines / sizeof *lines, can_init});
    screen_resize(&app->screen, cols, rows);
    app_draw(app, 0);
    *sent = '\0';
}

/* All rows that are not empty, without the blanks around them, a line each. */
static void expect(struct app *app, const char *want)
{
    struct buf got = BUF_INIT;
    for (int y = 0; y < app->screen.rows; y++) {
        struct buf row = BUF_INIT;
        for (int x = 0; x < app->screen.cols; x++) {
            const struct cell *cell = &app->screen.back[y * app->screen.cols + x];
            buf_add(&row, cell->text, cell->len);
        }
        const char *text = buf_str(&row);
        size_t n = row.len;
        while (n && text[n - 1] == ' ')
            n--;
        size_t blanks = strspn(text, " ");
        if (n > blanks) {
            buf_add(&got, text + blanks, n - blanks);
            buf_addc(&got, '\n');
        }
        buf_release(&row);
    }
    assert_string_equal(buf_str(&got), want);
    buf_release(&got);
}

static void test_lines(void **state)
{
    (void)state;
    struct app app;
    open_app(&app, 80, 24, true);
    expect(&app, "Welcome.\n"
                 "one two three four five six seven eight nine ten eleven twelve thirteen\n"
                 "averyveryveryverylongwordwithoutanyblank\n"
                 "i write kiln.json  q quit\n");
    app_release(&app);
    open_app(&app, 40, 12, false);
    expect(&app, "Welcome.\n"
                 "one two three four five six seven\n"
                 "eight nine ten eleven twelve\n"
                 "thirteen\n"
                 "averyveryveryverylongwordwithoutanyb\n"
                 "lank\n"
                 "q quit\n");
    app_release(&app);
}

static void test_any_size(void **state)
{
    (void)state;
    for (int cols = 1; cols < 50; cols++) {
        for (int rows = 1; rows < 12; rows++) {
            struct app app;
            open_app(&app, cols, rows, true);
            app_release(&app);
        }
    }
}

static void test_keys(void **state)
{
    (void)state;
    struct app app;
    char want[20];
    open_app(&app, 80, 24, true);
    for (const char *key = "jkGg1234567/&:?+ r"; *key; key++)
        app_key(&app, (uint32_t)*key);
    app_draw(&app, 0);
    assert_string_equal(sent, "");
    assert_int_equal(app.overlay, OVERLAY_NONE);
    assert_null(app.prompt);
    app_key(&app, 'i');
    snprintf(want, sizeof want, "%d -", (int)COMMAND_INIT);
    assert_string_equal(sent, want);
    app_key(&app, 'q');
    snprintf(want, sizeof want, "%d -", (int)COMMAND_QUIT);
    assert_string_equal(sent, want);
    app_release(&app);
}

/* Where not all fits the rest is a key, or a turn of the wheel, away. */
static void test_small(void **state)
{
    (void)state;
    static const char top[] = "Welcome.\n"
                              "one two three four five six seven\n"
                              "eight nine ten eleven twelve\n"
                              "thirteen\n"
                              "j/k move  i write kiln.json  q quit\n";
    static const char end[] = "one two three four five six seven\n"
                              "eight nine ten eleven twelve\n"
                              "thirteen\n"
                              "averyveryveryverylongwordwithoutanyb\n"
                              "lank\n"
                              "j/k move  i write kiln.json  q quit\n";
    struct app app;
    open_app(&app, 40, 6, true);
    app_key(&app, 'G');
    app_draw(&app, 0);
    expect(&app, end);
    app_key(&app, 'g');
    app_draw(&app, 0);
    expect(&app, top);
    app_mouse(&app, &(struct mouse){.what = MOUSE_WHEEL_DOWN, .x = 1, .y = 1});
    app_draw(&app, 0);
    expect(&app, end);
    /* Whatever comes next begins at its beginning, and all of it is shown where it fits. */
    screen_resize(&app.screen, 80, 24);
    app_draw(&app, 0);
    assert_int_equal(app.start.top, 0);
    app_mouse(&app, &(struct mouse){.what = MOUSE_PRESS, .x = 3, .y = 23});
    char want[20];
    snprintf(want, sizeof want, "%d -", (int)COMMAND_INIT);
    assert_string_equal(sent, want);
    app_release(&app);
}

static void test_nothing_to_write(void **state)
{
    (void)state;
    struct app app;
    open_app(&app, 80, 24, false);
    app_key(&app, 'i');
    assert_string_equal(sent, "");
    /* The panes come back, and with them their keys. */
    start_set(&app.start, &(struct tui_start){0});
    app_key(&app, 'i');
    app_key(&app, '?');
    app_draw(&app, 0);
    assert_string_equal(sent, "");
    assert_int_equal(app.overlay, OVERLAY_HELP);
    app_release(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_any_size),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_nothing_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
