/* Lines of a log: found in the file, taken apart for showing, searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tui/line.h"
#include "tui/logfile.h"
#include "tui/search.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int fresh(void)
{
    snprintf(path, sizeof path, "/tmp/kiln-test-log-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fd;
}

static void add(int fd, const void *bytes, size_t n)
{
    assert_int_equal(write(fd, bytes, n), n);
}

static void expect_line(struct logfile *log, uint64_t line, const char *text)
{
    size_t n;
    const char *bytes = logfile_line(log, line, &n);
    assert_non_null(bytes);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, n);
}

static void test_growing(void **state)
{
    (void)state;
    int fd = fresh();
    struct logfile *log = logfile_open(path);
    assert_non_null(log);
    assert_false(logfile_index(log, 100));
    assert_int_equal(logfile_lines(log), 0);
    size_t n;
    assert_null(logfile_line(log, 0, &n));
    add(fd, "one\ntw", 6);
    assert_false(logfile_index(log, 1 << 20));
    assert_int_equal(logfile_lines(log), 2);
    expect_line(log, 0, "one");
    expect_line(log, 1, "tw");
    add(fd, "o\n\nfour", 7);
    logfile_index(log, 1 << 20);
    assert_int_equal(logfile_lines(log), 4);
    expect_line(log, 3, "four");
    expect_line(log, 2, "");
    expect_line(log, 1, "two");
    assert_null(logfile_line(log, 4, &n));
    /* From the end, without the index. */
    uint64_t end = logfile_size(log);
    assert_memory_equal(logfile_back(log, &end, &n), "four", 4);
    assert_int_equal(n, 4);
    assert_non_null(logfile_back(log, &end, &n));
    assert_int_equal(n, 0);
    assert_memory_equal(logfile_back(log, &end, &n), "two", 3);
    assert_memory_equal(logfile_back(log, &end, &n), "one", 3);
    assert_int_equal(end, 0);
    assert_null(logfile_back(log, &end, &n));
    /* A new attempt writes the file anew. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    add(fd, "again\n", 6);
    logfile_index(log, 1 << 20);
    assert_int_equal(logfile_lines(log), 1);
    expect_line(log, 0, "again");
    logfile_free(log);
    close(fd);
    unlink(path);
}

static void test_many_lines(void **state)
{
    (void)state;
    /* More than the index has places for at its finest. */
    enum { LINES = 3000000 };
    int fd = fresh();
    FILE *out = fdopen(fd, "w");
    assert_non_null(out);
    for (int i = 0; i < LINES; i++)
        fprintf(out, "%d\n", i);
    assert_int_equal(fflush(out), 0);
    struct logfile *log = logfile_open(path);
    int pieces = 1;
    while (logfile_index(log, 1 << 20))
        pieces++;
    assert_true(pieces > 10);
    assert_int_equal(logfile_lines(log), LINES);
    char text[16];
    uint32_t seed = 7;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint64_t line = i == 0 ? LINES - 1 : seed % LINES;
        snprintf(text, sizeof text, "%llu", (unsigned long long)line);
        expect_line(log, line, text);
        if (line + 1 < LINES) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)line + 1);
            expect_line(log, line + 1, text);
        }
    }
    logfile_free(log);
    fclose(out);
    unlink(path);
}

static void test_long_lines(void **state)
{
    (void)state;
    int fd = fresh();
    size_t n = LOGFILE_LINE_MAX * 5 + 10, got;
    char *big = mem_alloc(n);
    memset(big, 'x', n);
    add(fd, "a\n", 2);
    add(fd, big, n);
    add(fd, "\nend\n", 5);
    struct logfile *log = logfile_open(path);
    while (logfile_index(log, 1000))
        ;
    assert_int_equal(logfile_lines(log), 1 + 6 + 1);
    assert_non_null(logfile_line(log, 1, &got));
    assert_int_equal(got, LOGFILE_LINE_MAX);
    assert_non_null(logfile_line(log, 6, &got));
    assert_int_equal(got, 10);
    expect_line(log, 7, "end");
    logfile_free(log);
    free(big);
    close(fd);
    unlink(path);
}

static void test_no_file(void **state)
{
    (void)state;
    assert_null(logfile_open("/proc/nonexistent/log"));
    assert_null(logfile_open("/tmp"));
    assert_null(logfile_open("/dev/null"));
    logfile_free(NULL);
}

/* The line's cells as text; styles are looked at one by one. */
static void shown(const char *bytes, const char *want)
{
    struct line line = {0};
    struct buf text = BUF_INIT;
    line_parse(&line, bytes, strlen(bytes), 1000, true);
    vec_each (struct cell, cell, &line.cells)
        buf_add(&text, cell->text, cell->len);
    assert_string_equal(buf_str(&text), want);
    buf_release(&text);
    line_release(&line);
}

