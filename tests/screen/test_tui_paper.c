/* Logs that move the cursor: what is on paper is what a terminal shows (libvterm's, in the tests),
 * however the log comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "tui/line.h"
#include "tui/lines.h"
#include "tui/paper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vterm.h>

static char path[64];

static int fresh(void)
{
    snprintf(path, sizeof path, "/tmp/kiln-test-paper-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fd;
}

static void add(int fd, const char *bytes, size_t n)
{
    assert_int_equal(write(fd, bytes, n), n);
}

/* The lines from that one on as text, blanks at their ends cut. */
static void text_of(struct logfile *log, uint64_t from, struct buf *out)
{
    struct buf scratch = BUF_INIT;
    buf_reset(out);
    for (uint64_t i = from; i < logfile_lines(log); i++) {
        size_t n;
        const char *line = logfile_line(log, i, &n);
        assert_non_null(line);
        buf_adds(out, line_text(line, &n, &scratch));
        while (out->len > 0 && out->data[out->len - 1] == ' ')
            buf_truncate(out, out->len - 1);
        buf_addc(out, '\n');
    }
    buf_release(&scratch);
}

static void expect(const char *bytes, const char *want)
{
    int fd = fresh();
    struct buf text = BUF_INIT;
    struct logfile *log = logfile_open(path);
    /* At once, and byte after byte. */
    for (int slow = 0; slow < 2; slow++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        logfile_index(log, 1000);
        if (slow) {
            for (const char *p = bytes; *p; p++) {
                add(fd, p, 1);
                while (logfile_index(log, 1000))
                    ;
            }
        } else {
            add(fd, bytes, strlen(bytes));
            while (logfile_index(log, 1 << 20))
                ;
        }
        text_of(log, 0, &text);
        assert_string_equal(buf_str(&text), want);
    }
    buf_release(&text);
    logfile_free(log);
    close(fd);
    unlink(path);
}

static void test_known(void **state)
{
    (void)state;
    expect("a\nb\nc\n\x1b[2A\x1b[2KB\n\nd\n", "a\nB\nc\nd\n");
    /* Progress of several things at a time. */
    expect("pull\n a 10%\n b 20%\n\x1b[2A\r\x1b[K a 50%\n\r\x1b[K b 90%\n\x1b[2F\x1b[J all\n",
           "pull\n all\n");
    /* What is cleared is still in the log, above. */
    expect("one\ntwo\n\x1b[2J\x1b[Hthree\n\x1b[3J\x1b[H\x1b[2Jfour", "one\ntwo\nthree\nfour\n");
    expect("x\x1b[?1049h\x1b[Hin\n\x1b[?1049lout\n\x1b"
           "cend\n",
           "x\nin\nout\nend\n");
    expect("a\nb\nc\n\x1b[2A\x1b[Lnew\n", "a\nnew\nb\nc\n");
    expect("a\nb\nc\n\x1b[2A\x1b[M", "a\nc\n");
    expect("a\nb\x1b[H-\x1bM\x1b[1G+", "+\n-\nb\n");
    expect("\x1b[2;3Hx\x1b[1;1Hy\x1b[s\x1b[5d\x1b[u!", "y!\n  x\n");
    expect("\x1b[31ma\n\x1b[Ab\x1b[m\n", "b\n");
    expect("\xe6\xbc\xa2\n\x1b[A\x1b[2Gx\n", " x\n");
}

