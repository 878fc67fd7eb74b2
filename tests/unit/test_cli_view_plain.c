/* The plain view on scripted events: the exact lines that people and grep see. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/plain_private.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct screen {
    char *text;
    size_t n;
    FILE *out;
    struct view_plain *view;
    char log[64];
};

static void screen_open(struct screen *s, bool color, bool live, bool watching)
{
    *s = (struct screen){0};
    s->out = open_memstream(&s->text, &s->n);
    s->view = view_plain_new(&(struct view_plain_options){
        .out = s->out, .color = color, .live = live, .watching = watching});
    strcpy(s->log, "/tmp/kiln-test-XXXXXX");
    close(mkstemp(s->log));
}

static void screen_close(struct screen *s)
{
    view_plain_free(s->view);
    fclose(s->out);
    free(s->text);
    unlink(s->log);
}

static void emit(struct screen *s, struct event event)
{
    event.run = event.type <= EVENT_RUN_FINISHED ? "14" : NULL;
    view_plain_event(s->view, &event);
}

static void load(struct screen *s, bool watching)
{
    static const struct event_step_info steps[] = {
        {.name = "build", .command = "make -C src"},
        {.name = "test", .command = "./build/app \\\n  --self-test"},
    };
    emit(s, (struct event){.type = EVENT_PIPELINE_LOADED,
                           .u.pipeline = {"demo", "/work/demo", steps, 2, watching}});
}

static void start_run(struct screen *s, size_t n, uint32_t jobs)
{
    emit(s, (struct event){.type = EVENT_RUN_STARTED,
                           .u.run_started = {.version = "0",
                                             .pipeline = "demo",
                                             .root = "/",
                                             .trigger = "command",
                                             .n_steps = n,
                                             .jobs = jobs}});
}

static void start(struct screen *s, const char *step, const struct reason *reasons, size_t n,
                  size_t all)
{
    emit(s, (struct event){.type = EVENT_STEP_STARTED,
                           .step = step,
                           .time_ns = clock_realtime_ns(),
                           .u.started = {.attempt = 1,
                                         .reasons = reasons,
                                         .n_reasons = n,
                                         .all_reasons = all,
                                         .log = s->log}});
}

static void finish(struct screen *s, const char *step, enum step_status status, int code,
                   uint64_t ms, const char *error)
{
    emit(s, (struct event){
                .type = EVENT_STEP_FINISHED,
                .step = step,
                .u.finished = {
                    .status = status, .exit_code = code, .duration_ms = ms, .error = error}});
}

static void finish_run(struct screen *s, enum run_status status, uint32_t passed, uint32_t cached,
                       uint32_t failed, uint32_t skipped, uint32_t cancelled, uint64_t ms)
{
    emit(s, (struct event){
                .type = EVENT_RUN_FINISHED,
                .u.run_finished = {status, ms, passed, cached, failed, skipped, cancelled, 0}});
}

static void write_log(struct screen *s, const char *text)
{
    assert_int_equal(file_write_atomic(s->log, text, strlen(text), 0600, NULL), 0);
}

/* Compares what was printed since the last time; @LOG@ in want stands for the log's path. */
static void expect(struct screen *s, const char *want)
{
    struct buf text = BUF_INIT;
    for (const char *at; (at = strstr(want, "@LOG@")); want = at + 5) {
        buf_add(&text, want, (size_t)(at - want));
        buf_adds(&text, s->log);
    }
    buf_adds(&text, want);
    fflush(s->out);
    assert_string_equal(s->text ? s->text : "", buf_str(&text));
    rewind(s->out);
    s->text[0] = '\0';
    buf_release(&text);
}

