/*
 * plain_places.c - the lines of files that a failed step's log complains of (see plain_ci.h).
 *
 * Compilers, linters and tests write "FILE:LINE:COLUMN: what", Rust "  --> FILE:LINE:COLUMN" below
 * what it is about, Python and others '  File "FILE", line LINE' above it. Only files of the
 * project that are really there count, so that a clock or an address is not taken for a place.
 */
#include "cli/plain_ci.h"
#include "cli/plain_private.h"

#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_LOG  ((size_t)4 << 20)
#define MAX_LINE 2000

struct finding {
    struct plain_places *places;
    size_t most;
    const char *root, *mount;
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

static bool is_harmless(const char *text)
{
    text += strspn(text, ": \t");
    return !strncmp(text, "note", 4) || !strncmp(text, "warning", 7) ||
           !strncmp(text, "Warning", 7);
}

/* FILE:LINE[:COLUMN], the first in the line that names a file. */
static bool colon_place(struct finding *f, const char *text)
{
    for (const char *colon = text; (colon = strchr(colon, ':')); colon++) {
        if (!isdigit((unsigned char)colon[1]) || colon == text)
            continue;
        const char *from = colon;
        while (from > text && !strchr(" \t\"'([<,=", from[-1]))
            from--;
        char *end;
        unsigned long line = strtoul(colon + 1, &end, 10), column = 0;
        if (*end == ':' && isdigit((unsigned char)end[1]))
            column = strtoul(end + 1, &end, 10);
        char *file = line && from < colon ? file_of(f, from, (size_t)(colon - from)) : NULL;
        if (!file)
            continue;
        bool arrow = from >= text + 4 && !strncmp(from - 4, "--> ", 4);
        const char *what = arrow && f->before ? f->before : end;
        if (is_harmless(what))
            free(file);
        else
            add(f, file, line, column, what, text);
        return true;
    }
    return false;
}

/* File "FILE", line LINE */
static bool quoted_place(struct finding *f, const char *text)
{
    const char *from = strstr(text, "File \""), *to = from ? strchr(from + 6, '"') : NULL;
    if (!to || strncmp(to, "\", line ", 8) != 0)
        return false;
    unsigned long line = strtoul(to + 8, NULL, 10);
    char *file = line ? file_of(f, from + 6, (size_t)(to - from - 6)) : NULL;
    if (file)
        add(f, file, line, 0, text, text);
    return file != NULL;
}

static void look_at(struct finding *f, const char *text)
{
    if (!strncmp(text, "In file included", 16))
        return;
    if (quoted_place(f, text) || colon_place(f, text))
        return;
    if (text[strspn(text, " \t|^~")]) {
        free(f->before);
        f->before = mem_strdup(text);
    }
}

void plain_places_find(struct plain_places *places, size_t most, const char *log, const char *root,
                       const char *mount)
{
    struct finding f = {places, most, root, mount, NULL};
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
