/*
 * The tour: one story, from the first run to the last, at the sizes people have. Each screen of it
 * stands as text in docs/tour/, with a heading and a sentence, one of them as a picture too; what
 * is committed there must be what kiln shows. scripts/tour writes it anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#define OLD "9f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a7"
#define NEW "c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2"
#define KEY "5c1d07aa0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57"

struct tour {
    struct pty *pty;
    int cols, rows;
    struct buf page;
};

/* The screen as it is now. */
static void shot(struct tour *tour, const char *heading, const char *sentence)
{
    pty_sync(tour->pty);
    buf_addf(&tour->page, "\n## %s\n\n%s\n\n```\n", heading, sentence);
    for (int row = 0; row < tour->rows; row++)
        buf_addf(&tour->page, "%s\n", pty_row(tour->pty, row));
    buf_adds(&tour->page, "```\n");
}

static void type(struct tour *tour, const char *keys)
{
    pty_type(tour->pty, keys);
    pty_sync(tour->pty);
}

/* Puts the pane on the whole screen where that is narrower, and takes it back. */
static void zoom(struct tour *tour, int cols)
{
    if (tour->cols < cols)
        type(tour, "+");
}

static void say_lines(struct pty *pty, const char *const *lines)
{
    for (; *lines; lines++)
        pty_say(pty, "%s", *lines);
}
#define SAY(tour, ...) say_lines((tour)->pty, (const char *const[]){__VA_ARGS__, NULL})

#define DIFF_BLOCKS                                                                  \
    "diff src/blocks.c @ 212\\n     while (p < end && *p == ' ')\\n         p++;\\n" \
    "-    return p - start;\\n+    return p - start + 1;\\n }\\n"
#define DIFF_TESTS                                                      \
    "diff tests/blocks.c @ 86\\n     parse(\"- a, - b, - c, - d\");\\n" \
    "-    check_items(3);\\n+    check_items(5);\\n }\\n"
/* What steps read: lint and build; package; unit. */
#define SOURCES(blocks)                                                                 \
    "inputs", "input include/markdown.h 2210 same", "input src/blocks.c 30412 " blocks, \
        "input src/buffer.c 4410 same", "input src/html.c 15022 same", "input Makefile 1904 same"
#define PACKAGE                                                                               \
    "inputs", "input build/libmarkdown.so 812344 same", "input include/markdown.h 2210 same", \
        "input man/markdown.1 5120 same", "input LICENSE 1088 same"
#define TESTS(library, blocks)                                                                   \
    "inputs", "input build/libmarkdown.so 812344 " library, "input tests/blocks.c 9120 " blocks, \
        "input tests/html.c 4410 same", "input tests/inlines.c 15022 same",                      \
        "input tests/harness.h 2210 same", "input Makefile 1904 same"

static void first_run(struct tour *tour)
{
    SAY(tour, "now 0", SOURCES("same"), DIFF_BLOCKS, DIFF_TESTS, "pipeline markdown watch",
        "step configure - The_build_tree", "step build configure The_library_and_the_program",
        "step lint configure clang-tidy_over_src", "step unit build Unit_tests",
        "step spec build The_examples_of_the_specification", "step docs configure Manual_pages",
        "step package unit,spec,lint,docs A_tarball", "end", "tree main 0", "run",
        "queued configure", "reason new - - - -", "started configure 1", "now 900",
        "finished configure passed 900 0 0 0", "queued build", "queued lint", "queued docs",
        "reason new - - - -", "started build 1", "reason new - - - -", "started lint 1", "now 1800",
        "log lint src/blocks.c: nothing to say\\nsrc/html.c: nothing to say\\n",
        "log build [1/5] \\e[32mcc\\e[0m src/buffer.c\\n[2/5] \\e[32mcc\\e[0m src/blocks.c\\n",
        "now 2400", "log build [3/5] \\e[32mcc\\e[0m src/html.c\\n", "use build 2700 193000000",
        "use lint 1500 118000000");
    type(tour, "");
    shot(tour, "Everything runs",
         "The first run: `configure` has passed, two steps run, the others wait, and each says for "
         "what.");
    SAY(tour, "now 3900", "use lint 2950 124000000", "finished lint passed 3000 0 0 0",
        "reason new - - - -", "started docs 1", "log docs md2man man/markdown.1.md\\n", "now 4200",
        "use build 6200 231000000", "finished build passed 3300 0 0 0", "queued unit",
        "queued spec", "reason new - - - -", "started unit 1", "now 5000", "use docs 900 21000000",
        "finished docs passed 1100 0 0 0", "reason new - - - -", "started spec 1", "now 6800",
        "use unit 2100 38000000", "finished unit passed 2600 0 0 0", "now 6900",
        "use spec 1800 61000000", "finished spec passed 1900 0 0 0", "queued package",
        "reason new - - - -", "started package 1", "log package markdown-1.4.tar.gz: 31 files\\n",
        "now 7400", "use package 420 14000000", "finished package passed 500 0 0 0",
        "ended passed 7400", "idle", PACKAGE);
    shot(tour, "Nothing to do",
         "All is well, and kiln waits for the next edit: without a timer, so "
         "that it costs nothing.");
}

