/*
 * hints.c - why an isolated step may have failed: what its log names stands in the project, but the
 * step was not given it.
 *
 * The end of the log is taken apart into words. A word that looks like a path, or that stands in a
 * line which tells that something is not there (hints_rules.h), is looked up where the step would
 * have: from its directory, from the project, below the place where the project was mounted, and
 * beside what the same line or one shortly before it names (as compilers do with what a file
 * includes), or one after it, where a program tells later who wanted the file.
 *
 * A program that is not found is looked for where the caller of kiln would find it.
 */
#include "engine/hints_private.h"

#include "engine/boxing.h"
#include "engine/inputs.h"
#include "engine/wants.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL      ((size_t)64 * 1024)
#define MAX_HINTS 3
#define NEAR      3 /* lines that what a line names may be meant for */

/* -- words ------------------------------------------------------------------------------------- */

/* Colours and the like are no part of any word; quotes beyond ASCII are quotes. */
static void clean(struct buf *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->data[i];
        if (c == 0x1b && i + 1 < text->len && text->data[i + 1] == '[') {
            for (i += 2; i < text->len && !(text->data[i] >= '@' && text->data[i] <= '~');)
                i++;
            continue;
        }
        if (c == 0xe2 && i + 2 < text->len && (unsigned char)text->data[i + 1] == 0x80 &&
            (unsigned char)text->data[i + 2] >= 0x98 && (unsigned char)text->data[i + 2] <= 0x9d) {
            i += 2;
            c = '"';
        }
        text->data[kept++] = c < ' ' && c != '\n' ? ' ' : (char)c;
    }
    text->len = kept;
}

static bool looks_like_path(const char *word)
{
    const char *dot = strrchr(word, '.');
    return strchr(word, '/') || (dot && dot > word && isalpha((unsigned char)dot[1]));
}

/* The value of PATH. */
static const char *path_of(char **envp)
{
    for (; *envp; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    }
    return "";
}

static void take_module(struct search *s, char *word, struct hints *out)
{
    for (char *dot = word; (dot = strchr(dot, '.'));)
        *dot = '/';
    hints_look_relative(s, s->rule, word, 0, out);
}

/* -- lines ------------------------------------------------------------------------------------- */

struct word {
    char *text;
    bool quoted;
};
typedef VEC(struct word) words;

#define QUOTES "\"'`"

/* A quote within a word is an apostrophe. */
static bool is_quoted(const char *line, const char *word, size_t n)
{
    const char *before = word - 1;
    return word > line && strchr(QUOTES, *before) && word[n] && strchr(QUOTES, word[n]) &&
           (before == line || !isalnum((unsigned char)before[-1]));
}

static bool split(const char *line, words *out)
{
    static const char gaps[] = " \t()<>,:;=[]{}|*?" QUOTES;
    bool any_quoted = false;
    for (const char *at = line + strspn(line, gaps); *at; at += strspn(at, gaps)) {
        size_t n = strcspn(at, gaps);
        struct word word = {mem_strndup(at, n), is_quoted(line, at, n)};
        any_quoted |= word.quoted;
        at += n;
        for (n = strlen(word.text); n && strchr(".!?", word.text[n - 1]);)
            word.text[--n] = '\0';
        vec_push(out, word);
    }
    return any_quoted;
}

static void settle_later(struct search *s, struct hints *out)
{
    char *word = s->later;
    s->later = NULL;
    if (word)
        hints_look_relative(s, s->later_rule, word, s->later_line, out);
    free(word);
}

static void take_word(struct search *s, struct word *word, struct hints *out)
{
    const struct hint_rule *rule = s->rule;
    char *text = word->text;
    if (s->path && rule && !strchr(text, '/'))
        hints_look_program(s, text, out);
    if (*text == '/') {
        hints_look_absolute(s, text, out);
    } else if (rule && rule->files) {
        /* who wants it is named, not it */
    } else if (rule && rule->dotted) {
        take_module(s, text, out);
    } else if (rule && rule->go) {
        hints_look_package(s, text, out);
    } else if (rule && rule->from_later && word->quoted) {
        settle_later(s, out);
        s->later = mem_strdup(text);
        s->later_rule = rule;
        s->later_line = s->line;
    } else {
        hints_look_relative(s, rule && rule->endings ? &hint_rule_plain : rule, text, 0, out);
    }
}