static void test_a_run(void **state)
{
    (void)state;
    struct screen s;
    screen_open(&s, false, false, false);
    const struct reason reasons[] = {
        {.kind = REASON_FILE,
         .subject = "src/a.c",
         .old = "9f2c410000000000000000000000000000000000000000000000000000000000",
         .now = "c41d070000000000000000000000000000000000000000000000000000000000"},
        {.kind = REASON_ENV, .subject = "CC", .old = "gcc", .now = "clang"}};
    load(&s, false);
    start_run(&s, 5, 2);
    emit(&s, (struct event){.type = EVENT_STEP_QUEUED, .step = "build"});
    start(&s, "build", reasons, 2, 3);
    emit(&s, (struct event){.type = EVENT_STEP_LOG, .step = "build", .u.log = {1, 0, 5, s.log}});
    finish(&s, "build", STEP_PASSED, 0, 1200, NULL);
    emit(&s, (struct event){
                 .type = EVENT_STEP_FINISHED,
                 .step = "lint",
                 .u.finished = {
                     .status = STEP_CACHED, .exit_code = 0, .source = "local", .saved_ms = 4100}});
    emit(&s, (struct event){.type = EVENT_STEP_FINISHED,
                            .step = "docs",
                            .u.finished = {.status = STEP_CACHED, .source = "remote"}});
    start(&s, "test", reasons + 1, 1, 1);
    write_log(&s, "t_parse.c:88: \033[31mexpected 3\033[0m got 4\nlast line");
    finish(&s, "test", STEP_FAILED, 1, 3400, NULL);
    finish(&s, "deploy", STEP_SKIPPED, -1, 0, "it needs test, which failed");
    finish_run(&s, RUN_FAILED, 1, 2, 1, 1, 0, 12300);
    expect(&s, "kiln: run 14: 5 steps, 2 jobs\n"
               "build: started (file src/a.c 9f2c41 -> c41d07; +2 more)\n"
               "build: passed in 1.2s\n"
               "lint: cached (saved 4.1s)\n"
               "docs: cached from remote\n"
               "test: started (env CC gcc -> clang)\n"
               "test: FAILED with exit code 1 after 3.4s\n"
               "deploy: skipped: it needs test, which failed\n"
               "\n"
               "---- test: FAILED with exit code 1 after 3.4s ----------------------------------\n"
               "$ ./build/app \\\n"
               "    --self-test\n"
               "t_parse.c:88: expected 3 got 4\n"
               "last line\n"
               "---- end of test, log: @LOG@ -----------------------------------\n"
               "test: to run it again: kiln run test\n"
               "test: to look into it: kiln debug --run 14 test\n"
               "\n"
               "kiln: failed: 1 failed, 1 passed, 2 cached, 1 skipped in 12s\n");
    screen_close(&s);
}

static void test_ends_in_words(void **state)
{
    (void)state;
    struct screen s;
    screen_open(&s, false, false, false);
    start_run(&s, 1, 1);
    finish(&s, "a", STEP_FAILED, -1, 0, "input x is a FIFO; exclude it");
    emit(&s, (struct event){
                 .type = EVENT_STEP_FINISHED,
                 .step = "b",
                 .u.finished = {
                     .status = STEP_FAILED, .exit_code = -1, .signal = 11, .duration_ms = 400}});
    emit(&s, (struct event){.type = EVENT_STEP_FINISHED,
                            .step = "c",
                            .u.finished = {.status = STEP_FAILED,
                                           .exit_code = -1,
                                           .signal = 15,
                                           .timed_out = true,
                                           .duration_ms = 90000}});
    finish(&s, "d", STEP_FAILED, 0, 100, "output build/app was not made");
    finish(&s, "e", STEP_CANCELLED, -1, 200, "its inputs changed while it ran");
    finish(&s, "f", STEP_CANCELLED, -1, 0, NULL);
    emit(&s, (struct event){
                 .type = EVENT_STEP_FINISHED,
                 .step = "g",
                 .u.finished = {.status = STEP_PASSED,
                                .tainted = true,
                                .duration_ms = 100,
                                .error = "input a changed while it ran: the result is not kept"}});
    finish(&s, "new\nline\033", STEP_PASSED, 0, 0, NULL);
    finish_run(&s, RUN_CANCELLED, 1, 0, 4, 0, 2, 1000);
    expect(&s, "kiln: run 14: 1 step, 1 job\n"
               "a: FAILED: input x is a FIFO; exclude it\n"
               "b: FAILED: killed by SIGSEGV after 0.40s\n"
               "c: FAILED: timed out after 1:30\n"
               "d: FAILED after 0.10s: output build/app was not made\n"
               "e: cancelled after 0.20s: its inputs changed while it ran\n"
               "f: cancelled\n"
               "g: passed in 0.10s, tainted: input a changed while it ran: the result is not "
               "kept\n"
               "new\\nline\\x1b: passed in 0.00s\n"
               "\n"
               "---- a: FAILED: input x is a FIFO; exclude it ----------------------------------\n"
               "a: to run it again: kiln run a\n"
               "\n"
               "---- b: FAILED: killed by SIGSEGV after 0.40s ----------------------------------\n"
               "b: to run it again: kiln run b\n"
               "b: to look into it: kiln debug --run 14 b\n"
               "\n"
               "---- c: FAILED: timed out after 1:30 -------------------------------------------\n"
               "c: to run it again: kiln run c\n"
               "c: to look into it: kiln debug --run 14 c\n"
               "\n"
               "---- d: FAILED after 0.10s: output build/app was not made ----------------------\n"
               "d: to run it again: kiln run d\n"
               "d: to look into it: kiln debug --run 14 d\n"
               "\n"
               "kiln: cancelled: 4 failed, 2 cancelled, 1 passed in 1.0s\n");
    screen_close(&s);
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    struct screen s;
    screen_open(&s, false, false, false);
    start_run(&s, 2, 8);
    finish(&s, "a", STEP_CACHED, 0, 0, NULL);
    finish(&s, "b", STEP_CACHED, 0, 0, NULL);
    finish_run(&s, RUN_PASSED, 0, 100, 0, 0, 0, 20);
    expect(&s, "kiln: run 14: 2 steps, 8 jobs\na: cached\nb: cached\n"
               "kiln: passed: nothing to do, 100 cached in 0.02s\n");
    screen_close(&s);
}