static void second_run(struct tour *tour)
{
    SAY(tour, SOURCES("changed"), "now 61000", "tree main 1", "changed 1", "run",
        "finished configure cached 2 0 0 900", "finished docs cached 1 0 0 1100", "queued build",
        "queued lint", "reason file src/blocks.c - " OLD " " NEW, "started build 1",
        "log build [1/5] \\e[32mcc\\e[0m src/blocks.c\\n",
        "reason file src/blocks.c - " OLD " " NEW, "started lint 1", "now 62500",
        "log build [2/5] \\e[32mld\\e[0m build/libmarkdown.so\\n", "use build 2800 187000000",
        "use lint 1500 119000000");
    shot(
        tour, "An edit",
        "`src/blocks.c` was saved: only what reads it runs, the rest comes from the cache, and the "
        "header tells how long it will take.");
    SAY(tour, "now 64100", "use lint 2940 124000000", "finished lint passed 3000 0 0 0",
        "now 64300", "use build 5900 231000000", "finished build passed 3200 0 0 0", "queued unit",
        "queued spec", "reason upstream build/libmarkdown.so build " OLD " " NEW, "started unit 1",
        "reason upstream build/libmarkdown.so build " OLD " " NEW, "started spec 1",
        "log unit [ RUN      ] blocks.heading\\n[       OK ] blocks.heading\\n",
        "log unit [ RUN      ] blocks.list\\n",
        "log unit tests/blocks.c:88: error: expected 3 items, got 4\\n",
        "log unit [  FAILED  ] blocks.list\\n[ RUN      ] blocks.quote\\n[       OK ] "
        "blocks.quote\\n[ RUN      ] html.escape\\n[       OK ] html.escape\\n",
        "err unit 1 of 214 tests failed\\nmake: *** [Makefile:31: unit] Error 1\\n", "now 66200",
        "use spec 1800 61000000", "finished spec passed 1900 0 0 0", "now 66900",
        "use unit 2100 38000000", "finished unit failed 2600 1 0 0",
        "finished package skipped 0 -1 0 0 it needs unit, which failed", "ended failed 5900",
        "idle", TESTS("changed", "same"));
    pty_sync(tour->pty);
    type(tour, "]e");
    shot(tour, "A step fails",
         "The selection goes to what failed, and its log stands beside it; `]e` has gone to the "
         "line "
         "that says what went wrong, and `e` would open the file there.");
}