/* Whether the word may be what the line is about. Where something is in quotes, that is. */
static bool counts(const struct search *s, const struct word *word, bool any_quoted)
{
    size_t n = strlen(word->text);
    if (!n || n >= PATH_MAX || !utf8_valid(word->text, n))
        return false;
    return looks_like_path(word->text) || (s->rule && (word->quoted || !any_quoted));
}

static void take_words(struct search *s, const char *line, struct hints *out)
{
    words all = VEC_INIT;
    bool any_quoted = split(line, &all), first = s->rule && s->rule->first && any_quoted;
    vec_each (struct word, word, &all) {
        if (out->list.n < MAX_HINTS && counts(s, word, any_quoted) && (!first || word->quoted)) {
            take_word(s, word, out);
            if (first)
                break;
        }
    }
    vec_each (struct word, word, &all)
        free(word->text);
    vec_release(&all);
}

static void forget_beside(struct search *s, size_t before)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->beside.n; i++) {
        if (s->beside.v[i].line < before)
            free(s->beside.v[i].dir);
        else
            s->beside.v[kept++] = s->beside.v[i];
    }
    s->beside.n = kept;
}

static bool announces(const char *line)
{
    size_t n = strlen(line);
    while (n && line[n - 1] == ' ')
        n--;
    return n && line[n - 1] == ':';
}

static bool knows_beside(const struct search *s, size_t since)
{
    return s->beside.n && vec_last(&s->beside).line >= since;
}

static void take_line(struct search *s, const char *line, struct hints *out)
{
    const struct hint_rule *rule = hint_rule_of(line);
    s->rule = rule ? rule : s->announced ? &hint_rule_plain : NULL;
    s->announced = rule && announces(line);
    if (++s->line > NEAR)
        forget_beside(s, s->line - NEAR);
    take_words(s, line, out);
    if (s->rule && s->rule->files)
        hints_look_files(s, out);
    if (s->later && (knows_beside(s, s->later_line) || s->line >= s->later_line + NEAR))
        settle_later(s, out);
}

static bool read_tail(const struct flight *flight, struct buf *out)
{
    uint64_t from = flight->spooled > TAIL ? flight->spooled - TAIL : 0;
    char *to = buf_reserve(out, TAIL + 1);
    ssize_t n = flight->spool >= 0 ? pread(flight->spool, to, TAIL, (off_t)from) : -1;
    if (n <= 0)
        return false;
    out->len = (size_t)n;
    if (from) { /* begins in the middle of a line */
        char *newline = memchr(out->data, '\n', out->len);
        size_t cut = newline ? (size_t)(newline - out->data) + 1 : 0;
        memmove(out->data, out->data + cut, out->len -= cut);
    }
    return true;
}

void hints_of(struct engine *e, const struct flight *flight, const char *mount, struct hints *out)
{
    struct search s = {
        .e = e, .in = flight->owner, .node = &e->nodes.v[flight->node], .mount = mount};
    const struct op_exec *exec = s.node->exec;
    struct buf text = BUF_INIT;
    char **envp = NULL;
    if (flight->exit.exit_code == 127 && !exec->image) {
        envp = key_environment(e, exec, secrets_values(flight->secrets));
        s.path = path_of(envp);
    }
    if (read_tail(flight, &text)) {
        clean(&text);
        *buf_reserve(&text, 1) = '\0';
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\n", &rest); line && out->list.n < MAX_HINTS;
             line = strtok_r(NULL, "\n", &rest))
            take_line(&s, line, out);
        settle_later(&s, out);
    }
    key_environment_free(envp);
    buf_release(&text);
    map_release(&s.tried);
    forget_beside(&s, SIZE_MAX);
    vec_release(&s.beside);
}

void hints_release(struct hints *hints)
{
    vec_each (char *, hint, &hints->list)
        free(*hint);
    vec_release(&hints->list);
}
