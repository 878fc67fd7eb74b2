#include "cache/box_changes.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As overlayfs marks a directory that shows nothing of those below, mounted with "userxattr". */
#define OPAQUE_XATTR "user.overlay.opaque"

/* A directory of the layer that is still to be gone through. */
struct folder {
    const char *path;
    struct digest was; /* of the directory below it; null: there is none */
    bool opaque;       /* nothing of that shows */
};

struct find {
    const struct trees *trees;
    struct box_changes *out;
    box_wants_cb *wants;
    void *ctx;
    size_t new; /* files listed */
    VEC(struct folder) todo;
    struct tree_dir below; /* of the folder being gone through */
    const char *prefix;    /* of what removed_cb() gets */
    struct err *err;
};

/* -- what is found ----------------------------------------------------------------------------- */

static void add(struct find *find, const char *path, const struct file_state *was,
                const struct file_state *is, const char *problem)
{
    bool new = was->kind == FILE_ABSENT;
    if (new && ((find->wants && !find->wants(find->ctx, path)) || find->new >= BOX_CHANGES_NEW)) {
        find->out->more++;
        return;
    }
    find->new += new;
    vec_push(&find->out->v, (struct box_change){path, *was, *is, problem});
}

static const struct file_state absent = {.kind = FILE_ABSENT};

static struct file_state state_of(struct arena *arena, const struct tree_entry *entry)
{
    if (!entry || entry->kind == TREE_DIR)
        return absent;
    if (entry->kind == TREE_SYMLINK)
        return (struct file_state){.kind = FILE_LINK, .target = arena_strdup(arena, entry->target)};
    return (struct file_state){
        .kind = FILE_REGULAR, .executable = entry->executable, .digest = entry->digest};
}

static bool removed_cb(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct find *find = ctx;
    struct arena *arena = &find->out->arena;
    if (entry->kind != TREE_DIR) {
        struct file_state was = state_of(arena, entry);
        add(find, arena_printf(arena, "%s/%s", find->prefix, path), &was, &absent, NULL);
    }
    return true;
}

/* The entry of the tree at that path is hidden; of a directory all that is below. */
static int removed(struct find *find, const char *path, const struct tree_entry *entry)
{
    if (entry->kind == TREE_DIR) {
        find->prefix = path;
        return trees_walk(find->trees, &entry->digest, removed_cb, find, find->err);
    }
    struct file_state was = state_of(&find->out->arena, entry);
    add(find, path, &was, &absent, NULL);
    return 0;
}

/* -- the layer --------------------------------------------------------------------------------- */

static bool is_opaque(int fd)
{
    char value = 0;
    return fgetxattr(fd, OPAQUE_XATTR, &value, 1) == 1 && value == 'y';
}

static int by_name(const void *key, const void *entry)
{
    return strcmp(key, ((const struct tree_entry *)entry)->name);
}

static const struct tree_entry *entry_below(const struct find *find, const char *name)
{
    return find->below.n ? bsearch(name, find->below.entries, find->below.n,
                                   sizeof *find->below.entries, by_name)
                         : NULL;
}

/* A file that was there before is read, to be compared. */
static void look_at_file(struct find *find, int dirfd, const char *name, const char *path,
                         const struct file_state *was)
{
    struct arena *arena = &find->out->arena;
    struct file_state is;
    struct err why = ERR_INIT;
    if (take_look(dirfd, name, arena, &is, &why) < 0)
        add(find, path, was, &is, arena_printf(arena, "can't be read: %s", err_text(&why)));
    else if (!file_state_eq(was, &is))
        add(find, path, was, &is, NULL);
    err_release(&why);
}