static void test_escapes(void **state)
{
    (void)state;
    shown("plain", "plain");
    shown("\x1b[1;31mred\x1b[0m", "red");
    shown("a\x1b[10;10Hc\x1b[?25ld", "acd");
    shown("a\x1b[2Kb", " b");
    shown("abcdef\x1b[3Gx\x1b[2Dyz\x1b[K", "ayz");
    shown("abcdef\x1b[1Gx\x1b[K", "x");
    shown("abcdef\x1b[2G\x1b[2P\x1b[1@-\x1b[C+", "a-d+f");
    shown("abc\x1b[2G\x1b[X.\x1b[9999CZ\x1b[2K\x1b[GZ", "Z");
    shown("\xe6\xbc\xa2\xe5\xad\x97\x1b[2Gx", " x\xe5\xad\x97");
    shown("\xe6\xbc\xa2\xe5\xad\x97\x1b[1Gx", "x \xe5\xad\x97");
    shown("50%\b\b\b60%", "60%");
    shown("\x1b]0;title\ax", "x");
    shown("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link");
    shown("\x1b(Bx\x1bPq#0\x1b\\y\x1b=z", "xyz");
    shown("cut \x1b[3", "cut ");
    shown("cut \x1b", "cut ");
    shown("cut \x1b]0;never ends", "cut ");
    shown("\x1b[31\x01x", "\xef\xbf\xbdx");
    shown(" 10%\r 50%\r100%", "100%");
    shown("dos\r", "dos");
    shown("\r", "");
    shown("a\tb", "a       b");
    shown("12345678\tb", "12345678        b");
    shown("ab\bc", "ac");
    shown("\b\bx", "x");
    shown("bad \xff\xc3 \x01", "bad \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd");
    shown("\xe2\x80\xaetxt", "\xef\xbf\xbdtxt");
    shown("e\xcc\x81", "e\xcc\x81");
    shown("\xcc\x81", "\xef\xbf\xbd");
    shown("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\xf0\x9f\x91\xa9\xf0\x9f\x92\xbb");
}

static void test_styles(void **state)
{
    (void)state;
    struct line line = {0};
    const char *text = "\x1b[1;31ma\x1b[22;92mb\x1b[38;5;196mc\x1b[48;2;0;0;200md\x1b[7me\x1b[mf"
                       "\x1b[38:5:46mg\x1b[4m\x1b[39m漢";
    line_parse(&line, text, strlen(text), 1000, true);
    assert_int_equal(line.cells.n, 9);
    assert_int_equal(line.cells.v[0].style.fg, 1);
    assert_int_equal(line.cells.v[0].style.attrs, ATTR_BOLD);
    assert_int_equal(line.cells.v[1].style.fg, 10);
    assert_int_equal(line.cells.v[1].style.attrs, 0);
    assert_int_equal(line.cells.v[2].style.fg, 196);
    assert_int_equal(line.cells.v[3].style.bg, COLOUR_TRUE(0, 0, 200));
    assert_int_equal(line.cells.v[4].style.attrs, ATTR_REVERSE);
    assert_int_equal(line.cells.v[5].style.fg, COLOUR_DEFAULT);
    assert_int_equal(line.cells.v[6].style.fg, 46);
    assert_int_equal(line.cells.v[7].style.attrs, ATTR_UNDERLINE);
    assert_int_equal(line.cells.v[7].width, 2);
    assert_int_equal(line.cells.v[8].width, 0);
    /* What a terminal has of them. */
    assert_int_equal(colour_nearest(196, 256), 196);
    assert_int_equal(colour_nearest(196, 16), 9);
    assert_int_equal(colour_nearest(196, 8), 1);
    assert_int_equal(colour_nearest(196, 0), COLOUR_DEFAULT);
    assert_int_equal(colour_nearest(COLOUR_TRUE(0, 0, 200), 16), 4);
    assert_int_equal(colour_nearest(COLOUR_TRUE(0, 0, 200), COLOURS_TRUE), COLOUR_TRUE(0, 0, 200));
    assert_int_equal(colour_nearest(COLOUR_TRUE(255, 0, 0), 256), 196);
    assert_int_equal(colour_nearest(COLOUR_TRUE(128, 129, 127), 256), 244);
    assert_int_equal(colour_nearest(COLOUR_DEFAULT, 256), COLOUR_DEFAULT);
    for (int32_t i = 16; i < 256; i++)
        assert_in_range(colour_nearest(i, 16), 0, 15);
    /* No more than asked for, and never half a wide one. */
    line_parse(&line, text, strlen(text), 8, true);
    assert_int_equal(line.cells.n, 7);
    line_release(&line);
}

