/*
 * shell_script.c - what opens a shell where a step runs, with the step's command in its history.
 *
 * Only the place itself knows which shells there are. bash reads its start-up file from a here
 * document, as there may be no place for a file; its history begins with the command and is not
 * kept, so that nobody's own is mixed with it. Others keep none that could be given to them: they
 * are told the command.
 */
#include "cli/shell_script.h"

#include <string.h>

/* As it would have to be typed. */
static void add_words(struct buf *out, const char *const *argv, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? " " : "");
        buf_add_word(out, argv[i]);
    }
}

void shell_script(struct buf *out, const char *const *argv, size_t n)
{
    struct buf exact = BUF_INIT, start = BUF_INIT, mark = BUF_INIT;
    bool is_text = n == 3 && !strcmp(argv[0], "/bin/sh") && !strcmp(argv[1], "-ec");
    add_words(&exact, argv, n);
    buf_adds(&start,
             "exec 9<&-\n[ ! -r ~/.bashrc ] || . ~/.bashrc\nunset HISTFILE\nhistory -s -- ");
    buf_add_quoted(&start, buf_str(&exact));
    if (is_text) { /* the last is what "up" brings first: what is edited most easily */
        buf_adds(&start, "\nhistory -s -- ");
        buf_add_quoted(&start, argv[2]);
    }
    buf_adds(&mark, "KILN");
    while (strstr(buf_str(&start), buf_str(&mark)))
        buf_addc(&mark, '_');
    buf_adds(out, "{ if command -v bash >/dev/null 2>&1; then\n"
                  "[ ! -r /dev/fd/9 ] || exec bash --rcfile /dev/fd/9 -i\n"
                  "exec bash -i 9<&-\n"
                  "fi\n"
                  "printf '%s\\n' \"This shell has no history to put the step's command into:\" ");
    buf_add_quoted(out, is_text ? argv[2] : buf_str(&exact));
    buf_addf(out, "\nexec sh -i 9<&-\n} 9<<'%s'\n%s\n%s\n", buf_str(&mark), buf_str(&start),
             buf_str(&mark));
    buf_release(&exact);
    buf_release(&start);
    buf_release(&mark);
}
