#include "cache/git_checkout.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/beneath.h"
#include "cache/git_command.h"
#include "cache/git_filters.h"
#include "cache/git_index.h"
#include "cache/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_HEX   ((size_t)64)
#define MOST_FRESH ((size_t)64 * 1024) /* bytes of their names */

static bool holds(const char *path, const char *text)
{
    struct buf is = BUF_INIT;
    bool same = file_read(path, strlen(text), &is, NULL) == 0 && !strcmp(buf_str(&is), text);
    buf_release(&is);
    return same;
}

/* Writes the file where it does not hold that already. */
static int put(const char *git, const char *name, const char *text, struct err *err)
{
    char *path = path_join(git, name);
    int rc = holds(path, text) ? 0 : file_write_atomic(path, text, strlen(text), 0600, err);
    free(path);
    return rc;
}

/* Files that are the same in both trees are to be written anew where git would write them otherwise
 * now: then there is no index to go by. It goes before the note says so, whatever happens between.
 */
static int heed_settings(const struct git_place *place, const char *git, const char *index,
                         struct err *err)
{
    struct git_memo *memo = git_memo_open(NULL);
    struct git_outer outer;
    struct digest print = {.size = 0};
    char hex[DIGEST_HEX + 1], *path = path_join(git, "written-by");
    int rc = git_outer_read(place, memo, &outer, err);
    if (rc == 0) {
        memcpy(print.hash, outer.print, sizeof(print.hash));
        digest_hex(&print, hex);
    }
    if (rc == 0 && !holds(path, hex)) {
        unlink(index);
        rc = file_write_atomic(path, hex, DIGEST_HEX, 0600, err);
    }
    git_memo_close(memo);
    free(path);
    return rc;
}

