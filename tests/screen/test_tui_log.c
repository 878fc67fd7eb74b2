/* The log pane at the sizes people have: colours, streams, times, what is found, chosen and marked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <stdio.h>
#include <string.h>

static struct pty *start(int cols, int rows)
{
    struct pty *pty = pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - Compile_the_library");
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build cc -c src/main.c\\n\\e[38;5;208morange\\e[0m "
                 "\\e[38;2;10;200;90;1mgreen\\e[0m \\e[48;5;57;3;9mgone\\e[0m\\n");
    pty_say(pty, "now 1300");
    pty_say(pty, "err build \\e[1msrc/parse.c:88:12:\\e[0m \\e[1;31merror:\\e[0m expected ;\\n"
                 "   88 |     int x = 3\\n");
    pty_say(pty, "now 2500");
    pty_say(pty, "log build wide \xe6\xbc\xa2\xe5\xad\x97 10%%\\x08\\x08\\x0820%%\\e[5Dx\\e[K\\n");
    for (int i = 0; i < 5; i++)
        pty_say(pty, "log build note %d: src/a.c:%d: warning: unused\\n", i, i + 1);
    pty_say(pty, "now 2600");
    pty_say(pty, "finished build failed 2600 1 0 0");
    pty_say(pty, "ended failed 2600");
    pty_type(pty, "2");
    pty_sync(pty);
    return pty;
}

static void at_size(int cols, int rows)
{
    char name[40];
    struct pty *pty = start(cols, rows);
    pty_type(pty, "T[e");
    pty_sync(pty);
    snprintf(name, sizeof name, "log-found-%dx%d", cols, rows);
    pty_golden(pty, name);
    pty_type(pty, "vj");
    pty_sync(pty);
    snprintf(name, sizeof name, "log-marked-%dx%d", cols, rows);
    pty_golden(pty, name);
    pty_end(pty);
}

static void test_sizes(void **state)
{
    (void)state;
    at_size(40, 10);
    at_size(80, 24);
    at_size(120, 40);
    at_size(200, 60);
}

static void test_chosen(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    pty_type(pty, "&unused|c:8[0-9]");
    pty_sync(pty);
    pty_golden(pty, "log-choosing-80x24");
    pty_type(pty, "\r/note [13]\r");
    pty_sync(pty);
    pty_golden(pty, "log-chosen-80x24");
    pty_type(pty, "&(\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "No regular expression: "));
    pty_type(pty, "&\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "main.c"));
    pty_end(pty);
}

static void test_moving(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build pulling\\n  a  10%%\\n  b   5%%\\n");
    pty_sync(pty);
    assert_true(pty_shows(pty, "  a  10%"));
    pty_say(pty, "log build \\e[2A\\e[2K  a  \\e[32mdone\\e[m\\n\\e[2K  b  70%%\\n");
    pty_sync(pty);
    assert_true(pty_shows(pty, "  a  done"));
    assert_true(pty_shows(pty, "  b  70%"));
    assert_false(pty_shows(pty, "10%"));
    pty_say(pty, "log build \\e[H\\e[2Jcleared\\nthe end");
    pty_sync(pty);
    pty_golden(pty, "log-moving-80x24");
    pty_end(pty);
}

/* Of a result out of the cache all is known that is kept with it. */
static void test_cached(void **state)
{
    (void)state;
    struct pty *pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - Compile_the_library");
    pty_say(pty, "step lint - -");
    pty_say(pty, "step old - -");
    pty_say(pty, "end");
    pty_say(pty, "stored build 1 0 cc -c src/main.c\\n");
    pty_say(pty, "stored build 2 1300 src/main.c:3: warning: unused\\n");
    pty_say(pty, "stored build 1 1900 linked\\n");
    pty_say(pty, "stored old 1 - it has no times\\n");
    pty_say(pty, "gone lint the cache no longer has its result: it was collected or cleared");
    pty_say(pty, "run");
    pty_say(pty, "finished build cached 1 0 0 900");
    pty_say(pty, "finished lint cached 1 0 0 900");
    pty_say(pty, "finished old cached 1 0 0 900");
    pty_say(pty, "ended passed 10");
    pty_type(pty, "G2");
    pty_sync(pty);
    pty_type(pty, "T");
    pty_sync(pty);
    assert_true(pty_shows(pty, "it has no times"));
    pty_type(pty, "1g2");
    pty_sync(pty);
    pty_golden(pty, "log-cached-80x24");
    pty_type(pty, "1j2");
    pty_sync(pty);
    pty_golden(pty, "log-gone-80x24");
    /* A run of the past: its results are those of then, whatever is current. */
    pty_say(pty, "record 1 watch passed 0 10 0 3 0 0");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build now it runs\\n");
    pty_say(pty, "finished build passed 100 0 0 0");
    pty_say(pty, "ended passed 100");
    pty_type(pty, "1g2");
    pty_sync(pty);
    assert_true(pty_shows(pty, "now it runs"));
    pty_type(pty, "6");
    pty_sync(pty);
    pty_type(pty, "jj\r1g2");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PAST"));
    pty_sync(pty);
    assert_true(pty_shows(pty, "src/main.c:3: warning: unused"));
    assert_true(pty_shows(pty, "1.3s"));
    assert_false(pty_shows(pty, "now it runs"));
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_chosen),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_cached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
