/* system_tree.c - see system_tree.h. Level by level, each directory's names sorted: so what is left
 * out is what lies deepest, and the same each time. */
#include "engine/system_tree.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_IN_ONE 800

typedef VEC(char *) names;

static void clear(names *list)
{
    vec_each (char *, name, list)
        free(*name);
    list->n = 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* False when there are more than that. */
static bool list(DIR *dir, size_t most, names *out)
{
    bool few = true;
    for (const struct dirent *entry; few && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        few = out->n < most;
        if (few)
            vec_push(out, mem_strdup(entry->d_name));
    }
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_name);
    return few;
}

/* True for a directory on the same file system, which a link never is: others may be slow. */
static bool outline_entry(int dirfd, dev_t dev, const char *name, struct buf *out)
{
    struct stat st;
    char target[PATH_MAX];
    ssize_t n = -1;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    bool goes_on = S_ISDIR(st.st_mode) && st.st_dev == dev;
    if (S_ISLNK(st.st_mode)) {
        n = readlinkat(dirfd, name, target, sizeof target);
        (void)fstatat(dirfd, name, &st, 0); /* one that leads nowhere counts itself */
    }
    const int64_t numbers[] = {S_ISDIR(st.st_mode) ? 0 : st.st_size, st.st_mtim.tv_sec,
                               st.st_mtim.tv_nsec};
    buf_add(out, name, strlen(name) + 1);
    buf_add(out, target, n > 0 ? (size_t)n : 0);
    buf_addc(out, '\0');
    buf_add(out, numbers, sizeof numbers);
    return goes_on;
}

/* Adds the directories in it to below. */
static void outline_dir(dev_t dev, const char *root, const char *path, size_t *left, names *below,
                        struct buf *out)
{
    names entries = VEC_INIT;
    char *full = mem_printf("%s%s", root, path);
    DIR *dir = *left ? opendir(full) : NULL;
    if (dir && list(dir, *left < MAX_IN_ONE ? *left : MAX_IN_ONE, &entries)) {
        *left -= entries.n;
        buf_add(out, path, strlen(path) + 1);
        vec_each (char *, name, &entries) {
            if (outline_entry(dirfd(dir), dev, *name, out))
                vec_push(below, path_join(path, *name));
        }
    } else if (entries.n == *left) {
        *left = 0;
    }
    if (dir)
        closedir(dir);
    clear(&entries);
    vec_release(&entries);
    free(full);
}

void system_tree_outline(const char *root, const char *path, size_t *left, struct buf *out)
{
    names level = VEC_INIT, below = VEC_INIT;
    struct stat st;
    char *top = mem_printf("%s%s", root, path);
    if (stat(top, &st) == 0) {
        const int64_t times[] = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        buf_add(out, times, sizeof times);
        vec_push(&level, mem_strdup(path));
    }
    free(top);
    for (int depth = 1; depth <= SYSTEM_TREE_DEPTH && level.n; depth++) {
        vec_each (char *, dir, &level)
            outline_dir(st.st_dev, root, *dir, left, &below, out);
        names swap = level;
        level = below;
        below = swap;
        clear(&below);
    }
    clear(&level);
    vec_release(&level);
    vec_release(&below);
}
