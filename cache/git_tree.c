/*
 * The tree of an index: from its own TREE extension where that holds, which is a look at one file;
 * else "git write-tree" on a copy, because that command may write the index anew. git also knows
 * the indexes that are split or sparse and the entries that are only intended. libgit2 knows
 * neither, and is no faster.
 */
#include "cache/git_tree.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_command.h"
#include "cache/git_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void to_hex(const uint8_t *id, size_t n, char hex[GIT_TREE_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[id[i] >> 4];
        hex[2 * i + 1] = digits[id[i] & 15];
    }
    hex[2 * n] = '\0';
}

/* Bytes of an object id: 32 where the repository's configuration says so. */
static size_t id_size(const struct git_place *place)
{
    struct buf text = BUF_INIT;
    char *path = path_join(place->common, "config");
    size_t n = 20;
    if (file_read(path, (size_t)1 << 20, &text, NULL) == 0) {
        const char *found = strcasestr(buf_str(&text), "objectformat");
        if (found && strcasestr(found, "sha256"))
            n = 32;
    }
    buf_release(&text);
    free(path);
    return n;
}

/* An index with split or sparse parts, or entries that are only intended, has no tree that holds;
 * nor has one that is being written. */
static enum git_index_answer look(const struct git_place *place, size_t id_bytes,
                                  struct git_index_tree *tree)
{
    enum git_index_answer answer = GIT_INDEX_STRANGE;
    struct stat st;
    int fd = open(place->index, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        /* git replaces the file and never writes into it. */
        void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (bytes != MAP_FAILED) {
            answer = git_index_tree(bytes, (size_t)st.st_size, id_bytes, tree);
            munmap(bytes, (size_t)st.st_size);
        }
    }
    if (fd >= 0)
        close(fd);
    return answer;
}

static int copy_index(const struct git_place *place, const char *to, struct err *err)
{
    struct buf bytes = BUF_INIT;
    int rc = file_read(place->index, SIZE_MAX / 4, &bytes, err);
    if (rc == 0)
        rc = file_write_atomic(to, bytes.data, bytes.len, 0600, err);
    buf_release(&bytes);
    return rc;
}

static int take_hex(const struct buf *out, char hex[GIT_TREE_HEX + 1], struct err *err)
{
    size_t n = strspn(buf_str(out), "0123456789abcdef");
    if (n != 40 && n != 64)
        return err_set(err, ERR_CONFIG, "git did not tell a tree");
    memcpy(hex, out->data, n);
    hex[n] = '\0';
    return 0;
}

/* A name in the scratch directory that nobody else has. */
static char *scratch_name(const char *scratch, struct err *err)
{
    char *path = mem_printf("%s/kiln-index-XXXXXX", scratch);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    else
        err_sys(err, errno, "cannot make a file in %s", scratch);
    if (fd < 0) {
        free(path);
        path = NULL;
    }
    return path;
}

static int write_tree(const struct git_place *place, const char *scratch,
                      char hex[GIT_TREE_HEX + 1], struct err *err)
{
    static const char *const args[] = {"write-tree", NULL};
    struct buf out = BUF_INIT;
    char *copy = scratch_name(scratch, err);
    if (!copy)
        return -(int)ERR_SYSTEM;
    /* A repository of no commits may have none: git takes an index that is not there for empty. */
    int rc = 0;
    if (access(place->index, F_OK) == 0)
        rc = copy_index(place, copy, err);
    else
        unlink(copy);
    if (rc == 0) {
        struct git_command command = {.place = place, .args = args, .index = copy};
        rc = git_command_run(&command, &out, err);
    }
    if (rc == 0)
        rc = take_hex(&out, hex, err);
    unlink(copy);
    free(copy);
    buf_release(&out);
    return rc;
}

int git_tree_of_index(const struct git_place *place, const char *scratch,
                      char hex[GIT_TREE_HEX + 1], struct err *err)
{
    struct git_index_tree tree;
    size_t n = id_size(place);
    switch (look(place, n, &tree)) {
    case GIT_INDEX_TREE: to_hex(tree.id, n, hex); return 0;
    case GIT_INDEX_UNMERGED: {
        struct buf shown = BUF_INIT;
        buf_add_shown(&shown, tree.path, strlen(tree.path));
        int rc = err_set(err, ERR_CONFIG,
                         "\"%s\" is not merged yet; resolve it and \"git add\" it, then commit",
                         buf_str(&shown));
        buf_release(&shown);
        return rc;
    }
    case GIT_INDEX_DAMAGED: /* git would take it as it is */
        return err_set(err, ERR_CONFIG,
                       "%s is damaged: its checksum is not that of what it holds; move it away, "
                       "\"git reset\" makes it anew from HEAD, then \"git add\" again",
                       place->index);
    case GIT_INDEX_NONE:
    case GIT_INDEX_STRANGE: break;
    }
    return write_tree(place, scratch, hex, err);
}

int git_tree_of_commit(const struct git_place *place, const char *name, char hex[GIT_TREE_HEX + 1],
                       struct err *err)
{
    struct buf out = BUF_INIT;
    char *tree = mem_printf("%s^{tree}", name);
    const char *const args[] = {"rev-parse", "--verify", tree, NULL};
    struct git_command command = {.place = place, .args = args};
    int rc = git_command_run(&command, &out, err);
    if (rc == 0)
        rc = take_hex(&out, hex, err);
    free(tree);
    buf_release(&out);
    return rc;
}

int git_tree_has(const struct git_place *place, const char *hex, const char *path, bool *has,
                 struct err *err)
{
    const char *const args[] = {
        "--literal-pathspecs", "ls-tree", "--full-tree", "--name-only", hex, "--", path, NULL};
    struct buf out = BUF_INIT;
    struct git_command command = {.place = place, .args = args};
    int rc = git_command_run(&command, &out, err);
    *has = rc == 0 && out.len > 0;
    buf_release(&out);
    return rc;
}

int git_tree_checkout(const struct git_place *place, const char *hex, const char *dir,
                      const char *index, const char *const *keep, size_t n_keep, struct err *err)
{
    const char *const read_tree[] = {"read-tree", "--reset", "-u", "--no-sparse-checkout",
                                     hex,         NULL};
    if (file_mkdirs(dir, 0700, err) != 0)
        return -(int)ERR_SYSTEM;
    /* One that a killed git has left; nobody else has a right to it. */
    char *lock = mem_printf("%s.lock", index);
    unlink(lock);
    free(lock);
    struct git_command command = {
        .place = place, .args = read_tree, .work_tree = dir, .index = index};
    int rc = git_command_run(&command, NULL, err);
    if (rc != 0) { /* an index that can't be read, perhaps */
        unlink(index);
        err_release(err);
        rc = git_command_run(&command, NULL, err);
    }
    VEC(const char *) clean = VEC_INIT;
    static const char *const words[] = {"clean", "-ffdxq"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        vec_push(&clean, words[i]);
    for (size_t i = 0; i < n_keep; i++) {
        vec_push(&clean, "-e");
        vec_push(&clean, keep[i]);
    }
    vec_push(&clean, NULL);
    command.args = clean.v;
    if (rc == 0)
        rc = git_command_run(&command, NULL, err);
    vec_release(&clean);
    return rc;
}