static void look_around(struct tour *tour)
{
    type(tour, "/^\\[ +FAILED");
    shot(tour, "Searching the log",
         "`/` finds a regular expression while it is typed, in all of the log.");
    type(tour, "\r");
    type(tour, "\033");
    type(tour, "&FAILED|error\r");
    shot(tour, "Filtering the log", "`&` leaves only the lines that match.");
    type(tour, "&\r");
    type(tour, "4");
    shot(tour, "Inputs", "What the step reads; what differs from its last result comes first.");
    type(tour, "5");
    zoom(tour, 100);
    shot(tour, "Timeline",
         "When the steps ran, what the end had to wait for (heavy), and what the cache saved.");
    zoom(tour, 100);
    type(tour, ":bui");
    shot(tour, "The palette",
         "`:` does anything, and goes to any step, by a few letters of its name.");
    type(tour, "\r");
    SAY(tour, SOURCES("same"));
    type(tour, "3");
    zoom(tour, 200);
    shot(tour, "Why did this run",
         "The files, variables, outputs and settings that made the step run, and what changed "
         "inside "
         "of text files.");
    zoom(tour, 200);
}

static void third_run(struct tour *tour)
{
    type(tour, "1B");
    SAY(tour, "breakpoint - 1", "now 123000", "tree main 2", "changed 1", "run",
        "finished configure cached 2 0 0 900", "finished docs cached 1 0 0 1100",
        "finished lint cached 1 0 0 3000", "finished build cached 1 0 0 3200",
        "finished spec cached 1 0 0 1900", "queued unit",
        "reason file tests/blocks.c - " OLD " " NEW, "started unit 1",
        "log unit tests/blocks.c:88: error: expected 5 items, got 4\\n",
        "err unit 1 of 214 tests failed\\nmake: *** [Makefile:31: unit] Error 1\\n", "now 125600",
        "paused unit 1 2600", TESTS("same", "changed"));
    pty_sync(tour->pty);
    type(tour, ":unit\r");
    shot(tour, "Held where it failed",
         "With `B` a step that fails is held: `s` opens a shell where it ran, `r` runs it again, "
         "`c` "
         "lets the failure stand.");
    SAY(tour, "breakpoint - 0", "resumed unit", "queued unit", "reason failed - - - -",
        "started unit 2", "log unit 214 tests passed\\n", "now 141000", "use unit 2100 38000000",
        "finished unit passed 2500 0 0 0", "queued package",
        "reason upstream build/libmarkdown.so build " OLD " " NEW, "started package 1",
        "log package markdown-1.4.tar.gz: 31 files\\n", "now 141500",
        "finished package passed 500 0 0 0", "ended passed 18500", "idle", TESTS("same", "same"));
    pty_sync(tour->pty);
}

static void what_was(struct tour *tour)
{
    SAY(tour, "record 38 command passed -90000000 61000 7 0 0 0",
        "record 39 hook passed -7400000 2100 2 5 0 0",
        "record 40 watch cancelled -7200000 1200 1 3 0 0", "record 1 watch passed 0 7400 7 0 0 0",
        "record 2 watch failed 61000 5900 3 2 1 1", "record 3 watch passed 123000 18500 2 5 0 0",
        "facts 19900000000 21474836480 400000000 12");
    type(tour, "6");
    shot(tour, "Runs", "What happens now, and every run on record.");
    SAY(tour, "key configure " KEY, "key docs " KEY, "key lint " KEY, "key build " KEY,
        "key spec " KEY, "key unit " OLD);
    type(tour, "jj");
    type(tour, "\r");
    type(tour, "1");
    shot(
        tour, "A run of the past",
        "`Enter` on a run shows all panes as they were then, and says of each result whether it is "
        "still current.");
    type(tour, "\033");
    type(tour, "7");
    zoom(tour, 100);
    shot(tour, "The cache",
         "How big it is, what came out of it, and what `kiln cache gc` would do.");
    zoom(tour, 100);
    type(tour, "1gjvvv");
    shot(tour, "Several at once",
         "`v` marks steps: `r`, `ff`, `x` and `b` are for all of them, until Esc.");
    type(tour, "\033");
    type(tour, "T");
    shot(tour, "By levels",
         "`T` shows the steps as a tree, by levels, or flat; `>` sorts, `&` filters by name.");
    type(tour, "TT?");
    shot(tour, "Help", "`?` lists the keys as they are bound.");
    type(tour, "\033");
}