static int look_at(struct find *find, int dirfd, const char *name, const char *path, bool opaque)
{
    struct arena *arena = &find->out->arena;
    const struct tree_entry *below = entry_below(find, name);
    struct file_state was = state_of(arena, below);
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(find->err, errno, "cannot look at %s", path);
    if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
        return below ? removed(find, path, below) : 0;
    if (S_ISDIR(st.st_mode)) {
        bool both = below && below->kind == TREE_DIR;
        vec_push(&find->todo,
                 (struct folder){path, both ? below->digest : (struct digest){.size = 0}, opaque});
        return below && !both ? removed(find, path, below) : 0;
    }
    int rc = below && below->kind == TREE_DIR ? removed(find, path, below) : 0;
    if (was.kind != FILE_ABSENT) {
        look_at_file(find, dirfd, name, path, &was);
    } else {
        struct file_state is = {.kind = S_ISREG(st.st_mode) ? FILE_REGULAR : FILE_OTHER,
                                .executable = st.st_mode & S_IXUSR};
        if (!S_ISLNK(st.st_mode) || take_look(dirfd, name, arena, &is, NULL) == 0)
            add(find, path, &was, &is, NULL);
    }
    return rc;
}

/* What an opaque directory does not show itself is gone. */
static int hidden(struct find *find, int fd, const struct folder *folder)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < find->below.n; i++) {
        const struct tree_entry *entry = &find->below.entries[i];
        if (faccessat(fd, entry->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
            char *path = path_join(folder->path, entry->name);
            rc = removed(find, arena_strdup(&find->out->arena, path), entry);
            free(path);
        }
    }
    return rc;
}

static int go_through(struct find *find, int fd, const struct folder *folder, bool opaque)
{
    DIR *dir = fdopendir(fd);
    int rc = 0;
    if (!dir) {
        rc = err_sys(find->err, errno, "cannot read %s", folder->path);
        close(fd);
        return rc;
    }
    if (opaque)
        rc = hidden(find, fd, folder);
    for (const struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *path = path_join(folder->path, entry->d_name);
        rc =
            look_at(find, dirfd(dir), entry->d_name, arena_strdup(&find->out->arena, path), opaque);
        free(path);
    }
    if (rc == 0 && errno)
        rc = err_sys(find->err, errno, "cannot read %s", folder->path);
    closedir(dir);
    return rc;
}

static int look_into(struct find *find, int upper_fd, const struct folder *folder)
{
    struct arena arena = ARENA_INIT;
    struct err why = ERR_INIT;
    int fd = -1, rc = 0;
    if (beneath_open(upper_fd, folder->path, false, &fd, &why) < 0) {
        struct file_state is = {.kind = FILE_OTHER};
        add(find, folder->path, &absent, &is,
            arena_printf(&find->out->arena, "can't be read: %s", err_text(&why)));
        err_release(&why);
        return *folder->path ? 0 : err_set(find->err, ERR_SYSTEM, "it can't be read");
    }
    find->below = (struct tree_dir){0};
    if (!digest_is_null(&folder->was))
        rc = trees_open(find->trees, &folder->was, &arena, &find->below, find->err);
    if (rc == 0)
        rc = go_through(find, fd, folder, folder->opaque || is_opaque(fd));
    else
        close(fd);
    arena_release(&arena);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct box_change *)a)->path, ((const struct box_change *)b)->path);
}

int box_changes_find(int upper_fd, const struct trees *trees, const struct digest *root,
                     box_wants_cb *wants, void *ctx, struct box_changes *out, struct err *err)
{
    struct find find = {.trees = trees, .out = out, .wants = wants, .ctx = ctx, .err = err};
    struct digest nothing = tree_empty();
    int rc = 0;
    vec_push(&find.todo, (struct folder){"", *root, false});
    if (digest_eq(root, &nothing))
        find.todo.v[0].was = (struct digest){.size = 0};
    while (rc == 0 && find.todo.n > 0) {
        struct folder folder = vec_pop(&find.todo);
        rc = look_into(&find, upper_fd, &folder);
    }
    vec_release(&find.todo);
    if (out->v.n > 1)
        qsort(out->v.v, out->v.n, sizeof *out->v.v, by_path);
    return rc;
}

void box_changes_release(struct box_changes *changes)
{
    vec_release(&changes->v);
    arena_release(&changes->arena);
    *changes = (struct box_changes){.arena = ARENA_INIT};
}
