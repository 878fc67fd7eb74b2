/* What lines of output name, and which say that something went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/links.h"

#include <string.h>

static const struct {
    const char *text;
    enum link_kind kind;
    const char *file; /* "": the line names none */
    unsigned line, column;
} lines[] = {
    {"src/a.c:4:5: error: expected ';'", LINK_ERROR, "src/a.c", 4, 5},
    {"../src/a b/x.c:4:5: fatal error: x.h: No such file", LINK_ERROR, "b/x.c", 4, 5},
    {"/usr/include/x.h:10: error: bad", LINK_ERROR, "/usr/include/x.h", 10, 0},
    {"src/a.cpp:7:1: warning: unused variable", LINK_WARNING, "src/a.cpp", 7, 1},
    {"src/a.c:4:5: note: declared here", LINK_PLACE, "src/a.c", 4, 5},
    {"x.c:3:7: runtime error: signed integer overflow", LINK_ERROR, "x.c", 3, 7},
    {"main.c:12: undefined reference to `f'", LINK_ERROR, "main.c", 12, 0},
    {"/usr/bin/ld: main.o: in function `main':", LINK_PLACE, NULL, 0, 0},
    {"collect2: error: ld returned 1 exit status", LINK_ERROR, "", 0, 0},
    {"src/a.ts(3,15): error TS2304: Cannot find name", LINK_ERROR, "src/a.ts", 3, 15},
    {"src/a.ts:3:15 - error TS2304: Cannot find", LINK_ERROR, "src/a.ts", 3, 15},
    {"Program.cs(7): error CS1002: ; expected", LINK_ERROR, "Program.cs", 7, 0},
    {"error[E0308]: mismatched types", LINK_ERROR, "", 0, 0},
    {"error: could not compile `x`", LINK_ERROR, "", 0, 0},
    {"warning: unused variable: `y`", LINK_WARNING, "", 0, 0},
    {"  --> src/main.rs:2:5", LINK_PLACE, "src/main.rs", 2, 5},
    {"thread 'main' panicked at src/lib.rs:8:9:", LINK_ERROR, "src/lib.rs", 8, 9},
    {"thread 't' panicked at 'boom', src/lib.rs:8:9", LINK_ERROR, "src/lib.rs", 8, 9},
    {"test tests::adds ... FAILED", LINK_ERROR, "", 0, 0},
    {"test tests::adds ... ok", LINK_PLACE, NULL, 0, 0},
    {"./main.go:5:2: undefined: foo", LINK_ERROR, "./main.go", 5, 2},
    {"vet: ./main.go:5:2: undefined: foo", LINK_ERROR, "./main.go", 5, 2},
    {"    add_test.go:12: got 3, want 4", LINK_ERROR, "add_test.go", 12, 0},
    {"--- FAIL: TestAdd (0.00s)", LINK_ERROR, "", 0, 0},
    {"FAIL\texample.com/x\t0.01s", LINK_ERROR, "", 0, 0},
    {"\t/home/me/x/main.go:17 +0x1d", LINK_PLACE, "/home/me/x/main.go", 17, 0},
    {"src/Main.java:3: error: ';' expected", LINK_ERROR, "src/Main.java", 3, 0},
    {"[ERROR] /w/src/Main.java:[3,17] cannot find symbol", LINK_ERROR, "/w/src/Main.java", 3, 17},
    {"\tat com.x.Main.main(Main.java:5)", LINK_PLACE, "Main.java", 5, 0},
    {"Caused by: java.io.IOException: no", LINK_ERROR, "", 0, 0},
    {"  File \"/w/my app/x.py\", line 3, in f", LINK_PLACE, "/w/my app/x.py", 3, 0},
    {"ValueError: no", LINK_ERROR, "", 0, 0},
    {"requests.exceptions.ConnectionError: no", LINK_ERROR, "", 0, 0},
    {"tests/test_x.py:12: AssertionError", LINK_ERROR, "tests/test_x.py", 12, 0},
    {"E       assert 3 == 4", LINK_ERROR, "", 0, 0},
    {"FAILED tests/test_x.py::test_a - assert 3 == 4", LINK_ERROR, "tests/test_x.py", 0, 0},
    {"FAIL: test_a (x.TestX)", LINK_ERROR, "", 0, 0},
    {"    at Object.<anonymous> (/w/src/x.test.js:10:5)", LINK_PLACE, "/w/src/x.test.js", 10, 5},
    {"    at file:///w/x.mjs:1:7", LINK_PLACE, "/w/x.mjs", 1, 7},
    {"  \xe2\x97\x8f adds \xe2\x80\xba two", LINK_ERROR, "", 0, 0},
    {"x_test.cc:12: Failure", LINK_ERROR, "x_test.cc", 12, 0},
    {"[  FAILED  ] X.Adds (0 ms)", LINK_ERROR, "", 0, 0},
    {"[   LINE   ] --- ../tests/t.c:110: error: Failure!", LINK_ERROR, "../tests/t.c", 110, 0},
    {"t/t.c:62:test_zero:FAIL: Expected '0' Was '0 '.", LINK_ERROR, "t/t.c", 62, 0},
    {"t/t.c:63:test_one:FAIL", LINK_ERROR, "t/t.c", 63, 0},
    {"t/t.c:64:test_two:PASS", LINK_PLACE, "t/t.c", 64, 0},
    {"not ok 3 - adds", LINK_ERROR, "", 0, 0},
    {"ok 3 - adds", LINK_PLACE, NULL, 0, 0},
    {" 3/9 Test #3: x ......***Failed    0.01 sec", LINK_ERROR, "", 0, 0},
    {"x: x.c:12: main: Assertion `0' failed.", LINK_ERROR, "x.c", 12, 0},
    {"    #0 0x55 in main /w/x.c:12:3", LINK_PLACE, "/w/x.c", 12, 3},
    {"==7==ERROR: AddressSanitizer: heap-use-after-free", LINK_ERROR, "", 0, 0},
    {"make[1]: *** [Makefile:3: all] Error 1", LINK_ERROR, "Makefile", 3, 0},
    {"Makefile:7: *** missing separator.  Stop.", LINK_ERROR, "Makefile", 7, 0},
    {"sub/Dockerfile:3: unknown instruction", LINK_PLACE, "sub/Dockerfile", 3, 0},
    {"./configure:812: error: no compiler", LINK_ERROR, "./configure", 812, 0},
    {"FAILED: src/x.o", LINK_ERROR, "", 0, 0},
    {"CMake Error at CMakeLists.txt:3 (foo):", LINK_ERROR, "CMakeLists.txt", 3, 0},
    {"meson.build:3:0: ERROR: Unknown", LINK_ERROR, "meson.build", 3, 0},
    {"./x.sh: line 3: foo: command not found", LINK_ERROR, "./x.sh", 3, 0},
    {"/bin/sh: 1: foo: not found", LINK_ERROR, "/bin/sh", 1, 0},
    {"npm ERR! missing script: test", LINK_ERROR, "", 0, 0},
    {"x.rb:3:in `foo': no (RuntimeError)", LINK_ERROR, "x.rb", 3, 0},
    {"see src/a.c:4 for more", LINK_PLACE, "src/a.c", 4, 0},
    {"at 12:30:15 all is well", LINK_PLACE, NULL, 0, 0},
    {"http://example.com:80/x", LINK_PLACE, NULL, 0, 0},
    {"", LINK_PLACE, NULL, 0, 0},
};