static void test_watching(void **state)
{
    (void)state;
    struct screen s;
    const char *const paths[] = {"a.c", "b.c", "c.c", "d.c"};
    screen_open(&s, false, false, true);
    load(&s, true);
    load(&s, true);
    emit(&s, (struct event){.type = EVENT_WATCH_CHANGED, .u.changed = {paths, 1, 1, 1, 1}});
    emit(&s, (struct event){.type = EVENT_WATCH_CHANGED, .u.changed = {paths, 4, 1000, 1, 2}});
    emit(&s, (struct event){.type = EVENT_WATCH_DEGRADED, .u.degraded = {"polling src"}});
    emit(&s, (struct event){.type = EVENT_NOTICE,
                            .u.notice = {"error", "kiln.json:1:2: bad\nfix it\n"}});
    emit(&s, (struct event){.type = EVENT_NOTICE, .u.notice = {"info", "hello"}});
    emit(&s, (struct event){.type = EVENT_WATCH_IDLE});
    expect(&s, "kiln: watching /work/demo: 2 steps\n"
               "kiln: loaded again: demo: 2 steps\n"
               "kiln: 1 file changed: a.c\n"
               "kiln: 1000 files changed: a.c, b.c, c.c, +997 more\n"
               "kiln: watching is degraded: polling src\n"
               "kiln: error: kiln.json:1:2: bad\n"
               "  fix it\n"
               "kiln: hello\n"
               "kiln: waiting for changes\n");
    screen_close(&s);
}

static void test_failing_logs(void **state)
{
    (void)state;
    struct screen s;
    screen_open(&s, false, false, false);
    start_run(&s, 1, 1);
    start(&s, "quiet", NULL, 0, 0);
    finish(&s, "quiet", STEP_FAILED, 2, 0, NULL);
    finish_run(&s, RUN_FAILED, 0, 0, 1, 0, 0, 0);
    fflush(s.out);
    assert_non_null(strstr(s.text, "\n(it wrote nothing)\n---- end of quiet, log: /tmp/"));
    start_run(&s, 1, 1); /* what failed in a run is told once */
    finish_run(&s, RUN_PASSED, 0, 1, 0, 0, 0, 0);
    start(&s, "gone", NULL, 0, 0);
    unlink(s.log);
    finish(&s, "gone", STEP_FAILED, 2, 0, NULL);
    finish_run(&s, RUN_FAILED, 0, 0, 1, 0, 0, 0);
    fflush(s.out);
    const char *first = strstr(s.text, "end of quiet");
    assert_null(strstr(first + 1, "end of quiet"));
    assert_non_null(strstr(s.text, "\n(its log cannot be read)\n---- end of gone"));
    screen_close(&s);
}

static void test_long_log_is_whole(void **state)
{
    (void)state;
    struct screen s;
    struct buf log = BUF_INIT;
    screen_open(&s, false, false, false);
    for (int i = 0; i < 50000; i++)
        buf_addf(&log, "line %d\n", i);
    start(&s, "a", NULL, 0, 0);
    write_log(&s, log.data);
    finish(&s, "a", STEP_FAILED, 1, 0, NULL);
    finish_run(&s, RUN_FAILED, 0, 0, 1, 0, 0, 0);
    fflush(s.out);
    assert_non_null(strstr(s.text, log.data));
    buf_release(&log);
    screen_close(&s);
}