static void narrow(struct tour *tour)
{
    tour->cols = 40;
    tour->rows = 10;
    pty_resize(tour->pty, tour->cols, tour->rows);
    shot(tour, "Narrow",
         "On 40×10 one pane at a time, the number keys and Tab go from one to the next.");
    tour->cols = 29;
    tour->rows = 5;
    pty_resize(tour->pty, tour->cols, tour->rows);
    shot(tour, "One line", "Where even that has no room, a line says how things are.");
}

static void page(int cols, int rows)
{
    struct tour tour = {.cols = cols, .rows = rows, .page = BUF_INIT};
    char path[64];
    tour.pty = pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, true});
    buf_addf(&tour.page,
             "# The tour at %d×%d\n\n"
             "<!-- Written by scripts/tour from what kiln draws: do not edit. -->\n\n"
             "One story, from a first run to a mended one, as kiln shows it in a terminal of %d "
             "columns and %d rows. The same at other sizes: [80×24](80x24.md), "
             "[120×40](120x40.md), [200×60](200x60.md). What the keys do is in "
             "[The terminal](../tui.md).\n",
             cols, rows, cols, rows);
    first_run(&tour);
    second_run(&tour);
    look_around(&tour);
    third_run(&tour);
    what_was(&tour);
    if (cols == 80)
        narrow(&tour);
    snprintf(path, sizeof path, "docs/tour/%dx%d.md", cols, rows);
    pty_same_file(tour.pty, path, &tour.page);
    pty_end(tour.pty);
    buf_release(&tour.page);
}

/* -- the picture ------------------------------------------------------------------------------- */

#define CELL_W 8
#define CELL_H 17
#define MARGIN 12

/* The terminal's own, then the sixteen, as a calm dark terminal has them. */
#define PAPER "#14171c"
#define INK   "#c9d1d9"
static const char *const sixteen[16] = {
    "#484f58", "#ff7b72", "#56d364", "#d7a843", "#79b8ff", "#d2a8ff", "#56d4dd", "#c9d1d9",
    "#7d8590", "#ffa198", "#7ee787", "#e3b341", "#a5d6ff", "#e2c5ff", "#8be9f0", "#ffffff"};

struct ink {
    char fg[8], bg[8];
    bool bold, underline;
};

static void colour_of(const VTermScreen *screen, VTermColor colour, bool is_default,
                      const char *none, char out[8])
{
    if (is_default) {
        snprintf(out, 8, "%s", none);
    } else if (VTERM_COLOR_IS_INDEXED(&colour) && colour.indexed.idx < 16) {
        snprintf(out, 8, "%s", sixteen[colour.indexed.idx]);
    } else {
        vterm_screen_convert_color_to_rgb(screen, &colour);
        snprintf(out, 8, "#%02x%02x%02x", colour.rgb.red, colour.rgb.green, colour.rgb.blue);
    }
}

static struct ink ink_of(const VTermScreen *screen, const VTermScreenCell *cell)
{
    struct ink ink = {.bold = cell->attrs.bold, .underline = cell->attrs.underline != 0};
    bool reverse = cell->attrs.reverse;
    colour_of(screen, cell->fg, VTERM_COLOR_IS_DEFAULT_FG(&cell->fg), INK,
              reverse ? ink.bg : ink.fg);
    colour_of(screen, cell->bg, VTERM_COLOR_IS_DEFAULT_BG(&cell->bg), PAPER,
              reverse ? ink.fg : ink.bg);
    return ink;
}

static VTermScreenCell cell_of(const VTermScreen *screen, int x, int y)
{
    VTermScreenCell cell;
    memset(&cell, 0, sizeof cell);
    vterm_screen_get_cell(screen, (VTermPos){.row = y, .col = x}, &cell);
    return cell;
}