static void test_many_lines(void **state)
{
    (void)state;
    int fd = fresh();
    struct buf bytes = BUF_INIT, want = BUF_INIT, text = BUF_INIT;
    for (int i = 0; i < 30000; i++) {
        buf_addf(&bytes, "line %d\n doing %d\n\x1b[1A\x1b[2K", i, i);
        buf_addf(&want, "line %d\n", i);
    }
    add(fd, bytes.data, bytes.len);
    struct lines lines = {0};
    lines_set_file(&lines, logfile_open(path));
    while (logfile_index(lines.file, 1 << 20))
        ;
    text_of(lines.file, 0, &text);
    assert_string_equal(buf_str(&text), buf_str(&want));
    assert_int_equal(logfile_size(lines.file), bytes.len);
    /* Where a line comes from in the log itself. */
    uint64_t origin = logfile_origin(lines.file, 20000);
    assert_in_range(origin, bytes.len / 2, bytes.len);
    assert_memory_equal(bytes.data + origin - strlen("line 2000"), "line 20000", 10);
    uint64_t end = logfile_end(lines.file);
    size_t n;
    const char *line = logfile_back(lines.file, &end, &n);
    assert_true(logfile_back_origin(lines.file, end, line, n) > bytes.len - 100);
    /* What is chosen, also on the screen that still changes. */
    lines_choose(&lines, "line .*9999");
    while (lines_work(&lines, 100000))
        ;
    assert_int_equal(lines_n(&lines), 3);
    assert_int_equal(lines_nth(&lines, 2), 29999);
    add(fd, "\x1b[3A\x1b[2K9999 line 9999\n", 23);
    while (logfile_index(lines.file, 1 << 20))
        ;
    while (lines_work(&lines, 100000))
        ;
    assert_int_equal(lines_n(&lines), 4);
    assert_int_equal(lines_nth(&lines, 2), 29997);
    /* A log that starts anew without such things is shown as it is. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    add(fd, "plain\n", 6);
    while (logfile_index(lines.file, 1 << 20))
        ;
    assert_int_equal(logfile_lines(lines.file), 1);
    assert_int_equal(logfile_origin(lines.file, 0), 0);
    lines_release(&lines);
    buf_release(&bytes);
    buf_release(&want);
    buf_release(&text);
    close(fd);
    unlink(path);
}

static void vterm_text(const char *bytes, size_t n, int rows, int cols, struct buf *out)
{
    VTerm *terminal = vterm_new(rows, cols);
    vterm_set_utf8(terminal, 1);
    VTermScreen *screen = vterm_obtain_screen(terminal);
    vterm_screen_reset(screen, 1);
    if (rows == PAPER_ROWS)
        vterm_input_write(terminal, "\x1b[20h", 5); /* a newline goes to the start, too */
    vterm_input_write(terminal, bytes, n);
    buf_reset(out);
    for (int y = 0; y < rows; y++) {
        for (int x = 0; x < cols; x++) {
            VTermScreenCell cell;
            vterm_screen_get_cell(screen, (VTermPos){y, x}, &cell);
            if (cell.chars[0] != (uint32_t)-1)
                buf_addc(out, cell.chars[0] ? (char)cell.chars[0] : ' ');
        }
        while (out->len > 0 && out->data[out->len - 1] == ' ')
            buf_truncate(out, out->len - 1);
        buf_addc(out, '\n');
    }
    while (out->len > 1 && out->data[out->len - 2] == '\n')
        buf_truncate(out, out->len - 1);
    vterm_free(terminal);
}

/* What bytes leave on the screen is what a terminal shows. */
static void expect_size(const struct buf *bytes, int rows, int cols)
{
    struct buf want = BUF_INIT, text = BUF_INIT;
    int fd = fresh();
    add(fd, bytes->data, bytes->len);
    struct logfile *log = logfile_open(path);
    while (logfile_index(log, 1 << 20))
        ;
    text_of(log, logfile_whole(log), &text);
    while (text.len > 1 && text.data[text.len - 2] == '\n')
        buf_truncate(&text, text.len - 1);
    vterm_text(bytes->data, bytes->len, rows, cols, &want);
    if (strcmp(buf_str(&text), buf_str(&want)) != 0 && !(text.len <= 1 && want.len <= 1)) {
        for (size_t i = 0; i < bytes->len; i++)
            print_error(bytes->data[i] == 0x1b   ? "\\e"
                        : bytes->data[i] == '\n' ? "\\n\n"
                        : bytes->data[i] == '\r' ? "\\r"
                        : bytes->data[i] == '\b' ? "\\b"
                                                 : "%c",
                        bytes->data[i]);
        print_error("\n");
        assert_string_equal(buf_str(&text), buf_str(&want));
    }
    logfile_free(log);
    close(fd);
    unlink(path);
    buf_release(&want);
    buf_release(&text);
}

static void expect_terminal(const struct buf *bytes)
{
    expect_size(bytes, PAPER_ROWS, 200);
}