static void test_color(void **state)
{
    (void)state;
    struct screen s;
    screen_open(&s, true, false, false);
    start(&s, "a", NULL, 0, 0);
    write_log(&s, "\033[31mred\033[2J\033]0;title\a\n");
    finish(&s, "a", STEP_FAILED, 1, 0, NULL);
    finish_run(&s, RUN_FAILED, 0, 0, 1, 0, 0, 0);
    fflush(s.out);
    assert_non_null(strstr(s.text, "a: \033[1;31mFAILED\033[0m with exit code 1"));
    assert_non_null(strstr(s.text, "\n\033[31mred\n\033[0m"));
    screen_close(&s);
}

/* Piece by piece gives what the whole gives. */
static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *plain, *color;
    } cases[] = {
        {"abc", "abc", "abc"},
        {"\033[1;31mred\033[0m", "red", "\033[1;31mred\033[0m"},
        {"a\033[2Jb\033[10;5Hc\033[?25ld\033[>1me", "abcde", "abcde"},
        {"\033]0;title\ax\033]8;;http://a\033\\y", "xy", "xy"},
        {"\033]0;never ends\nnext", "\nnext", "\nnext"},
        {"\033(Bx\0337y\033\033[mz", "xyz", "xy\033[mz"},
        {"\033[3\n1m", "\n1m", "\n1m"},
        {"\033P1$r\033[x\033\\end", "end", "end"},
        {"tab\tcr\rbell\xc3\xa9\xff", "tab\tcr\rbell\xc3\xa9\xff", "tab\tcr\rbell\xc3\xa9\xff"},
        {"cut\033", "cut", "cut"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t piece = 1; piece < 8; piece++) {
            struct escape plain = {0}, color = {.keep_color = true};
            struct buf a = BUF_INIT, b = BUF_INIT;
            size_t n = strlen(cases[i].in);
            for (size_t at = 0; at < n; at += piece) {
                size_t some = n - at < piece ? n - at : piece;
                escape_filter(&plain, cases[i].in + at, some, &a);
                escape_filter(&color, cases[i].in + at, some, &b);
            }
            assert_string_equal(buf_str(&a), cases[i].plain);
            assert_string_equal(buf_str(&b), cases[i].color);
            buf_release(&a);
            buf_release(&b);
        }
    }
}

static void check_live(const struct live *live, size_t width, const char *want)
{
    struct buf line = BUF_INIT;
    live_line(live, width, false, false, 4000000000, &line);
    assert_string_equal(buf_str(&line), want);
    buf_release(&line);
}

static void test_live_line(void **state)
{
    (void)state;
    struct live live = {.total = 5, .done = 2, .cached = 1, .active = true};
    check_live(&live, 80, "2/5 done, 1 cached");
    live_start(&live, "build", 800000000);
    live_start(&live, "lint", 3200000000);
    check_live(&live, 80, "* build 3.2s  * lint 0.8s  2/5 done, 1 cached");
    check_live(&live, 40, "* build 3.2s  +1  2/5 done, 1 cached");
    check_live(&live, 30, "+2  2/5 done, 1 cached");
    check_live(&live, 20, "2/5 done, 1 cached");
    check_live(&live, 19, "");
    live_end(&live, "build");
    live_end(&live, "unknown");
    live.failed = 1;
    check_live(&live, 80, "* lint 0.8s  2/5 done, 1 cached, 1 failed");
    live.active = false;
    check_live(&live, 80, "");
    live.idle = "waiting for changes";
    check_live(&live, 80, "waiting for changes");
    live_release(&live);
}

static void test_live_never_wraps(void **state)
{
    (void)state;
    struct live live = {.total = 1000000, .done = 999999, .cached = 5, .active = true};
    live_start(&live, "日本語日本語", 0);
    live_start(&live, "a very long name of a step that fills the line", 0);
    for (size_t width = 0; width < 120; width++) {
        struct buf line = BUF_INIT;
        live_line(&live, width, true, false, 1, &line);
        size_t columns = 0;
        for (size_t i = 0; i < line.len; i++) /* a wide character has three bytes, two columns */
            columns += ((unsigned char)line.data[i] & 0xc0) != 0x80;
        assert_true(columns < (width ? width : 1));
        buf_release(&line);
    }
    live_release(&live);
}

