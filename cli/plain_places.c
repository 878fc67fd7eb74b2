/*
 * plain_places.c - the lines of files that a failed step's log complains of (see plain_ci.h).
 *
 * base/links.h says which lines name places. Only files of the project that are really there count,
 * and neither warnings nor what explains an error that was marked. Rust names the place below what
 * it is about.
 */
#include "cli/plain_ci.h"
#include "cli/plain_private.h"

#include "base/file.h"
#include "base/links.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_LOG  ((size_t)4 << 20)
#define MAX_LINE 2000

struct finding {
    struct plain_places *places;
    size_t most;
    const char *root, *mount;
    struct links *links;
    char *before; /* what the last line said that names no place; or NULL */
};

/* The project's file of that name, absolute; NULL when there is none. */
static char *file_of(const struct finding *f, const char *name, size_t n)
{
    char *given = mem_strndup(name, n), *path = NULL;
    struct stat st;
    if (*given == '/') {
        path = event_path_outside(f->root, f->mount, given);
    } else {
        char *inside = path_normalize(given);
        path = inside ? path_join(f->root, inside) : NULL;
        free(inside);
    }
    free(given);
    if (path && path_is_below(path, f->root) && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return path;
    free(path);
    return NULL;
}

static bool known(const struct finding *f, const char *file, unsigned long line)
{
    vec_each (struct plain_place, place, &f->places->list) {
        if (place->line == line && !strcmp(place->file, file))
            return true;
    }
    return false;
}

/* Takes the place over unless that line is marked already. text says what it is about, whole is
 * the line that it is in. */
static void add(struct finding *f, char *file, unsigned long line, unsigned long column,
                const char *text, const char *whole)
{
    text += strspn(text, ": \t-)]");
    whole += strspn(whole, " \t");
    if (known(f, file, line)) {
        free(file);
        return;
    }
    char *shown = mem_strdup(*text ? text : whole);
    vec_push(&f->places->list, (struct plain_place){file, line, column, shown});
}

/* What Unity says of a test that has not failed: ":its_name:PASS", ":its_name:IGNORE: why". */
static bool is_no_failed_test(const char *text)
{
    size_t name = *text == ':' ? strcspn(text + 1, ": \t") : 0;
    const char *end = text + 1 + name;
    return name &&
           (!strcmp(end, ":PASS") || !strcmp(end, ":IGNORE") || !strncmp(end, ":IGNORE:", 8));
}

/* That, or a note, or a warning that the table does not know as one. */
static bool is_harmless(const char *text)
{
    if (is_no_failed_test(text))
        return true;
    text += strspn(text, ": \t");
    return !strncmp(text, "note", 4) || !strncmp(text, "warning", 7) ||
           !strncmp(text, "Warning", 7);
}

/* The first place of the line whose file is there; that file, or NULL. harmless: whatever the line
 * says does no harm. */
static char *place_in(const struct finding *f, const char *text, struct link *out, bool *harmless)
{
    for (size_t at = 0, n = strlen(text);
         at < n && links_find(f->links, text + at, n - at, LINK_PLACE, out);) {
        out->file_start += at;
        out->file_end += at;
        out->end += at;
        *harmless |= out->kind == LINK_WARNING;
        size_t length = out->file_end - out->file_start;
        char *file = out->line && length ? file_of(f, text + out->file_start, length) : NULL;
        if (file)
            return file;
        at = out->end > at ? out->end : at + 1;
    }
    return NULL;
}

/* What the line says of its place, or the line before it did; else all of it. */
static const char *said(const struct finding *f, const char *text, const struct link *link)
{
    const char *rest = text + link->end;
    size_t closing = strspn(rest, ")]");
    if (f->before && link->file_start >= 4 && !strncmp(text + link->file_start - 4, "--> ", 4))
        return f->before;
    return rest[closing] == ':' || !strncmp(rest, " - ", 3) ? rest : text;
}

static void look_at(struct finding *f, const char *text)
{
    size_t blanks = strspn(text, " \t");
    if (!strncmp(text, "In file included", 16) || (blanks && !strncmp(text + blanks, "from ", 5)))
        return;
    struct link link;
    bool harmless = false;
    char *file = place_in(f, text, &link, &harmless);
    const char *what = file ? said(f, text, &link) : text;
    if (file && (harmless || is_harmless(what))) {
        free(file);
    } else if (file) {
        add(f, file, link.line, link.column, what, text);
    } else if (text[strspn(text, " \t|^~")]) {
        free(f->before);
        f->before = mem_strdup(text);
    }
}

void plain_places_find(struct plain_places *places, size_t most, const char *log, const char *root,
                       const char *mount)
{
    struct finding f = {places, most, root, mount, links_new(), NULL};
    struct buf text = BUF_INIT, plain = BUF_INIT;
    struct escape escape = {0};
    if (plain_log_part(log, 0, MAX_LOG, &text))
        escape_filter(&escape, buf_str(&text), text.len, &plain);
    char *rest = plain.data;
    while (rest && *rest && places->list.n < most) {
        char *line = rest;
        size_t n = strcspn(line, "\r\n");
        rest += n + (rest[n] != '\0');
        line[n < MAX_LINE ? n : MAX_LINE] = '\0';
        look_at(&f, line);
    }
    links_free(f.links);
    free(f.before);
    buf_release(&text);
    buf_release(&plain);
}

void plain_places_release(struct plain_places *places)
{
    vec_each (struct plain_place, place, &places->list) {
        free(place->file);
        free(place->text);
    }
    vec_release(&places->list);
}
