#include "tui/editor.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* F: the file, L: the line, C: the column; two forms, without and with a column. */
static const struct {
    const char *names; /* parted by blanks */
    const char *line, *column;
} editors[] = {
    {"vi vim nvim gvim view vimx nvi elvis vile ex", "+L|F", "+call cursor(L,C)|F"},
    {"nano pico rnano", "+L|F", "+L,C|F"},
    {"emacs emacsclient xemacs mg zile jmacs", "+L|F", "+L:C|F"},
    {"micro kak ne", "+L|F", "+L:C|F"},
    {"joe jed mcedit ed vis gedit gnome-text-editor mousepad", "+L|F", "+L|F"},
    {"code code-insiders codium vscodium cursor windsurf positron", "--goto|F:L", "--goto|F:L:C"},
    {"hx helix zed zeditor subl sublime_text lapce amp", "F:L", "F:L:C"},
    {"kate kwrite", "--line|L|F", "--line|L|--column|C|F"},
    {"idea clion goland pycharm webstorm rustrover rider", "--line|L|F", "--line|L|--column|C|F"},
};

/* Those that know no +call. */
static const char *const plain_vi = "vi nvi elvis vile ex";

static bool among(const char *names, const char *name, size_t n)
{
    while (*names) {
        size_t length = strcspn(names, " ");
        if (length == n && memcmp(names, name, n) == 0)
            return true;
        names += length + (names[length] == ' ');
    }
    return false;
}

/* The name of the program that a command for a shell begins with. */
static const char *program_of(const char *command, size_t *n)
{
    command += strspn(command, " \t");
    size_t length = strcspn(command, " \t");
    const char *slash = memrchr(command, '/', length);
    const char *name = slash ? slash + 1 : command;
    *n = (size_t)(command + length - name);
    return name;
}

/* A shell takes the words apart as the person meant them; what follows it passes through. */
static void begin(const char *command, word_list *out)
{
    vec_push(out, mem_strdup("/bin/sh"));
    vec_push(out, mem_strdup("-c"));
    vec_push(out, mem_printf("%s \"$@\"", command));
    vec_push(out, mem_strdup("sh"));
}

static char *filled(const char *form, size_t n, const char *file, unsigned line, unsigned column)
{
    char *text = mem_strdup("");
    for (size_t i = 0; i < n; i++) {
        char *longer = form[i] == 'F'   ? mem_printf("%s%s", text, file)
                       : form[i] == 'L' ? mem_printf("%s%u", text, line)
                       : form[i] == 'C' ? mem_printf("%s%u", text, column)
                                        : mem_printf("%s%c", text, form[i]);
        free(text);
        text = longer;
    }
    return text;
}

void editor_words(const char *editor, const char *file, unsigned line, unsigned column,
                  word_list *out)
{
    size_t n;
    const char *name = program_of(editor, &n), *form = "F";
    for (size_t i = 0; i < sizeof editors / sizeof *editors && line > 0; i++)
        if (among(editors[i].names, name, n))
            form = column > 0 && !among(plain_vi, name, n) ? editors[i].column : editors[i].line;
    begin(editor, out);
    while (*form) {
        size_t length = strcspn(form, "|");
        vec_push(out, filled(form, length, file, line, column));
        form += length + (form[length] == '|');
    }
    vec_push(out, NULL);
}

void pager_words(const char *pager, const char *file, unsigned long long line, bool alternate,
                 word_list *out)
{
    size_t n;
    const char *name = program_of(pager, &n);
    begin(pager, out);
    if (among("less", name, n)) {
        /* Colours as they are, and no question about bytes that are no text. */
        vec_push(out, mem_strdup(alternate ? "-fR" : "-fRX"));
        if (line > 1)
            vec_push(out, mem_printf("+%llug", line));
    }
    vec_push(out, mem_strdup(file));
    vec_push(out, NULL);
}

void words_release(word_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    vec_release(list);
}