/* Random walks over the screen, no longer than it: both show the same. */
static void test_as_a_terminal(void **state)
{
    (void)state;
    static const char finals[] = "AAABBBCDEFGHHJKKLMPX@dsu";
    uint32_t seed = 11;
    struct buf bytes = BUF_INIT;
    for (int round = 0; round < 400; round++) {
        buf_reset(&bytes);
        buf_adds(&bytes, "\x1b[A");
        int newlines = 0;
        for (int i = 0; i < 60; i++) {
            seed = seed * 1664525 + 1013904223;
            unsigned roll = seed >> 8;
            if (roll % 5 == 0 && newlines < 20) {
                buf_addc(&bytes, '\n');
                newlines++;
            } else if (roll % 5 == 1) {
                buf_adds(&bytes, roll & 64 ? "\r" : "\b");
            } else if (roll % 5 == 2) {
                char final = finals[(roll >> 4) % (sizeof finals - 1)];
                unsigned first = (roll >> 10) % (final == 'J' || final == 'K' ? 2 : 7);
                if (final == 'H')
                    buf_addf(&bytes, "\x1b[%u;%uH", first, (roll >> 14) % 30);
                else if (final == 's' || final == 'u')
                    buf_addf(&bytes, final == 's' ? "\x1b"
                                                    "7"
                                                  : "\x1b"
                                                    "8");
                else
                    buf_addf(&bytes, "\x1b[%u%c", first, final);
            } else {
                for (unsigned k = 0; k <= roll % 9; k++)
                    buf_addc(&bytes, (char)('a' + (roll >> k) % 26));
            }
        }
        expect_terminal(&bytes);
    }
    buf_release(&bytes);
}

/* What programs do that keep a part of the screen for themselves: margins, and what scrolls within.
 * (Where libvterm does otherwise than xterm, it is no oracle: motions up and down end at margins,
 * and characters are added and taken away outside of them too.) */
static void test_margins(void **state)
{
    (void)state;
    static const char finals[] = "CDGHHHHddJKKLLLMMMXSSTTr";
    uint32_t seed = 5;
    struct buf bytes = BUF_INIT;
    for (int round = 0; round < 600; round++) {
        buf_reset(&bytes);
        buf_addf(&bytes, "\x1b[%d;%dr", 1 + round % 7, 9 + round % 42);
        for (int i = 0; i < 120; i++) {
            seed = seed * 1664525 + 1013904223;
            unsigned roll = seed >> 8;
            char final = finals[(roll >> 4) % (sizeof finals - 1)];
            unsigned first = (roll >> 10) % (final == 'J' || final == 'K' ? 2 : 7);
            if (roll % 6 == 0) {
                buf_addc(&bytes, '\n');
            } else if (roll % 6 == 1) {
                buf_adds(&bytes, roll & 64 ? "\r" : "\b");
            } else if (roll % 6 == 2) {
                static const char *const escapes[] = {"\x1b"
                                                      "D",
                                                      "\x1b"
                                                      "E",
                                                      "\x1b"
                                                      "M",
                                                      "\x1b"
                                                      "7",
                                                      "\x1b"
                                                      "8"};
                buf_adds(&bytes, escapes[(roll >> 4) % 5]);
            } else if (roll % 6 > 3) {
                for (unsigned k = 0; k <= roll % 9; k++)
                    buf_addc(&bytes, (char)('a' + (roll >> k) % 26));
            } else if (final == 'H') {
                buf_addf(&bytes, "\x1b[%u;%uH", (roll >> 10) % 52, (roll >> 14) % 30);
            } else if (final == 'r') {
                buf_addf(&bytes, "\x1b[%u;%ur", (roll >> 10) % 9, 10 + (roll >> 14) % 50);
            } else {
                buf_addf(&bytes, "\x1b[%u%c", first, final);
            }
        }
        expect_terminal(&bytes);
    }
    buf_release(&bytes);
    /* What leaves the part that scrolls is kept, wherever that part begins. */
    expect("head\n\x1b[2;3r\x1b[2;1Ha\nb\nc\nd", "a\nb\nhead\nc\nd\n");
    /* apt: lines scroll above a bar in the last row. */
#define BAR(text)             \
    "\x1b"                    \
    "7\x1b[24;0f" text "\x1b" \
    "8"
#define AREA(rows)          \
    "\n\x1b"                \
    "7\x1b[0;" rows "r\x1b" \
    "8\x1b[1A"
    expect(AREA("23") BAR("[ 10%]") "one\n" BAR("[ 90%]") "two\n" AREA("24") "\x1b[J",
           "one\ntwo\n");
    expect("\x1b[3;5r\x1b[4;1H\x1b[9Aa\x1b[9B\x1b[Db", "\n\na\n\nb\n");
    expect("\x1b[3;5r\x1b[1;1H\x1b[9Aa\x1b[9;1Hb\x1b[2Ac", "a\n\n\n\n\n\n c\n\nb\n");
    expect("\x1b[3;5r\x1b[9;1Hx\x1b[L\x1b[My\x1b[!p\x1b[9;1H\n\x1b[9;1H\x1b[L-",
           "\n\n\n\n\n\n\n\n-\nxy\n");
}