static void add_text(struct buf *out, const VTermScreenCell *cell)
{
    char bytes[4];
    switch (cell->chars[0]) {
    case 0: buf_addc(out, ' '); return;
    case '<': buf_adds(out, "&lt;"); return;
    case '>': buf_adds(out, "&gt;"); return;
    case '&': buf_adds(out, "&amp;"); return;
    default: break;
    }
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell->chars[i]; i++)
        buf_add(out, bytes, utf8_encode(cell->chars[i], bytes));
}

static bool is_blank(const VTermScreenCell *cell)
{
    return cell->chars[0] == 0 || cell->chars[0] == ' ';
}

/* Where the piece of one style that begins there ends: before two blanks, too, so that a font that
 * is not quite as wide as the cells moves no column. */
static int end_of(const VTermScreen *screen, int x, int y, int cols)
{
    VTermScreenCell cell = cell_of(screen, x, y);
    struct ink ink = ink_of(screen, &cell);
    bool blank = is_blank(&cell);
    for (int end = x + 1; end < cols; end++) {
        cell = cell_of(screen, end, y);
        struct ink other = ink_of(screen, &cell);
        VTermScreenCell next = cell_of(screen, end + 1 < cols ? end + 1 : end, y);
        bool gap = is_blank(&cell) && is_blank(&next);
        if (memcmp(&ink, &other, sizeof ink) != 0 || (blank ? !is_blank(&cell) : gap))
            return end;
    }
    return cols;
}

static void add_row(struct buf *out, const VTermScreen *screen, int y, int cols)
{
    for (int x = 0, end; x < cols; x = end) {
        VTermScreenCell cell = cell_of(screen, x, y);
        struct ink ink = ink_of(screen, &cell);
        bool blank = is_blank(&cell);
        end = end_of(screen, x, y, cols);
        int left = MARGIN + x * CELL_W, top = MARGIN + y * CELL_H, width = (end - x) * CELL_W;
        if (strcmp(ink.bg, PAPER) != 0)
            buf_addf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
                     left, top, width, CELL_H, ink.bg);
        if (blank)
            continue;
        buf_addf(out, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" fill=\"%s\"%s%s>", left, top + 13,
                 width, ink.fg, ink.bold ? " font-weight=\"bold\"" : "",
                 ink.underline ? " text-decoration=\"underline\"" : "");
        for (int i = x; i < end; i++) {
            cell = cell_of(screen, i, y);
            add_text(out, &cell);
        }
        buf_adds(out, "</text>\n");
    }
}

static void test_picture(void **state)
{
    (void)state;
    struct tour tour = {.cols = 110, .rows = 22, .page = BUF_INIT};
    struct buf svg = BUF_INIT;
    tour.pty = pty_start(&(struct pty_options){tour.cols, tour.rows, "xterm-256color", true, true});
    first_run(&tour);
    second_run(&tour);
    int width = tour.cols * CELL_W + 2 * MARGIN, height = tour.rows * CELL_H + 2 * MARGIN;
    buf_addf(
        &svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
        "height=\"%d\" style=\"white-space: pre\" font-family=\"ui-monospace, 'DejaVu Sans Mono', "
        "Menlo, Consolas, monospace\" font-size=\"13\">\n"
        "<rect width=\"%d\" height=\"%d\" rx=\"6\" fill=\"" PAPER "\"/>\n",
        width, height, width, height, width, height);
    for (int y = 0; y < tour.rows; y++)
        add_row(&svg, pty_cells(tour.pty), y, tour.cols);
    buf_adds(&svg, "</svg>\n");
    pty_same_file(tour.pty, "docs/tour/a-step-fails.svg", &svg);
    pty_end(tour.pty);
    buf_release(&svg);
    buf_release(&tour.page);
}

static void test_80x24(void **state)
{
    (void)state;
    page(80, 24);
}

static void test_120x40(void **state)
{
    (void)state;
    page(120, 40);
}

static void test_200x60(void **state)
{
    (void)state;
    page(200, 60);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_80x24),
        cmocka_unit_test(test_120x40),
        cmocka_unit_test(test_200x60),
        cmocka_unit_test(test_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
