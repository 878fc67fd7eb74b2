/* How editors and pagers are told what to open, and what goes to the clipboard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/clip.h"
#include "tui/editor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_words(word_list *list, const char *want)
{
    char text[400] = "";
    for (size_t i = 4; i + 1 < list->n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 4 ? "|" : "",
                 list->v[i]);
    assert_string_equal(list->v[0], "/bin/sh");
    assert_null(list->v[list->n - 1]);
    assert_string_equal(text, want);
    words_release(list);
}

static void test_editors(void **state)
{
    (void)state;
    static const struct {
        const char *editor, *without, *with;
    } wants[] = {
        {"vi", "+7|a b.c", "+7|a b.c"},
        {"/usr/bin/nvim -p", "+7|a b.c", "+call cursor(7,3)|a b.c"},
        {"nano", "+7|a b.c", "+7,3|a b.c"},
        {"emacs -nw", "+7|a b.c", "+7:3|a b.c"},
        {"code --wait", "--goto|a b.c:7", "--goto|a b.c:7:3"},
        {"hx", "a b.c:7", "a b.c:7:3"},
        {"kate", "--line|7|a b.c", "--line|7|--column|3|a b.c"},
        {"notepad.exe", "a b.c", "a b.c"},
    };
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        word_list list = VEC_INIT;
        editor_words(wants[i].editor, "a b.c", 7, 0, &list);
        expect_words(&list, wants[i].without);
        editor_words(wants[i].editor, "a b.c", 7, 3, &list);
        expect_words(&list, wants[i].with);
        editor_words(wants[i].editor, "a b.c", 0, 0, &list);
        expect_words(&list, "a b.c");
    }
    word_list list = VEC_INIT;
    editor_words("code --wait", "x", 1, 0, &list);
    assert_string_equal(list.v[2], "code --wait \"$@\"");
    words_release(&list);
    pager_words("less", "x.log", 12, true, &list);
    expect_words(&list, "-fR|+12g|x.log");
    pager_words("/usr/bin/less -S", "x.log", 1, false, &list);
    expect_words(&list, "-fRX|x.log");
    pager_words("more", "x.log", 12, true, &list);
    expect_words(&list, "x.log");
}

static void test_clip(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    assert_int_equal(clip_way("xterm-256color", NULL, NULL), CLIP_PLAIN);
    assert_int_equal(clip_way("xterm-256color", "", ""), CLIP_PLAIN);
    assert_int_equal(clip_way("screen-256color", "/tmp/tmux-0/default,1,0", NULL), CLIP_TMUX);
    assert_int_equal(clip_way("tmux-256color", NULL, NULL), CLIP_TMUX);
    assert_int_equal(clip_way("screen", NULL, "1.tty"), CLIP_SCREEN);
    assert_int_equal(clip_way("linux", NULL, NULL), CLIP_NONE);
    assert_int_equal(clip_way(NULL, NULL, NULL), CLIP_NONE);
    clip_write(CLIP_NONE, "abc", 3, &out);
    assert_int_equal(out.len, 0);
    clip_write(CLIP_PLAIN, "abcd\n", 5, &out);
    assert_string_equal(buf_str(&out), "\x1b]52;c;YWJjZAo=\a");
    buf_reset(&out);
    clip_write(CLIP_TMUX, "abc", 3, &out);
    assert_string_equal(buf_str(&out), "\x1b]52;c;YWJj\a\x1bPtmux;\x1b\x1b]52;c;YWJj\a\x1b\\");
    buf_reset(&out);
    char big[3000];
    memset(big, 'x', sizeof big);
    clip_write(CLIP_SCREEN, big, sizeof big, &out);
    size_t pieces = 0;
    for (const char *p = buf_str(&out); (p = strstr(p, "\x1bP")); p++)
        pieces++;
    assert_int_equal(pieces, 6);
    buf_reset(&out);
    char *most = calloc(1, CLIP_MAX);
    clip_write(CLIP_PLAIN, most, CLIP_MAX, &out);
    assert_true(out.len < 100000);
    free(most);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_editors),
        cmocka_unit_test(test_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
