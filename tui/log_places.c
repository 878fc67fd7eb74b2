/*
 * log_places.c - the files that lines of a log name: what runs in a directory calls them from
 * there, and says seldom where that is.
 */
#include "tui/log_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How far below a line that says what went wrong its place may be named. */
#define PLACE_BELOW 12
/* How far above what Python raised its innermost call may be named. */
#define CALL_ABOVE 3
/* How far above a line it is looked for which directory was entered, and how many that may be. */
#define ENTERED_ABOVE 3000
#define ENTERED_READ  10000 /* lines at a time that are known of */
#define ENTERED_MAX   4

typedef VEC(char *) paths;

static void paths_release(paths *list)
{
    vec_each (char *, path, list)
        free(*path);
    vec_release(list);
}

/* -- directories that paths may be meant from -------------------------------------------------- */

/* "make[1]: Entering directory '/src/lib'", "ninja: Entering directory `build'": the directory, a
 * new string, with *entered; or the one that was left. NULL: the line tells nothing of the kind. */
static char *entered_by(const char *text, size_t n, bool *entered)
{
    static const char enters[] = ": Entering directory ", leaves[] = ": Leaving directory ";
    const char *at = memmem(text, n, enters, sizeof enters - 1), *end = text + n;
    *entered = at != NULL;
    if (at)
        at += sizeof enters - 1;
    else if ((at = memmem(text, n, leaves, sizeof leaves - 1)))
        at += sizeof leaves - 1;
    if (!at)
        return NULL;
    static const char *const quotes[] = {"'", "`", "\"", "\xe2\x80\x98", "\xe2\x80\x99"};
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        size_t length = strlen(quotes[i]);
        if ((size_t)(end - at) > length && memcmp(at, quotes[i], length) == 0)
            at += length;
        if ((size_t)(end - at) > length && memcmp(end - length, quotes[i], length) == 0)
            end -= length;
    }
    return end > at ? mem_strndup(at, (size_t)(end - at)) : NULL;
}

static void forget(struct entries *entries)
{
    vec_each (struct entry, entry, &entries->list)
        free(entry->path);
    vec_clear(&entries->list);
}

void log_entries_release(struct entries *entries)
{
    forget(entries);
    vec_release(&entries->list);
    *entries = (struct entries){0};
}

/* Has what lines above that one enter and leave read; mostly it is known from the last time. */
static void read_entries(struct log_view *log, uint64_t line)
{
    struct entries *known = &log->entries;
    unsigned generation = logfile_generation(log->lines.file);
    uint64_t from = line > ENTERED_ABOVE ? line - ENTERED_ABOVE : 0;
    bool serves = known->generation == generation && known->to > 0 && from <= known->to &&
                  from + 2 * ENTERED_ABOVE / 3 >= known->from && line - known->from < ENTERED_READ;
    if (!serves) {
        forget(known);
        known->from = known->to = from;
        known->generation = generation;
    }
    for (; known->to < line; known->to++) {
        size_t n;
        bool entered;
        const char *text = logfile_line(log->lines.file, known->to, &n);
        char *path = text ? entered_by(text, n, &entered) : NULL;
        if (path)
            vec_push(&known->list, (struct entry){known->to, entered, path});
    }
}

/* The directories that had been entered and not been left again when that line of the file came,
 * the innermost first. */
static void add_entered(struct log_view *log, uint64_t line, paths *out)
{
    VEC(const char *) left = VEC_INIT;
    read_entries(log, line);
    for (size_t i = log->entries.list.n; i > 0 && out->n < ENTERED_MAX; i--) {
        const struct entry *entry = &log->entries.list.v[i - 1];
        bool paired = false;
        if (entry->line >= line)
            continue;
        for (size_t k = left.n; entry->entered && k > 0 && !paired; k--) {
            paired = strcmp(left.v[k - 1], entry->path) == 0;
            if (paired) {
                left.v[k - 1] = vec_last(&left);
                left.n--;
            }
        }
        if (!entry->entered)
            vec_push(&left, entry->path);
        else if (!paired)
            vec_push(out, mem_strdup(entry->path));
    }
    vec_release(&left);
}

/* The directories that the command names as places to go to: "cd web && npm test", "cmake --build
 * build". */
static void add_commanded(const char *command, paths *out)
{
    static const char *const words[] = {"cd", "-C", "--build", "--prefix", "--directory", NULL};
    static const char between[] = " \t\n;&|()'\"";
    bool wanted = false;
    for (const char *at = command; at && *at && out->n < 4 * ENTERED_MAX;) {
        size_t n = strcspn(at, between);
        if (n > 0 && wanted)
            vec_push(out, mem_strndup(at, n));
        wanted = n == 0 && wanted;
        for (size_t i = 0; n > 0 && words[i]; i++)
            wanted = wanted || (n == strlen(words[i]) && memcmp(at, words[i], n) == 0);
        at += n + (at[n] != '\0');
    }
}

/* -- the file ---------------------------------------------------------------------------------- */

