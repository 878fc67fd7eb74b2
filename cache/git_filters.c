/*
 * What the memo remembers of the outside: under a key of the variables and the stamps of all files
 * that have a say, the print; its size is 1 where the outside alone applies, else 0. Where a file
 * is named that nobody would have looked for (an include, core.attributesFile) or is too young for
 * its stamp to tell, git is asked each time.
 */
#include "cache/git_filters.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/git_command.h"
#include "cache/ignore_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_ATTRIBUTES ((size_t)100 << 20)

extern char **environ;

enum { N_CONFIGS = 6, N_ATTRIBUTES = 4 };

/* Where git looks, present or not; NULL: nowhere. */
struct files {
    char *configs[N_CONFIGS];
    char *attributes[N_ATTRIBUTES];
};

/* "<prefix>/etc" of the git that PATH leads to. */
static char *etc_of_git(void)
{
    const char *path = getenv("PATH");
    char *found = NULL;
    for (const char *at = path ? path : ""; *at && !found;) {
        size_t n = strcspn(at, ":");
        char *dir = mem_strndup(n ? at : ".", n ? n : 1);
        char *git = path_join(dir, "git");
        if (access(git, X_OK) == 0)
            found = realpath(dir, NULL);
        free(git);
        free(dir);
        at += n + (at[n] == ':');
    }
    static const char *const ends[] = {"/libexec/git-core", "/lib/git-core", "/bin"};
    for (size_t i = 0; found && i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t n = strlen(found), end = strlen(ends[i]);
        if (n >= end && strcmp(found + n - end, ends[i]) == 0) {
            found[n - end] = '\0';
            break;
        }
    }
    char *etc = found ? path_join(*found ? found : "/", "etc") : NULL;
    free(found);
    return etc;
}

static char *below(const char *dir, const char *name)
{
    return dir && *dir ? path_join(dir, name) : NULL;
}

static struct files find_files(const struct git_place *place)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
    char *own = xdg && *xdg ? mem_strdup(xdg) : below(home, ".config");
    char *etc = etc_of_git();
    struct files files = {
        .configs = {mem_strdup("/etc/gitconfig"), below(etc, "gitconfig"), below(own, "git/config"),
                    below(home, ".gitconfig"), path_join(place->common, "config"),
                    path_join(place->git_dir, "config.worktree")},
        .attributes = {mem_strdup("/etc/gitattributes"), below(etc, "gitattributes"),
                       below(own, "git/attributes"), path_join(place->common, "info/attributes")}};
    free(own);
    free(etc);
    return files;
}

static void free_files(struct files *files)
{
    for (size_t i = 0; i < N_CONFIGS; i++)
        free(files->configs[i]);
    for (size_t i = 0; i < N_ATTRIBUTES; i++)
        free(files->attributes[i]);
}

static bool add_stamp(struct buf *out, const char *path)
{
    uint64_t now = clock_realtime_ns();
    struct stamp stamp = path ? ignore_stamp(path) : (struct stamp){.dev = 0};
    buf_add(out, path ? path : "", path ? strlen(path) + 1 : 1);
    uint64_t parts[] = {
        stamp.dev, stamp.ino, stamp.size, (uint64_t)stamp.mtime_ns, (uint64_t)stamp.ctime_ns,
        stamp.mode};
    buf_add(out, parts, sizeof(parts));
    return !stamp.ino || stamp_settled(&stamp, (int64_t)now);
}

/* What has a say besides settings: where attributes come from, and what a widespread driver goes by
 * (GIT_LFS_SKIP_SMUDGE leaves files as they are stored). */
static bool is_for_files(const char *variable)
{
    return strncmp(variable, "GIT_ATTR_", 9) == 0 || strncmp(variable, "GIT_LFS_", 8) == 0;
}

bool git_source_goes_by(const char *variable)
{
    return strncmp(variable, "GIT_CONFIG", 10) == 0 || is_for_files(variable);
}

/* The key that all this is remembered by; false when it can't be. */
static bool make_key(const struct files *files, struct git_memo_key *key)
{
    struct buf text = BUF_INIT;
    bool fine = true;
    buf_add(&text, "outer", 6);
    for (char **variable = environ; variable && *variable; variable++) {
        if (git_source_goes_by(*variable))
            buf_add(&text, *variable, strlen(*variable) + 1);
        fine &= strncmp(*variable, "GIT_CONFIG_GLOBAL=", 18) != 0 &&
                strncmp(*variable, "GIT_CONFIG_SYSTEM=", 18) != 0;
    }
    for (size_t i = 0; i < N_CONFIGS; i++)
        fine &= add_stamp(&text, files->configs[i]);
    for (size_t i = 0; i < N_ATTRIBUTES; i++)
        fine &= add_stamp(&text, files->attributes[i]);
    struct digest digest = digest_of(text.data, text.len);
    memcpy(key->bytes, digest.hash, sizeof(key->bytes));
    buf_release(&text);
    return fine;
}

/* Whether a line of attributes asks for what changes a file as it is written. Line ends alone do so
 * only where they are told to be CRLF: a text that is stored with LF is written with LF. */
static bool asks_for_filters(const struct buf *text)
{
    static const char blanks[] = " \t\r\n\f\v";
    for (const char *at = buf_str(text), *end = at + text->len; at < end;) {
        size_t n = strcspn(at, blanks);
        if ((n == 5 && memcmp(at, "ident", 5) == 0) || strncmp(at, "filter=", 7) == 0 ||
            strncmp(at, "working-tree-encoding=", 22) == 0 ||
            (n == 8 && memcmp(at, "eol=crlf", 8) == 0))
            return true;
        at += n;
        at += at < end; /* a blank, or a NUL, which ends no file */
    }
    return false;
}

