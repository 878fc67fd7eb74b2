/* Keys, sizes, clicks, pastes and events in any order: no crash, no hang, the terminal sane at the
 * end. The sanitizers look on; the same seed does the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS 400
#define STEPS   4

struct monkey {
    struct pty *pty;
    uint64_t random;
    int cols, rows;
    unsigned ms;
    int at; /* how far the run is: each step is started, writes, and ends */
};

static const char *const steps[STEPS] = {"configure", "build", "unit", "ask"};

/* xorshift64 (G. Marsaglia, Xorshift RNGs, 2003) */
static unsigned below(struct monkey *m, unsigned n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 33) % n;
}

#define PICK(m, list) ((list)[below(m, sizeof(list) / sizeof *(list))])

/* All but what ends, stops or lends the terminal: that is tested where one can wait for it. */
static void key(struct monkey *m)
{
    static const char *const keys[] = {
        "j",       "k",       "g",        "G",
        "h",       "l",       "T",        "F",
        "W",       "n",       "N",        "r",
        "R",       "x",       "p",        "b",
        "B",       "c",       "a",        "w",
        "t",       "i",       "v",        "V",
        "y",       "u",       "M",        "L",
        "+",       "!",       "*",        ">",
        "&",       "/",       "?",        "0",
        "1",       "2",       "3",        "4",
        "5",       "6",       "7",        "-",
        " ",       "[",       "]",        "f",
        "]e",      "[e",      "]w",       "]f",
        "[f",      "ff",      "fa",       "\r",
        "\t",      "\x04",    "\x15",     "\x0c",
        "\x7f",    "\x1d",    "\x1b[A",   "\x1b[B",
        "\x1b[C",  "\x1b[D",  "\x1b[H",   "\x1b[F",
        "\x1b[5~", "\x1b[6~", "\x1b[Z",   "\x1bOP",
        "\x1b[I",  "\x1b[O",  "\xc3\xa9", "\xe6\xbc\xa2",
        "\xff",    "(",       "\\",       ":theme-mono\r",
        ":bui\r",
    };
    pty_type(m->pty, PICK(m, keys));
}

static void size(struct monkey *m)
{
    static const int cols[] = {1, 5, 20, 29, 30, 40, 59, 60, 80, 99, 100, 120, 160, 200, 400};
    static const int rows[] = {1, 2, 5, 6, 10, 11, 12, 20, 24, 30, 40, 60, 120};
    m->cols = PICK(m, cols);
    m->rows = PICK(m, rows);
    pty_resize(m->pty, m->cols, m->rows);
}

static void click(struct monkey *m)
{
    static const int buttons[] = {0, 0, 1, 2, 32, 35, 64, 65};
    char bytes[40];
    snprintf(bytes, sizeof bytes, "\x1b[<%d;%u;%u%c", PICK(m, buttons), 1 + below(m, 210),
             1 + below(m, 62), below(m, 2) ? 'M' : 'm');
    pty_type(m->pty, bytes);
}

static void paste(struct monkey *m)
{
    static const char *const texts[] = {"",         "error", "a\nb\n",
                                        "\x1b[31m", "(((",   "\xe6\xbc\xa2\xff"};
    pty_type(m->pty, "\x1b[200~");
    pty_type(m->pty, PICK(m, texts));
    pty_type(m->pty, "\x1b[201~");
}

static void write_log(struct monkey *m, const char *step)
{
    static const char *const texts[] = {
        "src/a.c:88:12: error: expected ';'\\n",
        "\\e[31mred\\e[0m and plain\\n",
        "10%\\r50%\\r100%\\n",
        "no end of line",
        "\\e[2A\\e[Kup\\e[2B\\n",
        "\\xff\\x00\\xfe junk\\n",
        "\\xe6\\xbc\\xa2\\xe5\\xad\\x97 e\\xcc\\x81\\n",
        "\\e[2J\\e[H\\e[?25l",
        "\\e[3;5r\\eM\\eD",
    };
    pty_say(m->pty, "%s %s %s", below(m, 3) ? "log" : "err", step, PICK(m, texts));
}

/* The next thing that a run would tell, or something beside it. */
static void event(struct monkey *m)
{
    static const char *const others[] = {"changed 3",
                                         "idle",
                                         "tree main 7",
                                         "tree - 0",
                                         "notice warning a\\nb",
                                         "degraded polling",
                                         "breakpoint unit 1",
                                         "breakpoint - 0",
                                         "facts 100 200 0 0",
                                         "input src/a.c 12 changed",
                                         "inputs",
                                         "key build 5c1d07a",
                                         "use build 100 1000000"};
    static const char *const ends[] = {"passed 10 0 0 0", "cached 0 0 0 900", "failed 3000 1 0 0",
                                       "failed 5 0 9 0 killed", "cancelled 1 0 0 0"};
    const char *step = steps[m->at / 4 % STEPS];
    if (below(m, 4) == 0) {
        pty_say(m->pty, "%s", PICK(m, others));
        return;
    }
    switch (m->at % 4) {
    case 0:
        if (m->at == 0)
            pty_say(m->pty, "run");
        pty_say(m->pty, "queued %s", step);
        break;
    case 1:
        pty_say(m->pty, "reason file src/a.c - aaaaaa bbbbbb");
        pty_say(m->pty, "started %s 1", step);
        break;
    case 2: write_log(m, step); break;
    default: pty_say(m->pty, "finished %s %s", step, PICK(m, ends)); break;
    }
    if (m->at % 4 != 2 || below(m, 3) == 0)
        m->at++;
    if (m->at == STEPS * 4) {
        pty_say(m->pty, "ended %s 5000", below(m, 2) ? "passed" : "failed");
        m->at = 0;
    }
}

static void play(uint64_t seed)
{
    struct monkey m = {.random = seed * UINT64_C(0x9e3779b97f4a7c15), .cols = 80, .rows = 24};
    m.pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", true, true});
    pty_say(m.pty, "pipeline demo watch");
    pty_say(m.pty, "step configure - -");
    pty_say(m.pty, "step build configure The_library");
    pty_say(m.pty, "step unit build,configure -");
    pty_say(m.pty, "step ask - - interactive");
    pty_say(m.pty, "end");
    for (int i = 0; i < ACTIONS; i++) {
        unsigned what = below(&m, 100);
        if (what < 55)
            key(&m);
        else if (what < 60)
            size(&m);
        else if (what < 66)
            click(&m);
        else if (what < 68)
            paste(&m);
        else if (what < 97)
            event(&m);
        else
            pty_say(m.pty, "now %u", m.ms += 1 + below(&m, 3000));
        if (below(&m, 6) == 0)
            pty_sync(m.pty);
    }
    /* Whatever had the keys, these give them back: kiln answers, and ends as it should. */
    pty_resize(m.pty, 80, 24);
    pty_type(m.pty, "\x1d\x1b");
    pty_sync(m.pty);
    pty_type(m.pty, "\x1b");
    pty_sync(m.pty);
    assert_true(strlen(pty_row(m.pty, 0)) > 0);
    pty_terminated(m.pty);
    pty_end_left(m.pty);
}

static void test_seeds(void **state)
{
    (void)state;
    const char *given = getenv("KILN_MONKEY_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + (given ? 1 : 5); seed++)
        play(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