static char *if_there(struct app *app, const char *path)
{
    char *file = model_file(&app->model, app_selected(app), path);
    struct stat st;
    if (file && stat(file, &st) == 0 && S_ISREG(st.st_mode))
        return file;
    free(file);
    return NULL;
}

/* The path as it is meant from dir, which is meant from cwd; a path from the project's folder that
 * leads out of it is none. */
static char *seen_from(struct app *app, const char *cwd, const char *dir, const char *path)
{
    char *place = path_join(cwd, dir), *whole = path_join(place, path);
    char *normal = *whole == '/' ? mem_strdup(whole) : path_normalize(whole);
    char *file = normal ? if_there(app, normal) : NULL;
    free(place);
    free(whole);
    free(normal);
    return file;
}

/* The file outside that the nth line names; NULL: there is none. What is tried first is what is
 * said last and closest: the directory entered, those that the command names, where the step runs,
 * the project. A build directory of another name is left with ".." by paths that are meant from
 * within. */
static char *file_of(struct app *app, uint64_t nth, const char *path)
{
    const struct model_step *step = app_selected(app);
    struct log_view *log = &app->log;
    paths dirs = VEC_INIT;
    if (!step || !*path)
        return NULL;
    if (*path == '/')
        return if_there(app, path);
    const char *cwd = step->cwd ? step->cwd : "";
    add_entered(log, lines_nth(&log->lines, nth), &dirs);
    add_commanded(step->command, &dirs);
    vec_push(&dirs, mem_strdup(""));
    char *file = NULL;
    for (size_t i = 0; i < dirs.n && !file; i++)
        file = seen_from(app, cwd, dirs.v[i], path);
    for (size_t i = 0; i < dirs.n && !file && *cwd; i++)
        file = seen_from(app, "", dirs.v[i], path);
    for (const char *rest = path; !file && strncmp(rest, "../", 3) == 0;) {
        rest += 3;
        file = seen_from(app, cwd, "", rest);
        file = file ? file : seen_from(app, "", "", rest);
    }
    paths_release(&dirs);
    return file;
}

static char *link_file(struct app *app, uint64_t nth, const char *text, const struct link *link)
{
    char *path = mem_strndup(text + link->file_start, link->file_end - link->file_start);
    const char *name = strncmp(path, "file://", 7) == 0 ? path + 7 : path;
    char *file = *name ? file_of(app, nth, name) : NULL;
    free(path);
    return file;
}

/* The first place of that kind or more that lines from..to name. */
static bool first_place(struct app *app, uint64_t from, uint64_t to, enum link_kind least,
                        uint64_t *nth, struct link *link, char **file)
{
    struct links *links = log_links(&app->log);
    struct line line = {0};
    struct cell_text text = {0};
    *file = NULL;
    for (*nth = from; *nth < to && log_parse(app, *nth, COLUMNS_MAX, &line); ++*nth) {
        cell_text_of(&text, &line);
        if (links_find(links, buf_str(&text.text), text.text.len, least, link) &&
            (*file = link_file(app, *nth, buf_str(&text.text), link)))
            break;
    }
    cell_text_release(&text);
    line_release(&line);
    return *file != NULL;
}

/* Python names the innermost call last, with its line of code, and then what was raised there. */
static bool call_above(struct app *app, uint64_t raised, uint64_t *nth, struct link *link,
                       char **file)
{
    static const char frame[] = "  File \"", within[] = "    ";
    struct line line = {0};
    struct cell_text text = {0};
    bool found = false;
    for (uint64_t at = raised; !found && at > 0 && raised - at < CALL_ABOVE; at--) {
        if (!log_parse(app, at - 1, COLUMNS_MAX, &line))
            break;
        cell_text_of(&text, &line);
        found = strncmp(buf_str(&text.text), frame, sizeof frame - 1) == 0;
        if (found)
            found = first_place(app, at - 1, at, LINK_PLACE, nth, link, file);
        else if (strncmp(buf_str(&text.text), within, sizeof within - 1) != 0)
            break;
    }
    cell_text_release(&text);
    line_release(&line);
    return found;
}

bool log_target(struct app *app, uint64_t *nth, struct link *link, char **file)
{
    struct log_view *log = &app->log;
    uint64_t bottom = log_bottom(log);
    *file = NULL;
    if (!log->lines.file)
        return false;
    uint64_t at = UINT64_MAX;
    if (log->mark.on)
        at = log->mark.cursor;
    else if (log->errors.state == SEARCH_FOUND && log_sees(log, log->errors.found))
        at = log->errors.found;
    else if (log->search.state == SEARCH_FOUND && log_sees(log, log->search.found))
        at = log->search.found;
    if (at != UINT64_MAX && (first_place(app, at, at + 1, LINK_PLACE, nth, link, file) ||
                             call_above(app, at, nth, link, file)))
        return true;
    if (at != UINT64_MAX && first_place(app, at, at + PLACE_BELOW, LINK_PLACE, nth, link, file))
        return true;
    for (int least = LINK_ERROR; least >= LINK_PLACE; least--)
        if (first_place(app, log->top, bottom, (enum link_kind)least, nth, link, file))
            return true;
    return false;
}
