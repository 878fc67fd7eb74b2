#include "cache/git_fixes.h"

#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_command.h"

#include <stdlib.h>
#include <string.h>

#define FILES_SHOWN 10

/* Which files, and why, for one message. */
struct refusals {
    struct buf text;
    size_t n;
};

static void refuse(struct refusals *refusals, const char *path, const char *why)
{
    if (refusals->n++ >= FILES_SHOWN)
        return;
    buf_adds(&refusals->text, refusals->n > 1 ? ", " : "");
    buf_add_shown(&refusals->text, path, strlen(path));
    buf_addf(&refusals->text, " (%s)", why);
}

/* -- the changes ------------------------------------------------------------------------------- */

static bool is_file(const char *mode, bool *executable)
{
    *executable = !strncmp(mode, "100755", 6);
    return *executable || !strncmp(mode, "100644", 6);
}

static bool take_id(const char **at, char id[GIT_TREE_HEX + 1])
{
    size_t n = strspn(*at, "0123456789abcdef");
    if ((n != 40 && n != GIT_TREE_HEX) || (*at)[n] != ' ')
        return false;
    memcpy(id, *at, n);
    id[n] = '\0';
    *at += n + 1;
    return true;
}

/* ":100644 100755 <id> <id> M", and the path. */
static bool take_one(const char *line, const char *path, struct git_fix *out,
                     struct refusals *refusals)
{
    struct git_fix fix = {0};
    const char *ids = line + 15;
    if (strlen(line) < 16 || line[0] != ':' || line[7] != ' ' || line[14] != ' ')
        return false;
    bool files = is_file(line + 1, &fix.was_executable);
    files = is_file(line + 8, &fix.is_executable) && files;
    if (!take_id(&ids, fix.was) || !take_id(&ids, fix.is))
        return false;
    if (*ids == 'D')
        refuse(refusals, path, "removed");
    else if (*ids != 'M' || !files)
        refuse(refusals, path, "not a file before and after");
    else if (strchr(path, '\n'))
        refuse(refusals, path, "a newline in its name");
    fix.path = mem_strdup(path);
    *out = fix;
    return true;
}

static int take_all(const struct buf *text, struct git_fixes *out, struct refusals *refusals,
                    struct err *err)
{
    VEC(struct git_fix) fixes = VEC_INIT;
    bool good = true;
    for (size_t at = 0; good && at < text->len;) {
        const char *line = text->data + at, *path = line + strlen(line) + 1;
        struct git_fix fix;
        good = path < text->data + text->len && take_one(line, path, &fix, refusals);
        if (good) {
            vec_push(&fixes, fix);
            at = (size_t)(path - text->data) + strlen(path) + 1;
        }
    }
    out->v = fixes.v;
    out->n = fixes.n;
    return good ? 0 : err_set(err, ERR_CONFIG, "git diff-tree did not tell what differs");
}

/* -- filters ----------------------------------------------------------------------------------- */

/* "<path>\0filter\0<value>\0" for each. */
static int look_for_filters(const struct git_place *place, const char *dir,
                            const struct git_fixes *fixes, struct refusals *refusals,
                            struct err *err)
{
    static const char *const args[] = {"check-attr", "-z", "--stdin", "filter", NULL};
    struct buf paths = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < fixes->n; i++)
        buf_add(&paths, fixes->v[i].path, strlen(fixes->v[i].path) + 1);
    struct git_command command = {
        .place = place, .args = args, .work_tree = dir, .in = paths.data, .n_in = paths.len};
    int rc = paths.len ? git_command_run(&command, &out, err) : 0;
    for (size_t at = 0; rc == 0 && at < out.len;) {
        const char *path = out.data + at, *value = path + strlen(path) + 1 + sizeof("filter");
        if (value >= out.data + out.len) {
            rc = err_set(err, ERR_CONFIG, "git check-attr did not tell of filters");
            break;
        }
        if (strcmp(value, "unspecified") != 0 && strcmp(value, "unset") != 0 &&
            strcmp(value, "set") != 0) {
            char *why = mem_printf("filter=%s", value);
            refuse(refusals, path, why);
            free(why);
        }
        at = (size_t)(value - out.data) + strlen(value) + 1;
    }
    buf_release(&paths);
    buf_release(&out);
    return rc;
}

int git_fixes_find(const struct git_place *place, const char *dir, const char *from, const char *to,
                   struct git_fixes *out, struct err *err)
{
    const char *const args[] = {"diff-tree",     "-r", "-z", "--raw", "--no-renames", "--no-abbrev",
                                "--no-ext-diff", from, to,   NULL};
    struct git_command command = {.place = place, .args = args};
    struct refusals refusals = {.text = BUF_INIT};
    struct buf text = BUF_INIT;
    *out = (struct git_fixes){0};
    memcpy(out->from, from, strlen(from) + 1);
    memcpy(out->to, to, strlen(to) + 1);
    int rc = git_command_run(&command, &text, err);
    if (rc == 0)
        rc = take_all(&text, out, &refusals, err);
    if (rc == 0)
        rc = look_for_filters(place, dir, out, &refusals, err);
    if (rc == 0 && refusals.n)
        rc = err_set(err, ERR_CONFIG,
                     "fixers change what is in files and whether these are executable; what they "
                     "did to these can't be taken over: %s%s; let them leave such files alone, or "
                     "do it yourself and \"git add\" it",
                     buf_str(&refusals.text), refusals.n > FILES_SHOWN ? " ..." : "");
    buf_release(&refusals.text);
    buf_release(&text);
    return rc;
}

void git_fixes_release(struct git_fixes *fixes)
{
    for (size_t i = 0; i < fixes->n; i++)
        free(fixes->v[i].path);
    free(fixes->v);
    *fixes = (struct git_fixes){0};
}