/* On a terminal: cached steps are counted, not told; the line is erased before what is printed. */
static void test_live_on_a_terminal(void **state)
{
    (void)state;
    int leader, follower;
    struct winsize size = {.ws_row = 24, .ws_col = 60};
    assert_int_equal(openpty(&leader, &follower, NULL, NULL, &size), 0);
    FILE *out = fdopen(follower, "w");
    struct screen s = {.view =
                           view_plain_new(&(struct view_plain_options){.out = out, .live = true})};
    start_run(&s, 3, 2);
    finish(&s, "a", STEP_CACHED, 0, 0, NULL);
    start(&s, "b", NULL, 0, 0);
    finish(&s, "b", STEP_PASSED, 0, 1000, NULL);
    finish_run(&s, RUN_PASSED, 1, 1, 0, 0, 0, 1000);
    view_plain_tick(s.view);
    view_plain_free(s.view);
    /* The terminal hands over what was written in pieces: all has come once the other side is
     * closed. */
    fclose(out);
    char text[4096];
    size_t len = 0;
    for (ssize_t n; len < sizeof text - 1; len += (size_t)n) {
        n = read(leader, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
    }
    text[len] = '\0';
    const char *b = strstr(text, " b 0.0s  1/3 done, 1 cached");
    assert_non_null(b);
    const char *want = "kiln: run 14: 3 steps, 2 jobs\r\n"
                       "0/3 done\r\033[Kb: started\r\n";
    assert_memory_equal(text, want, strlen(want));
    assert_string_equal(b + strlen(" b 0.0s  1/3 done, 1 cached"),
                        "\r\033[Kb: passed in 1.0s\r\n"
                        "2/3 done, 1 cached\r\033[K"
                        "kiln: passed: 1 passed, 1 cached in 1.0s\r\n");
    close(leader);
}

static void prepare(struct screen *s, uint64_t seconds, uint64_t done)
{
    emit(s, (struct event){.type = EVENT_STEP_PROGRESS,
                           .time_ns = seconds * 1000000000,
                           .step = "build",
                           .u.progress = {"image", "unpacking debian:12", done << 20, 200 << 20,
                                          "bytes", seconds ? (done << 20) / seconds : 0}});
}

static void test_what_is_made_ready_and_what_may_help(void **state)
{
    (void)state;
    const char *const hints[] = {"add \"src/gen.h\" to its \"inputs\""};
    struct screen s;
    screen_open(&s, false, false, false);
    prepare(&s, 0, 0);
    prepare(&s, 9, 90); /* not so soon */
    prepare(&s, 10, 100);
    start(&s, "build", NULL, 0, 0);
    emit(&s, (struct event){.type = EVENT_STEP_FINISHED,
                            .step = "build",
                            .u.finished = {.status = STEP_FAILED,
                                           .exit_code = 1,
                                           .duration_ms = 1000,
                                           .hints = hints,
                                           .n_hints = 1}});
    expect(&s, "build: unpacking debian:12 0 B of 200 MiB\n"
               "build: unpacking debian:12 100 MiB of 200 MiB, 10.0 MiB/s\n"
               "build: started\n"
               "build: FAILED with exit code 1 after 1.0s\n");
    finish_run(&s, RUN_FAILED, 0, 0, 1, 0, 0, 0);
    fflush(s.out);
    assert_non_null(strstr(s.text, "\n(it wrote nothing)\n" /* beside what it is about */
                                   "build: hint: add \"src/gen.h\" to its \"inputs\"\n"
                                   "---- end of build, log: /tmp/"));
    screen_close(&s);

    struct live live = {.total = 2, .active = true};
    live_doing(&live, "build", "unpacking debian:12 45%");
    check_live(&live, 80, "* build unpacking debian:12 45%  0/2 done");
    live_start(&live, "build", 800000000);
    check_live(&live, 80, "* build 3.2s  0/2 done");
    live_release(&live);
}

/* A full disk: the view stops printing, and whoever owns the stream can see why. */
static void test_full_disk(void **state)
{
    (void)state;
    FILE *out = fopen("/dev/full", "w");
    assert_non_null(out);
    struct screen s = {.view = view_plain_new(&(struct view_plain_options){.out = out})};
    start_run(&s, 1, 1);
    finish_run(&s, RUN_PASSED, 0, 1, 0, 0, 0, 0);
    view_plain_free(s.view);
    assert_true(ferror(out));
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run),
        cmocka_unit_test(test_ends_in_words),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_watching),
        cmocka_unit_test(test_failing_logs),
        cmocka_unit_test(test_long_log_is_whole),
        cmocka_unit_test(test_color),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_live_line),
        cmocka_unit_test(test_live_never_wraps),
        cmocka_unit_test(test_live_on_a_terminal),
        cmocka_unit_test(test_what_is_made_ready_and_what_may_help),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