static void add_attributes(const char *path, struct buf *all, bool *applies)
{
    struct buf text = BUF_INIT;
    if (path && file_read(path, MAX_ATTRIBUTES, &text, NULL) == 0) {
        *applies |= asks_for_filters(&text);
        buf_add(all, text.data, text.len);
    }
    buf_addc(all, '\0');
    buf_release(&text);
}

static bool starts(const char *entry, const char *with)
{
    return strncasecmp(entry, with, strlen(with)) == 0;
}

/* An entry is "key\nvalue". *complete: false when it leads to files that nobody looked for. */
static void add_setting(const char *entry, struct buf *all, char **attributes, bool *applies,
                        bool *complete)
{
    const char *newline = strchr(entry, '\n');
    const char *value = newline ? newline + 1 : "true";
    size_t n = newline ? (size_t)(newline - entry) : strlen(entry);
    bool crlf = n == 13 && starts(entry, "core.autocrlf"),
         eol = n == 8 && starts(entry, "core.eol");
    if (starts(entry, "include"))
        *complete = false;
    if (n == 19 && starts(entry, "core.attributesfile")) {
        free(*attributes);
        *attributes = mem_strdup(value);
        *complete = false;
    }
    if (!crlf && !eol && !starts(entry, "filter.") && !starts(entry, "core.checkroundtrip") &&
        !starts(entry, "core.symlinks") && !starts(entry, "lfs."))
        return;
    buf_add(all, entry, strlen(entry) + 1);
    /* "input" and the like are conversions the other way; a later setting may take it back, which
     * only costs time. */
    *applies |= (crlf && strcasecmp(value, "input") != 0 && strcasecmp(value, "false") != 0 &&
                 strcmp(value, "0") != 0 && strcasecmp(value, "no") != 0 &&
                 strcasecmp(value, "off") != 0) ||
                (eol && strcasecmp(value, "crlf") == 0);
}

static int ask_git(const struct git_place *place, const struct files *files, struct git_outer *out,
                   bool *complete, struct err *err)
{
    static const char *const args[] = {"config", "-z", "--list", NULL};
    struct git_command command = {.place = place, .args = args};
    struct buf list = BUF_INIT, all = BUF_INIT;
    char *attributes = NULL;
    *complete = true;
    out->applies = false;
    int rc = git_command_run(&command, &list, err);
    for (const char *at = list.data; rc == 0 && at && at < list.data + list.len;
         at += strlen(at) + 1)
        add_setting(at, &all, &attributes, &out->applies, complete);
    for (char **variable = environ; variable && *variable; variable++)
        if (is_for_files(*variable))
            buf_add(&all, *variable, strlen(*variable) + 1);
    for (size_t i = 0; i < N_ATTRIBUTES; i++)
        add_attributes(files->attributes[i], &all, &out->applies);
    if (attributes) {
        const char *home = getenv("HOME");
        char *path = attributes[0] == '~' && attributes[1] == '/' && home
                         ? path_join(home, attributes + 2)
                         : path_join(place->work_tree, attributes);
        add_attributes(path, &all, &out->applies);
        free(path);
    }
    struct digest digest = digest_of(all.data ? all.data : "", all.len);
    memcpy(out->print, digest.hash, sizeof(out->print));
    free(attributes);
    buf_release(&list);
    buf_release(&all);
    return rc;
}

int git_outer_read(const struct git_place *place, struct git_memo *memo, struct git_outer *out,
                   struct err *err)
{
    struct files files = find_files(place);
    struct git_memo_key key;
    struct digest known;
    bool complete, memorable = make_key(&files, &key);
    int rc = 0;
    if (memorable && git_memo_get(memo, &key, &known)) {
        memcpy(out->print, known.hash, sizeof(out->print));
        out->applies = known.size;
    } else {
        rc = ask_git(place, &files, out, &complete, err);
        if (rc == 0 && memorable && complete) {
            memcpy(known.hash, out->print, sizeof(known.hash));
            known.size = out->applies;
            git_memo_put(memo, &key, &known);
        }
    }
    free_files(&files);
    return rc;
}

struct git_filters git_filters_outer(const struct git_outer *outer)
{
    struct git_filters filters = {.print = {0}};
    if (outer->applies)
        memcpy(filters.print, outer->print, sizeof(filters.print));
    return filters;
}

bool git_filters_any(const struct git_filters *filters)
{
    static const struct git_filters none;
    return memcmp(filters, &none, sizeof(none)) != 0;
}

void git_filters_add(struct git_filters *filters, const struct git_outer *outer,
                     const struct git_id *id, const char *dir, const struct buf *text)
{
    struct buf all = BUF_INIT;
    if (!git_filters_any(filters) && !asks_for_filters(text))
        return;
    buf_add(&all, filters->print, sizeof(filters->print));
    buf_add(&all, outer->print, sizeof(outer->print));
    buf_adds(&all, id->hex);
    buf_addc(&all, '\0');
    buf_adds(&all, dir);
    struct digest digest = digest_of(all.data, all.len);
    memcpy(filters->print, digest.hash, sizeof(filters->print));
    buf_release(&all);
}
