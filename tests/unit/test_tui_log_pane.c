/* The log pane as plain functions: what keys do to what it shows, and what is taken out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/chunks.h"
#include "tui/app.h"
#include "tui/keymap.h"
#include "tui/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

static void take(void *ctx, const struct command *command)
{
    (void)ctx;
    (void)command;
}

static const struct control control = {.send = take};

struct rig {
    struct app app;
    char dir[40], log[60];
    FILE *out;
    uint64_t written;
};

static void start(struct rig *pane)
{
    *pane = (struct rig){.dir = "/tmp/kiln-test-pane-XXXXXX"};
    assert_non_null(mkdtemp(pane->dir));
    snprintf(pane->log, sizeof pane->log, "%s/spool", pane->dir);
    pane->out = fopen(pane->log, "w");
    assert_non_null(pane->out);
    app_init(&pane->app, &control, NULL, true);
    screen_resize(&pane->app.screen, 80, 24);
    struct event_step_info info = {.name = "build"};
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = "demo";
    event.u.pipeline.root = pane->dir;
    event.u.pipeline.steps = &info;
    event.u.pipeline.n_steps = 1;
    app_event(&pane->app, &event);
    event = (struct event){.type = EVENT_STEP_STARTED, .step = "build", .time_ns = 100 * SECOND};
    event.u.started.log = pane->log;
    app_event(&pane->app, &event);
    app_focus(&pane->app, PANE_LOG);
    pane->app.zoom = true;
}

static void finish(struct rig *pane)
{
    app_release(&pane->app);
    fclose(pane->out);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", pane->dir);
    assert_int_equal(system(command), 0);
}

static void say(struct rig *pane, int stream, uint64_t second, const char *text)
{
    fputs(text, pane->out);
    fflush(pane->out);
    struct event event = {
        .type = EVENT_STEP_LOG, .step = "build", .time_ns = (100 + second) * SECOND};
    event.u.log.stream = stream;
    event.u.log.offset = pane->written;
    event.u.log.n = strlen(text);
    event.u.log.log = pane->log;
    pane->written += strlen(text);
    app_event(&pane->app, &event);
}

static void say_lines(struct rig *pane, int n)
{
    struct buf text = BUF_INIT;
    for (int i = 0; i < n; i++)
        buf_addf(&text, "line %d%s\n", i, i % 100 == 7 ? " x.c:3: error: bad" : "");
    say(pane, 1, 1, buf_str(&text));
    buf_release(&text);
}

static void settle(struct rig *pane)
{
    for (int i = 0; app_work(&pane->app); i++)
        assert_true(i < 10000);
    app_draw(&pane->app, 200 * SECOND);
}

static void type(struct rig *pane, const char *keys)
{
    for (; *keys; keys++) {
        app_key(&pane->app, (unsigned char)*keys == '\n' ? '\r' : (uint32_t)(unsigned char)*keys);
        settle(pane);
    }
}

/* The row of the screen as text. */
static const char *row(struct rig *pane, int y)
{
    static char text[2000];
    size_t n = 0;
    for (int x = 0; x < pane->app.screen.cols; x++) {
        const struct cell *cell = &pane->app.screen.back[y * pane->app.screen.cols + x];
        memcpy(text + n, cell->text, cell->len);
        n += cell->len;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    return text;
}

static bool shows(struct rig *pane, const char *text)
{
    for (int y = 0; y < pane->app.screen.rows; y++)
        if (strstr(row(pane, y), text))
            return true;
    return false;
}

/* The key line has the keys that there are. */
static void test_bound_keys(void **state)
{
    struct rig pane;
    const uint32_t key = 'z';
    (void)state;
    start(&pane);
    say_lines(&pane, 10);
    app_focus(&pane.app, PANE_LOG);
    settle(&pane);
    assert_true(shows(&pane, "F follow"));
    assert_true(keymap_bind(&pane.app.keymap, "follow", &key, 1));
    settle(&pane);
    assert_true(shows(&pane, "z follow"));
    assert_true(keymap_bind(&pane.app.keymap, "wrap", &key, 1)); /* then it has none */
    settle(&pane);
    assert_false(shows(&pane, " follow"));
    finish(&pane);
}

static void test_search(void **state)
{
    struct rig pane;
    (void)state;
    start(&pane);
    say_lines(&pane, 1000);
    settle(&pane);
    assert_true(shows(&pane, "FOLLOW"));
    assert_true(shows(&pane, "line 999"));
    type(&pane, "/line 5[0-4]7");
    assert_int_equal(pane.app.log.search.found, 507);
    assert_true(shows(&pane, "line 507"));
    assert_false(pane.app.log.follow);
    type(&pane, "\nn");
    assert_int_equal(pane.app.log.search.found, 517);
    type(&pane, "NN");
    assert_int_equal(pane.app.log.search.found, 547);
    /* On the way to a regular expression there may be none. */
    type(&pane, "/line (3");
    assert_true(shows(&pane, "not yet: "));
    type(&pane, "2|9)1$");
    assert_false(shows(&pane, "not yet: "));
    assert_int_equal(pane.app.log.search.state, SEARCH_FOUND);
    type(&pane, "\n");
    type(&pane, "/LINE\n");
    assert_true(shows(&pane, "not found"));
    type(&pane, "/(\n");
    assert_non_null(strstr(pane.app.said, "No regular expression"));
    assert_null(pane.app.log.pattern.text);
    /* These would take for ever. */
    type(&pane, "/((a{99}){99}){99}\n");
    assert_non_null(strstr(pane.app.said, "too many repetitions"));
    type(&pane, "/(a*)*\\1b\n");
    assert_non_null(strstr(pane.app.said, "references back"));
    type(&pane, "/x*\n");
    assert_int_equal(pane.app.log.search.state, SEARCH_FOUND);
    type(&pane, "\x1b");
    assert_null(pane.app.log.pattern.text);
    finish(&pane);
}

static void test_filter(void **state)
{
    struct rig pane;
    (void)state;
    start(&pane);
    say_lines(&pane, 1000);
    settle(&pane);
    type(&pane, "g&error:$\n");
    assert_true(shows(&pane, "No such line."));
    type(&pane, "&error\n");
    assert_int_equal(lines_n(&pane.app.log.lines), 10);
    assert_true(shows(&pane, "build & error"));
    assert_true(shows(&pane, "line 907 x.c"));
    assert_false(shows(&pane, "line 908"));
    /* Lines that come are chosen from, too; one that is not whole may become one. */
    type(&pane, "F");
    say(&pane, 1, 2, "late err");
    settle(&pane);
    assert_int_equal(lines_n(&pane.app.log.lines), 10);
    say(&pane, 1, 2, "or");
    settle(&pane);
    assert_int_equal(lines_n(&pane.app.log.lines), 11);
    say(&pane, 1, 2, "\nmore\n");
    settle(&pane);
    assert_int_equal(lines_n(&pane.app.log.lines), 11);
    assert_true(shows(&pane, "late error"));
    /* A search is within what is chosen. */
    type(&pane, "/70\n");
    assert_int_equal(lines_nth(&pane.app.log.lines, pane.app.log.search.found), 707);
    /* Esc while typing leaves the choice as it was; nothing typed ends it, and the place stays. */
    type(&pane, "&line 3");
    assert_int_equal(lines_n(&pane.app.log.lines), 111);
    type(&pane, "\x1b");
    assert_int_equal(lines_n(&pane.app.log.lines), 11);
    type(&pane, "g&\n");
    assert_int_equal(lines_n(&pane.app.log.lines), 1002);
    assert_int_equal(pane.app.log.top, 7);
    type(&pane, "&[\n");
    assert_int_equal(lines_n(&pane.app.log.lines), 1002);
    /* Another run of the step: its log is chosen from in the same way. */
    type(&pane, "&error\n");
    assert_int_equal(ftruncate(fileno(pane.out), 0), 0);
    rewind(pane.out);
    pane.written = 0;
    say(&pane, 1, 3, "error one\nfine\nerror two\n");
    settle(&pane);
    assert_int_equal(lines_n(&pane.app.log.lines), 2);
    finish(&pane);
}

static void test_errors_and_editing(void **state)
{
    struct rig pane;
    char path[80];
    (void)state;
    start(&pane);
    say_lines(&pane, 1000);
    settle(&pane);
    type(&pane, "e");
    assert_non_null(strstr(pane.app.said, "names a file"));
    snprintf(path, sizeof path, "%s/x.c", pane.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    type(&pane, "[e");
    assert_int_equal(pane.app.log.errors.found, 907);
    type(&pane, "[e");
    assert_int_equal(pane.app.log.errors.found, 807);
    type(&pane, "]e]e");
    assert_int_equal(pane.app.log.errors.found, 7);
    setenv("VISUAL", "nano -w", 1);
    type(&pane, "e");
    assert_int_equal(pane.app.want_program.argv.n, 7);
    assert_string_equal(pane.app.want_program.argv.v[2], "nano -w \"$@\"");
    assert_string_equal(pane.app.want_program.argv.v[4], "+3");
    assert_string_equal(pane.app.want_program.argv.v[5], path);
    app_program_started(&pane.app);
    /* The place may be named below what says that something is wrong. */
    say(&pane, 1, 2, "error[E0308]: mismatched\n  --> gone.rs:2:5\n  --> ./x.c:9:5\n");
    settle(&pane);
    type(&pane, "[e");
    assert_int_equal(pane.app.log.errors.found, 1000);
    type(&pane, "e");
    assert_string_equal(pane.app.want_program.argv.v[4], "+9,5");
    app_program_started(&pane.app);
    /* Python names it above. */
    say(&pane, 1, 2,
        "Traceback (most recent call last):\n  File \"./x.c\", line 4, in <module>\n    f()\n"
        "  File \"./x.c\", line 6, in f\n    raise ValueError(\"bad\")\n"
        "ValueError: bad\nx.c:11: made by another\n");
    settle(&pane);
    type(&pane, "]e");
    assert_int_equal(pane.app.log.errors.found, 1008);
    type(&pane, "e");
    assert_string_equal(pane.app.want_program.argv.v[4], "+6");
    app_program_started(&pane.app);
    unsetenv("VISUAL");
    setenv("PAGER", "most", 1);
    type(&pane, "o");
    assert_string_equal(pane.app.want_program.argv.v[4], pane.log);
    app_program_started(&pane.app);
    unsetenv("PAGER");
    finish(&pane);
}

static void make_file(struct rig *pane, const char *name)
{
    char command[200];
    snprintf(command, sizeof command, "mkdir -p $(dirname %s/%s) && echo > %s/%s", pane->dir, name,
             pane->dir, name);
    assert_int_equal(system(command), 0);
}

/* The file that the first place of the log, from its end, leads to, below the project. */
static void expect_place(struct rig *pane, const char *want)
{
    settle(pane);
    pane->app.log.errors.state = SEARCH_NONE;
    type(pane, "G[e");
    setenv("VISUAL", "nano", 1);
    app_unsay(&pane->app);
    type(pane, "e");
    if (!want) {
        assert_non_null(strstr(pane->app.said, "names a file"));
        return;
    }
    assert_null(pane->app.said);
    const char *path = pane->app.want_program.argv.v[5];
    assert_memory_equal(path, pane->dir, strlen(pane->dir));
    assert_string_equal(path + strlen(pane->dir) + 1, want);
    app_program_started(&pane->app);
    unsetenv("VISUAL");
}

/* What runs in a directory calls files from there. */
static void test_places(void **state)
{
    static const char *const names[] = {"src/a.c",    "sub/src/a.c", "sub/deep/a.c", "web/src/a.ts",
                                        "cwd/only.c", "cwd/src/a.c", "cwd/lib/b.c",  "out.c"};
    struct rig pane;
    struct buf text = BUF_INIT;
    (void)state;
    start(&pane);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_file(&pane, names[i]);
    buf_addf(&text,
             "make[1]: Entering directory '%s/sub'\nmake[2]: Entering directory '%s/sub/deep'\n"
             "a.c:1:2: error: in the innermost\n",
             pane.dir, pane.dir);
    say(&pane, 1, 1, buf_str(&text));
    expect_place(&pane, "sub/deep/a.c");
    say(&pane, 1, 1, "src/a.c:1:2: error: in one around it\n");
    expect_place(&pane, "sub/src/a.c");
    buf_reset(&text);
    buf_addf(&text,
             "make[2]: Leaving directory '%s/sub/deep'\nmake[1]: Leaving directory '%s/sub'\n"
             "src/a.c:1:2: error: in none\n",
             pane.dir, pane.dir);
    say(&pane, 1, 1, buf_str(&text));
    expect_place(&pane, "src/a.c");
    say(&pane, 1, 1, "a.c:1:2: error: in what was left\n");
    expect_place(&pane, "sub/deep/a.c"); /* of the first line that names one */
    say(&pane, 1, 1, "ninja: Entering directory `sub/deep'\n../src/a.c:3:1: error: bad\n");
    expect_place(&pane, "sub/src/a.c");
    /* Of a directory that nobody has named, or that is there in the box alone. */
    say(&pane, 1, 1, "../../src/a.c:3:1: error: bad\n");
    expect_place(&pane, "src/a.c");
    finish(&pane);
    /* Where the step runs, and where its command goes. */
    start(&pane);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_file(&pane, names[i]);
    struct event_step_info info = {.name = "build", .command = "(cd '../web'; npm -C lib test)"};
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    info.cwd = "cwd";
    event.u.pipeline.name = "demo";
    event.u.pipeline.root = pane.dir;
    event.u.pipeline.steps = &info;
    event.u.pipeline.n_steps = 1;
    app_event(&pane.app, &event);
    static const struct {
        const char *said, *file;
    } cases[] = {
        {"only.c", "cwd/only.c"}, {"src/a.c", "cwd/src/a.c"},
        {"b.c", "cwd/lib/b.c"},   {"src/a.ts", "web/src/a.ts"},
        {"out.c", "out.c"},       {"../out.c", "out.c"},
        {"../../out.c", "out.c"}, {"../../../etc/passwd.c", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&text);
        buf_addf(&text, "%s:1:2: error: bad\n", cases[i].said);
        for (int k = 0; k < 40; k++)
            buf_adds(&text, "more\n");
        say(&pane, 1, 1, buf_str(&text));
        expect_place(&pane, cases[i].file);
    }
    finish(&pane);
    buf_release(&text);
}

static void test_copying(void **state)
{
    struct rig pane;
    (void)state;
    start(&pane);
    say(&pane, 1, 1, "\x1b[31mone\x1b[0m  \n\xe6\xbc\xa2 \x02 two\n a\tb\n");
    settle(&pane);
    type(&pane, "gvjj");
    assert_true(shows(&pane, "MARKED 3"));
    type(&pane, "y");
    assert_string_equal(pane.app.said, "Copied 3 lines");
    assert_string_equal(buf_str(&pane.app.want_clip),
                        "one\n\xe6\xbc\xa2 \xef\xbf\xbd two\n a      b\n");
    assert_false(pane.app.log.mark.on);
    type(&pane, "Gvk");
    assert_int_equal(pane.app.log.mark.cursor, 1);
    type(&pane, "\x1b");
    assert_false(pane.app.log.mark.on);
    assert_true(pane.app.zoom);
    /* No more than terminals take, in whole lines. */
    struct buf text = BUF_INIT;
    for (int i = 0; i < 5000; i++)
        buf_addf(&text, "%04d of many lines that are copied\n", i);
    say(&pane, 1, 2, buf_str(&text));
    settle(&pane);
    type(&pane, "gvG");
    assert_true(shows(&pane, "4999 of many"));
    type(&pane, "y");
    assert_non_null(strstr(pane.app.said, " of 5003 lines"));
    assert_in_range(pane.app.want_clip.len, 70000, 74000);
    assert_int_equal(pane.app.want_clip.data[pane.app.want_clip.len - 1], '\n');
    /* Without panes. */
    type(&pane, "O");
    assert_non_null(strstr(pane.app.want_program.argv.v[4], "4998 of many lines that are"));
    assert_true(strlen(pane.app.want_program.argv.v[4]) < 128 << 10);
    app_program_started(&pane.app);
    buf_release(&text);
    finish(&pane);
}

static void test_saving(void **state)
{
    struct rig pane;
    (void)state;
    start(&pane);
    say_lines(&pane, 200000);
    settle(&pane);
    type(&pane, "S");
    assert_string_equal(buf_str(&pane.app.typed), "build.log");
    type(&pane, "\x15");
    type(&pane, pane.dir);
    type(&pane, "/saved\n");
    assert_non_null(strstr(pane.app.said, "Saved "));
    char command[200];
    snprintf(command, sizeof command, "cmp %s %s/saved", pane.log, pane.dir);
    assert_int_equal(system(command), 0);
    /* What is there already stays. */
    type(&pane, "S\x15");
    type(&pane, pane.log);
    type(&pane, "\n");
    assert_non_null(strstr(pane.app.said, "is there already"));
    type(&pane, "S\x15/nowhere/at/all\n");
    assert_non_null(strstr(pane.app.said, "No such file"));
    type(&pane, "S\x1b");
    finish(&pane);
}

static void test_times_and_streams(void **state)
{
    struct rig pane;
    (void)state;
    start(&pane);
    say(&pane, 1, 1, "first\n");
    settle(&pane);
    assert_true(shows(&pane, "first"));
    assert_int_equal(strcspn(row(&pane, 2), "f"), 0);
    say(&pane, 2, 3, "second\n");
    settle(&pane);
    assert_true(shows(&pane, "\xe2\x96\x8c second"));
    assert_false(shows(&pane, "\xe2\x96\x8c first"));
    type(&pane, "T");
    assert_true(shows(&pane, "    1.0s   first"));
    assert_true(shows(&pane, "    3.0s \xe2\x96\x8c second"));
    type(&pane, "T");
    assert_false(shows(&pane, "3.0s"));
    finish(&pane);
}

static void test_chunks(void **state)
{
    (void)state;
    struct chunks chunks = {0};
    assert_int_equal(chunks_at(&chunks, 0).stream, 0);
    chunks_add(&chunks, 0, 10, 1, SECOND);
    chunks_add(&chunks, 10, 10, 1, SECOND + 1000);
    assert_int_equal(chunks.list.n, 1);
    chunks_add(&chunks, 20, 10, 2, SECOND + 2000);
    chunks_add(&chunks, 40, 10, 2, SECOND - 5); /* the clock was set back; bytes are missing */
    assert_int_equal(chunks_at(&chunks, 19).stream, 1);
    assert_int_equal(chunks_at(&chunks, 29).stream, 2);
    assert_int_equal(chunks_at(&chunks, 35).stream, 0);
    assert_int_equal(chunks_at(&chunks, 49).stream, 2);
    assert_int_equal(chunks_at(&chunks, 50).stream, 0);
    assert_true(chunks_mixed(&chunks));
    /* A new log. */
    chunks_add(&chunks, 0, 5, 1, 9 * SECOND);
    assert_int_equal(chunks.list.n, 1);
    assert_false(chunks_mixed(&chunks));
    assert_int_equal(chunks_at(&chunks, 7).time_ns, 0);
    /* However many: bounded, the times still in order, the streams of the newer ones true. */
    uint64_t at = 5;
    for (int i = 0; i < 300000; i++, at += 3)
        chunks_add(&chunks, at, 3, 1 + i % 2, 10 * SECOND + (uint64_t)i * 100000000);
    assert_true(chunks.list.n <= 8192);
    for (size_t i = 1; i < chunks.list.n; i++) {
        assert_true(chunks.list.v[i].offset > chunks.list.v[i - 1].offset);
        assert_true(chunks.list.v[i].time_ns >= chunks.list.v[i - 1].time_ns);
    }
    for (uint64_t i = 299000; i < 300000; i++)
        assert_int_equal(chunks_at(&chunks, 5 + i * 3).stream, 1 + i % 2);
    chunks_clear(&chunks);
    chunks.max = 16;
    for (uint64_t i = 0; i < 1000; i++) {
        chunks_add(&chunks, i, 1, 1, (i + 1) * SECOND);
        assert_true(chunks.list.n <= 16);
    }
    assert_true(chunks_at(&chunks, 500).time_ns > 300 * SECOND);
    assert_true(chunks_at(&chunks, 500).time_ns <= 501 * SECOND);
    chunks_release(&chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_keys), cmocka_unit_test(test_search),
        cmocka_unit_test(test_filter),     cmocka_unit_test(test_errors_and_editing),
        cmocka_unit_test(test_places),     cmocka_unit_test(test_copying),
        cmocka_unit_test(test_saving),     cmocka_unit_test(test_times_and_streams),
        cmocka_unit_test(test_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
