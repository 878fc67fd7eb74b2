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

/* All lines as text, blanks at their ends cut. */
static void text_of(struct logfile *log, struct buf *out)
{
    struct buf scratch = BUF_INIT;
    buf_reset(out);
    for (uint64_t i = 0; i < logfile_lines(log); i++) {
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
        text_of(log, &text);
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
    text_of(lines.file, &text);
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

static void vterm_text(const char *bytes, size_t n, struct buf *out)
{
    VTerm *terminal = vterm_new(PAPER_ROWS, 200);
    vterm_set_utf8(terminal, 1);
    VTermScreen *screen = vterm_obtain_screen(terminal);
    vterm_screen_reset(screen, 1);
    vterm_input_write(terminal, "\x1b[20h", 5); /* a newline goes to the start, too */
    vterm_input_write(terminal, bytes, n);
    buf_reset(out);
    for (int y = 0; y < PAPER_ROWS; y++) {
        for (int x = 0; x < 200; x++) {
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

/* Random walks over the screen, no longer than it: both show the same. */
static void test_as_a_terminal(void **state)
{
    (void)state;
    static const char finals[] = "AAABBBCDEFGHHJKKLMPX@dsu";
    uint32_t seed = 11;
    struct buf bytes = BUF_INIT, want = BUF_INIT, text = BUF_INIT;
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
        int fd = fresh();
        add(fd, bytes.data, bytes.len);
        struct logfile *log = logfile_open(path);
        while (logfile_index(log, 1 << 20))
            ;
        text_of(log, &text);
        while (text.len > 1 && text.data[text.len - 2] == '\n')
            buf_truncate(&text, text.len - 1);
        vterm_text(bytes.data, bytes.len, &want);
        if (strcmp(buf_str(&text), buf_str(&want)) != 0 && !(text.len <= 1 && want.len <= 1)) {
            for (size_t i = 0; i < bytes.len; i++)
                print_error(bytes.data[i] == 0x1b   ? "\\e"
                            : bytes.data[i] == '\n' ? "\\n\n"
                            : bytes.data[i] == '\r' ? "\\r"
                            : bytes.data[i] == '\b' ? "\\b"
                                                    : "%c",
                            bytes.data[i]);
            print_error("\n");
            assert_string_equal(buf_str(&text), buf_str(&want));
        }
        logfile_free(log);
        close(fd);
        unlink(path);
    }
    buf_release(&bytes);
    buf_release(&want);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_as_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