/* What a real terminal has given says how large that is: lines are broken there, and a newline only
 * goes down. */
static void test_of_a_size(void **state)
{
    (void)state;
    static const char finals[] = "AABBCCDDEFGHHHHJKKLMPXX@SSTTd";
    uint32_t seed = 3;
    struct buf bytes = BUF_INIT;
    for (int round = 0; round < 600; round++) {
        buf_reset(&bytes);
        buf_adds(&bytes, "\x1b]5546;12;40\x1b\\");
        for (int i = 0; i < 100; i++) {
            seed = seed * 1664525 + 1013904223;
            unsigned roll = seed >> 8;
            char final = finals[(roll >> 4) % (sizeof finals - 1)];
            unsigned first = (roll >> 10) % (final == 'J' || final == 'K' ? 2 : 7);
            if (roll % 6 == 0) {
                buf_adds(&bytes, roll & 64 ? "\r\n" : "\x1b[3C\n");
            } else if (roll % 6 == 1) {
                buf_adds(&bytes, roll & 64 ? "\r" : "\b");
            } else if (roll % 6 == 2 && final == 'H') {
                buf_addf(&bytes, "\x1b[%u;%uH", (roll >> 10) % 14, (roll >> 14) % 41);
            } else if (roll % 6 == 2) {
                /* Behind the last column terminals differ. */
                buf_addf(&bytes, "\x1b[D\x1b[%u%c", first, final);
            } else {
                for (unsigned k = 0; k <= roll % 19; k++)
                    buf_addc(&bytes, (char)('a' + (roll >> k) % 26));
            }
        }
        expect_size(&bytes, 12, 40);
    }
    /* Sizes that change at any time. */
    for (int round = 0; round < 200; round++) {
        int fd = fresh();
        struct logfile *log = logfile_open(path);
        buf_reset(&bytes);
        buf_adds(&bytes, "\x1b]5546;30;80\x1b\\");
        for (int i = 0; i < 200; i++) {
            seed = seed * 1664525 + 1013904223;
            unsigned roll = seed >> 8;
            char final = "ABCDEFGHJKLMPX@STbdrsu"[(roll >> 4) % 22];
            if (roll % 8 == 0)
                buf_addf(&bytes, "\x1b]5546;%u;%u\x1b\\", (roll >> 4) % 60, (roll >> 10) % 90);
            else if (roll % 8 < 4)
                buf_addf(&bytes, "\x1b[%u;%u%c", (roll >> 10) % 60, (roll >> 16) % 60, final);
            else if (roll % 8 == 4)
                buf_addf(&bytes, "\x1b%c", "78DEMc"[(roll >> 4) % 6]);
            else
                buf_addf(&bytes, "%.*s\n", (int)(roll >> 4) % 40,
                         "abcdefghijklmnopqrstuvwxyz0123456789\xe6\xbc\xa2!");
        }
        add(fd, bytes.data, bytes.len);
        while (logfile_index(log, 1 << 20))
            ;
        assert_true(logfile_lines(log) > 0);
        logfile_free(log);
        close(fd);
        unlink(path);
    }
    buf_release(&bytes);
    /* Whether it comes at once or byte after byte. */
#define SIZE "\x1b]5546;4;10\x1b\\"
    expect(SIZE "0123456789abc\r\nx\ny", "0123456789\nabc\nx\n y\n");
    expect(SIZE "a\a\x1b(0l\x1b(B\x1b)0\x0eqk\x0fx\x1b[3b", "a┌─┐xxxx\n");
    expect(SIZE "1\r\n2\r\n3\r\n4\r\n5\x1b[Htop", "1\ntop\n3\n4\n5\n");
    /* A smaller one leaves what no longer fits above. */
    expect(SIZE "1\r\n2\r\n3\r\n4\x1b]5546;2;10\x1b\\\x1b[Htop", "1\n2\ntop\n4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),         cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_as_a_terminal), cmocka_unit_test(test_margins),
        cmocka_unit_test(test_of_a_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