static void test_table(void **state)
{
    (void)state;
    struct links *links = links_new();
    int wrong = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *text = lines[i].text;
        struct link link;
        bool found = links_find(links, text, strlen(text), LINK_PLACE, &link);
        if (found != (lines[i].file != NULL))
            print_error("%s: %s\n", text, found ? "found" : "not found");
        wrong += found != (lines[i].file != NULL);
        if (!found || !lines[i].file)
            continue;
        assert_true(link.start <= link.end && link.end <= strlen(text));
        size_t n = link.file_end - link.file_start;
        if (link.kind != lines[i].kind || n != strlen(lines[i].file) ||
            memcmp(text + link.file_start, lines[i].file, n) != 0 || link.line != lines[i].line ||
            link.column != lines[i].column) {
            wrong++;
            print_error("%s: kind %d, %.*s, line %u, column %u\n", text, (int)link.kind, (int)n,
                        text + link.file_start, link.line, link.column);
        }
        struct link worse;
        if (link.kind != LINK_ERROR)
            assert_false(links_find(links, text, strlen(text), LINK_ERROR, &worse));
    }
    links_free(links);
    links_free(NULL);
    assert_int_equal(wrong, 0);
}

/* Whatever bytes, in good time. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const char spice[] = "::..//()[] error: at line ***\tFAIL\"1234567";
    struct links *links = links_new();
    uint32_t seed = 5;
    for (int round = 0; round < 200; round++) {
        char bytes[5000];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] =
                seed & 0x70000 ? spice[(seed >> 20) % (sizeof spice - 1)] : (char)(seed >> 24);
        }
        struct link link;
        if (links_find(links, bytes, sizeof bytes, LINK_PLACE, &link))
            assert_true(link.file_start <= link.file_end && link.end <= sizeof bytes);
    }
    links_free(links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
