#include "cache/git_checkout.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/git_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_HEX ((size_t)64)

/* Writes the file where it does not hold that already. */
static int put(const char *git, const char *name, const char *text, struct err *err)
{
    struct buf is = BUF_INIT;
    char *path = path_join(git, name);
    int rc = 0;
    bool same = file_read(path, strlen(text), &is, NULL) == 0 && !strcmp(buf_str(&is), text);
    if (!same)
        rc = file_write_atomic(path, text, strlen(text), 0600, err);
    buf_release(&is);
    free(path);
    return rc;
}

/* The commit that HEAD names, with a newline; or a branch without commits. */
static void find_head(const struct git_place *place, struct buf *out)
{
    static const char *const args[] = {"rev-parse", "--quiet", "--verify", "HEAD^{commit}", NULL};
    struct git_command command = {.place = place, .args = args};
    if (git_command_run(&command, out, NULL) != 0) {
        buf_reset(out);
        buf_adds(out, "ref: refs/heads/main\n");
    }
}

static int make_repository(const struct git_place *place, const char *hex, const char *git,
                           struct err *err)
{
    static const char *const dirs[] = {"objects/info", "objects/pack", "refs/heads"};
    struct buf head = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        char *dir = path_join(git, dirs[i]);
        rc = file_mkdirs(dir, 0700, err);
        free(dir);
    }
    char *objects = mem_printf("%s/objects\n", place->common);
    find_head(place, &head);
    if (rc == 0)
        rc = put(git, "objects/info/alternates", objects, err);
    if (rc == 0)
        rc =
            put(git, "config",
                strlen(hex) == LONG_HEX ? "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
                                          "[extensions]\n\tobjectformat = sha256\n"
                                        : "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
                err);
    if (rc == 0)
        rc = put(git, "HEAD", buf_str(&head), err);
    free(objects);
    buf_release(&head);
    return rc;
}

int git_checkout(const struct git_place *place, const char *hex, const char *dir,
                 const char *const *keep, size_t n_keep, struct err *err)
{
    char *git = path_join(dir, ".git"), *index = path_join(git, "index");
    int rc = make_repository(place, hex, git, err);
    if (rc == 0)
        rc = git_tree_checkout(place, hex, dir, index, keep, n_keep, err);
    free(index);
    free(git);
    return rc;
}

int git_checkout_take(const struct git_place *place, const char *hex, const char *dir,
                      char now[GIT_TREE_HEX + 1], struct err *err)
{
    /* Steps may have added files to the index themselves. */
    const char *const begin[] = {"read-tree", "--reset", hex, NULL};
    static const char *const add[] = {"add", "-u", ".", NULL};
    const char *const differ[] = {"diff-index",    "--cached", "--name-only", "-z",
                                  "--no-ext-diff", hex,        NULL};
    static const char *const write[] = {"write-tree", NULL};
    const char *const *const steps[] = {begin, add, differ, write};
    struct buf out[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    char *index = path_join(dir, ".git/index");
    struct git_command command = {.place = place, .work_tree = dir, .index = index};
    int rc = 0, top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        rc = err_sys(err, errno, "cannot open %s", dir);
    for (size_t i = 0; rc == 0 && i < 4; i++) {
        command.args = steps[i];
        rc = git_command_run(&command, &out[i], err);
    }
    for (size_t at = 0; rc == 0 && at < out[2].len; at += strlen(out[2].data + at) + 1) {
        const char *name;
        int parent;
        if (beneath_open_parent(top, out[2].data + at, false, &parent, &name, NULL) != 0)
            continue;
        (void)unlinkat(parent, name, 0);
        close(parent);
    }
    if (top >= 0)
        close(top);
    size_t n = strspn(buf_str(&out[3]), "0123456789abcdef");
    if (rc == 0 && n != 40 && n != GIT_TREE_HEX)
        rc = err_set(err, ERR_CONFIG, "git did not tell a tree");
    if (rc == 0) {
        memcpy(now, out[3].data, n);
        now[n] = '\0';
    }
    for (size_t i = 0; i < 4; i++)
        buf_release(&out[i]);
    free(index);
    return rc;
}

int git_checkout_changed(const struct git_place *place, const char *hex, const char *dir,
                         struct buf *out, struct err *err)
{
    /* What only its stamps differ in is none. */
    static const char *const refresh[] = {"update-index", "-q", "--refresh", NULL};
    /* Steps may have added files to the index themselves: changed ones, and new ones. */
    const char *const differ[] = {"diff-index",      "--name-only", "-z", "--no-ext-diff",
                                  "--diff-filter=a", hex,           NULL};
    char *index = path_join(dir, ".git/index");
    struct git_command command = {.place = place, .work_tree = dir, .index = index};
    command.args = refresh;
    if (git_command_run(&command, NULL, NULL) != 0) {
        /* It says so by failing that something differs; diff-index tells what. */
    }
    command.args = differ;
    int rc = git_command_run(&command, out, err);
    free(index);
    return rc;
}