/* The commit that HEAD names, with a newline; or a branch without commits. */
static void take_head(struct git_running *running, struct buf *out)
{
    char piece[GIT_TREE_HEX + 1];
    ssize_t n;
    while ((n = read(running->out, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buf_add(out, piece, (size_t)n);
    if (git_command_end(running, NULL) != 0) {
        buf_reset(out);
        buf_adds(out, "ref: refs/heads/main\n");
    }
}

static int make_repository(const struct git_place *place, const char *hex, const char *git,
                           struct err *err)
{
    static const char *const dirs[] = {"objects/info", "objects/pack", "refs/heads"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        char *dir = path_join(git, dirs[i]);
        rc = file_mkdirs(dir, 0700, err);
        free(dir);
    }
    char *objects = mem_printf("%s/objects\n", place->common);
    if (rc == 0)
        rc = put(git, "objects/info/alternates", objects, err);
    if (rc == 0)
        rc =
            put(git, "config",
                strlen(hex) == LONG_HEX ? "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
                                          "[extensions]\n\tobjectformat = sha256\n"
                                        : "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
                err);
    free(objects);
    return rc;
}

/* git goes over what differs between the tree that was checked out last and this one, while all
 * files are looked at: they are as it wrote them, or somebody else was here. NULL: they are not, or
 * that can't be told. Takes before, what the index is, over. */
static struct git_stamps *step_on(const struct git_place *place, const char *hex, const char *dir,
                                  const char *index, struct git_stamps *before)
{
    char was[GIT_TREE_HEX + 1];
    const char *const args[] = {"read-tree", "-m", "-u", "--no-sparse-checkout", was, hex, NULL};
    struct git_command command = {.place = place, .args = args, .work_tree = dir, .index = index};
    struct git_running running;
    size_t id_size = strlen(hex) / 2;
    char *clock = mem_printf("%s.begin", index);
    int64_t begun_ns = 0;
    struct git_stamps *stamps = NULL;
    bool known = before && git_stamps_tree(before, was);
    if (known && !strcmp(was, hex)) {
        stamps = before;
        before = NULL;
        known = git_stamps_follow(stamps, NULL, dir, INT64_MAX);
    } else if (known && (known = mirror_clock(clock, "", &begun_ns, NULL) == 0 &&
                                 git_command_start(&command, &running, NULL) == 0)) {
        git_stamps_look(before, dir);
        known = git_command_end(&running, NULL) == 0 &&
                (stamps = git_stamps_read(index, id_size)) != NULL &&
                git_stamps_tree(stamps, was) && !strcmp(was, hex) &&
                git_stamps_follow(stamps, before, dir, begun_ns);
    }
    git_stamps_free(before);
    free(clock);
    if (known)
        return stamps;
    git_stamps_free(stamps);
    return NULL;
}

static void look_at_entry(void *ctx, const struct git_index_file *entry)
{
    *(bool *)ctx &= entry->plain;
}

/* The tree that the index has, where it tells. */
static bool tree_of(const char *index, size_t id_size, char hex[GIT_TREE_HEX + 1])
{
    struct buf bytes = BUF_INIT;
    struct git_index_tree tree;
    bool told = file_read(index, SIZE_MAX / 4, &bytes, NULL) == 0 &&
                git_index_tree(bytes.data, bytes.len, id_size, &tree) == GIT_INDEX_TREE;
    for (size_t i = 0; told && i < id_size; i++)
        snprintf(hex + 2 * i, 3, "%02x", tree.id[i]);
    buf_release(&bytes);
    return told;
}

/* A step may have told the index that git need not look at some files: then there is none. */
static void distrust(const char *index, size_t id_size)
{
    struct buf bytes = BUF_INIT;
    struct git_index_tree tree;
    bool plain = true;
    enum git_index_answer answer = GIT_INDEX_STRANGE;
    if (file_read(index, SIZE_MAX / 4, &bytes, NULL) == 0)
        answer = git_index_each(bytes.data, bytes.len, id_size, look_at_entry, &plain, &tree);
    if (!plain || (answer != GIT_INDEX_TREE && answer != GIT_INDEX_NONE))
        unlink(index);
    buf_release(&bytes);
}

static bool nothing_said(struct git_running *running)
{
    char piece[1];
    ssize_t n;
    while ((n = read(running->out, piece, sizeof piece)) < 0 && errno == EINTR)
        ;
    return git_command_end(running, NULL) == 0 && n == 0;
}

/* Whether the tree that was checked out last has other .gitattributes: then files are to be written
 * anew that are the same in both. *asked false: which tree that was can't be told. */
static void ask_attributes(const struct git_place *place, const char *hex, const char *index,
                           const struct git_stamps *before, struct git_running *running,
                           bool *asked)
{
    char was[GIT_TREE_HEX + 1];
    const char *const args[] = {
        "--glob-pathspecs",  "diff-tree", "-r", "--name-only", was, hex, "--",
        "**/.gitattributes", NULL};
    struct git_command command = {.place = place, .args = args};
    bool known = before ? git_stamps_tree(before, was) : tree_of(index, strlen(hex) / 2, was);
    *asked = known && git_command_start(&command, running, NULL) == 0;
    if (*asked)
        running->name = "diff-tree";
}

int git_checkout(const struct git_place *place, const char *hex, const char *dir,
                 const char *const *keep, size_t n_keep, struct git_stamps **out, struct err *err)
{
    static const char *const args[] = {"rev-parse", "--quiet", "--verify", "HEAD^{commit}", NULL};
    struct git_command command = {.place = place, .args = args};
    struct git_running running, attributes;
    struct buf head = BUF_INIT;
    bool asked = false;
    char *git = path_join(dir, ".git"), *index = path_join(git, "index");
    char *lock = mem_printf("%s.lock", index);
    *out = NULL;
    int rc = git_command_start(&command, &running, err); /* it tells at the end */
    bool runs = rc == 0;
    if (rc == 0)
        rc = make_repository(place, hex, git, err);
    if (rc == 0)
        rc = heed_settings(place, git, index, err);
    unlink(lock); /* that a killed git has left; nobody else has a right to it */
    struct git_stamps *before = git_stamps_read(index, strlen(hex) / 2);
    if (rc == 0)
        ask_attributes(place, hex, index, before, &attributes, &asked);
    if (asked)
        *out = step_on(place, hex, dir, index, before);
    else
        git_stamps_free(before);
    if (rc == 0 && !(asked && nothing_said(&attributes))) {
        git_stamps_free(*out);
        *out = NULL;
        unlink(index); /* all is written */
    }
    if (rc == 0 && !*out) {
        distrust(index, strlen(hex) / 2);
        rc = git_tree_checkout(place, hex, dir, index, keep, n_keep, err);
        *out = git_stamps_read(index, strlen(hex) / 2);
    }
    if (runs)
        take_head(&running, &head);
    if (rc == 0)
        rc = put(git, "HEAD", buf_str(&head), err);
    buf_release(&head);
    free(lock);
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
    distrust(index, strlen(hex) / 2);
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

/* By the index as it was, whatever steps have done to it since. */
static int ask_git(struct git_command *command, const char *hex, const struct git_stamps *stamps,
                   struct buf *out, struct err *err)
{
    /* What only its stamps differ in is none. */
    static const char *const refresh[] = {"update-index", "-q", "--really-refresh", NULL};
    /* Where that is not known: steps may have added files to it. */
    const char *const reset[] = {"read-tree", "--reset", hex, NULL};
    const char *const differ[] = {"diff-index",      "--name-only", "-z", "--no-ext-diff",
                                  "--diff-filter=a", hex,           NULL};
    const char *index = command->index;
    char *copy = mem_printf("%s.was", index);
    int rc = stamps ? git_stamps_write(stamps, copy, err) : 0;
    if (stamps) {
        command->index = copy;
    } else {
        distrust(index, strlen(hex) / 2);
        command->args = reset;
        rc = git_command_run(command, NULL, err);
    }
    command->args = refresh;
    if (rc == 0 && git_command_run(command, NULL, NULL) != 0) {
        /* It says so by failing that something differs; diff-index tells what. */
    }
    command->args = differ;
    if (rc == 0)
        rc = git_command_run(command, out, err);
    command->index = index;
    unlink(copy);
    free(copy);
    return rc;
}

/* Of what was written at the last moment stamps tell nothing: git reads it, meanwhile. */
static bool start_fresh(struct git_command *command, const struct git_stamps *stamps,
                        struct git_running *running)
{
    VEC(const char *) args = VEC_INIT;
    static const char *const begin[] = {"--literal-pathspecs", "diff-files", "--name-only", "-z",
                                        "--no-ext-diff",       "--"};
    const struct buf *fresh = git_stamps_fresh(stamps);
    for (size_t i = 0; i < sizeof(begin) / sizeof(begin[0]); i++)
        vec_push(&args, begin[i]);
    for (size_t at = 0; at < fresh->len; at += strlen(fresh->data + at) + 1)
        vec_push(&args, fresh->data + at);
    vec_push(&args, NULL);
    command->args = args.v;
    bool started = git_command_start(command, running, NULL) == 0;
    running->name = begin[1];
    vec_release(&args);
    return started;
}

int git_checkout_changed(const struct git_place *place, const char *hex, const char *dir,
                         const struct git_stamps *stamps, struct buf *out, struct err *err)
{
    char *index = path_join(dir, ".git/index");
    struct git_command command = {.place = place, .work_tree = dir, .index = index};
    struct git_running running;
    int rc = 0;
    bool as_it_was = stamps && git_stamps_are(stamps, index);
    bool asks = as_it_was && git_stamps_fresh(stamps)->len > 0;
    if (asks && git_stamps_fresh(stamps)->len < MOST_FRESH)
        as_it_was = asks = start_fresh(&command, stamps, &running);
    else if (asks)
        as_it_was = asks = false;
    bool same = as_it_was && git_stamps_hold(stamps, dir);
    if (asks)
        same = nothing_said(&running) && same;
    if (!same)
        rc = ask_git(&command, hex, stamps, out, err);
    free(index);
    return rc;
}