static void test_any_bytes(void **state)
{
    (void)state;
    static const char spice[] = "\x1b\x1b[[;;m38519\r\b\t]\\\a\xe6\xbc\xa2\xcc\x81";
    struct line line = {0};
    struct buf plain = BUF_INIT;
    uint32_t seed = 3;
    for (int round = 0; round < 3000; round++) {
        char bytes[200];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] =
                seed & 0x10000 ? spice[(seed >> 20) % (sizeof spice - 1)] : (char)(seed >> 24);
        }
        line_parse(&line, bytes, sizeof bytes, seed % 120, (seed & 1) != 0);
        assert_true(line.cells.n <= 200);
        buf_reset(&plain);
        line_plain(bytes, sizeof bytes, &plain);
        assert_true(plain.len <= sizeof bytes + LINE_REACH);
    }
    buf_release(&plain);
    line_release(&line);
}

static void test_search(void **state)
{
    (void)state;
    int fd = fresh();
    FILE *out = fdopen(fd, "w");
    for (int i = 0; i < 20000; i++)
        fprintf(out,
                i == 7000    ? "an \x1b[31mEr\x1b[0mror\n"
                : i == 15000 ? "old\rError!\n"
                             : "line %d\n",
                i);
    fflush(out);
    struct logfile *log = logfile_open(path);
    while (logfile_index(log, 1 << 20))
        ;
    struct search search = {0};
    struct lines lines = {0};
    struct pattern pattern = {0};
    lines_set_file(&lines, log);
    struct search_wanted wanted = search_pattern(&pattern);
    pattern_set(&pattern, "error");
    search_start(&search, &lines, 0, true);
    int pieces = 0;
    while (search_work(&search, &lines, &wanted, 4096, false))
        pieces++;
    assert_true(pieces > 5);
    assert_int_equal(search.state, SEARCH_FOUND);
    assert_int_equal(search.found, 7000);
    search_start(&search, &lines, 7001, true);
    while (search_work(&search, &lines, &wanted, 4096, false))
        ;
    assert_int_equal(search.found, 15000);
    /* Round the end, and backwards round the start. */
    search_start(&search, &lines, 15001, true);
    while (search_work(&search, &lines, &wanted, 4096, false))
        ;
    assert_int_equal(search.found, 7000);
    search_start(&search, &lines, 6999, false);
    while (search_work(&search, &lines, &wanted, 4096, false))
        ;
    assert_int_equal(search.found, 15000);
    /* While more is to come the end is none; then it is. */
    pattern_set(&pattern, "no such text");
    search_start(&search, &lines, 19000, true);
    for (int i = 0; i < 100; i++)
        assert_true(search_work(&search, &lines, &wanted, 4096, true));
    while (search_work(&search, &lines, &wanted, 4096, false))
        ;
    assert_int_equal(search.state, SEARCH_MISSED);
    assert_int_equal(search.seen, 20000);
    pattern_set(&pattern, "ERROR");
    search_start(&search, &lines, 0, true);
    while (search_work(&search, &lines, &wanted, 4096, false))
        ;
    assert_int_equal(search.state, SEARCH_MISSED);
    pattern_set(&pattern, "");
    assert_false(pattern_ready(&pattern));
    struct lines none = {0};
    search_start(&search, &none, 0, true);
    assert_false(search_work(&search, &none, &wanted, 10, false));
    pattern_release(&pattern);
    search_release(&search);
    lines_release(&lines);
    fclose(out);
    unlink(path);
}

/* A long line and an expression that needs the square of it: no key waits for that. */
static void test_hard_expression(void **state)
{
    (void)state;
    struct pattern pattern = {0};
    size_t n = LOGFILE_LINE_MAX, start, end;
    char *line = mem_alloc(n + 1);
    memset(line, 'a', n);
    line[n] = '\0';
    pattern_set(&pattern, "(a|aa)*b");
    for (int i = 0; i < 10; i++)
        assert_false(pattern_find(&pattern, line, n, 0, &start, &end));
    assert_true(pattern_cost(&pattern, n) > n);
    line[PATTERN_LOOKED - 1] = 'b';
    assert_true(pattern_find(&pattern, line, n, 0, &start, &end));
    assert_int_equal(end, PATTERN_LOOKED);
    /* As it is, a text is found everywhere. */
    line[n - 1] = 'b';
    pattern_set(&pattern, "ab");
    assert_true(pattern_find(&pattern, line, n, PATTERN_LOOKED, &start, &end));
    assert_int_equal(end, n);
    assert_int_equal(pattern_cost(&pattern, n), n);
    pattern_release(&pattern);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growing),         cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_long_lines),      cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_escapes),         cmocka_unit_test(test_styles),
        cmocka_unit_test(test_any_bytes),       cmocka_unit_test(test_search),
        cmocka_unit_test(test_hard_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
