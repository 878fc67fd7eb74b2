#include "cache/git_place.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first line of a small file, or NULL. */
static char *first_line(const char *path)
{
    struct buf text = BUF_INIT;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || file_read(path, 65536, &text, NULL) != 0) {
        buf_release(&text);
        return NULL;
    }
    size_t n = strcspn(buf_str(&text), "\n");
    while (n > 0 && text.data[n - 1] == '\r')
        n--;
    buf_truncate(&text, n);
    return buf_detach(&text);
}

/* The variable as a path, relative ones from base; NULL when it is not set. */
static char *variable(const char *name, const char *base)
{
    const char *value = getenv(name);
    return value && *value ? path_join(base, value) : NULL;
}

static bool is_git_dir(const char *path)
{
    char *head = path_join(path, "HEAD");
    struct stat st;
    bool is = lstat(head, &st) == 0;
    free(head);
    return is;
}

/* What dir/.git is or names, or NULL. */
static char *git_dir_in(const char *dir)
{
    static const char mark[] = "gitdir: ";
    char *path = path_join(dir, ".git"), *found = NULL;
    char *line = first_line(path);
    if (line && strncmp(line, mark, strlen(mark)) == 0) {
        free(path);
        path = path_join(dir, line + strlen(mark));
    }
    if (is_git_dir(path))
        found = realpath(path, NULL);
    free(line);
    free(path);
    return found;
}

/* The nearest directory at or above root that has a git directory: that, and itself in *top. */
static char *look_upwards(const char *root, char **top)
{
    char *dir = realpath(root, NULL), *found = NULL;
    while (dir && !(found = git_dir_in(dir))) {
        char *slash = strrchr(dir, '/');
        if (!slash[1])
            break;
        slash[slash == dir] = '\0';
    }
    *top = found ? mem_strdup(dir) : NULL;
    free(dir);
    return found;
}

static char *common_of(const char *git_dir)
{
    char *named = variable("GIT_COMMON_DIR", git_dir);
    if (!named) {
        char *file = path_join(git_dir, "commondir");
        char *line = first_line(file);
        named = line ? path_join(git_dir, line) : mem_strdup(git_dir);
        free(line);
        free(file);
    }
    char *common = realpath(named, NULL);
    free(named);
    return common;
}

static bool find(const char *root, const char *cwd, struct git_place *place)
{
    char *top = NULL, *nearest = look_upwards(root, &top);
    char *named = variable("GIT_DIR", cwd), *tree = variable("GIT_WORK_TREE", cwd);
    place->git_dir = named ? realpath(named, NULL) : nearest ? mem_strdup(nearest) : NULL;
    /* With GIT_DIR alone git takes the current directory for the top; what is found around the
     * project is the same, wherever kiln was told to go. */
    bool same = nearest && place->git_dir && strcmp(nearest, place->git_dir) == 0;
    if (!tree)
        tree = mem_strdup(same ? top : cwd);
    place->work_tree = realpath(tree, NULL);
    place->common = place->git_dir ? common_of(place->git_dir) : NULL;
    place->index = variable("GIT_INDEX_FILE", place->work_tree ? place->work_tree : cwd);
    if (!place->index && place->git_dir)
        place->index = path_join(place->git_dir, "index");
    free(named);
    free(nearest);
    free(top);
    free(tree);
    return place->git_dir && place->work_tree && place->common;
}

/* Mostly there is no repository; else somebody says another. */
static void complain_of(const char *root, struct err *err)
{
    static const char *const names[] = {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"};
    struct buf said = BUF_INIT;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            buf_addf(&said, "%s%s is \"%s\"", said.len ? ", " : "", names[i], getenv(names[i]));
    if (said.len)
        err_set(err, ERR_CONFIG, "%s lies in no working tree of git's, as the environment says: %s",
                root, buf_str(&said));
    else
        err_set(err, ERR_CONFIG,
                "%s lies in no working tree of git's; \"git init\" makes one, and a hook is for "
                "what git commits",
                root);
    buf_release(&said);
}

int git_place_find(const char *root, struct git_place *out, struct err *err)
{
    *out = (struct git_place){0};
    char *cwd = getcwd(NULL, 0), *real = realpath(root, NULL);
    bool found = cwd && real && find(root, cwd, out) && path_is_below(real, out->work_tree);
    if (found) {
        size_t n = strlen(out->work_tree);
        const char *rest = real + (n > 1 ? n : 0);
        out->prefix = *rest && rest[1] ? mem_printf("%s/", rest + 1) : mem_strdup("");
    } else {
        complain_of(root, err);
        git_place_release(out);
    }
    free(cwd);
    free(real);
    return found ? 0 : -(int)ERR_CONFIG;
}

void git_place_release(struct git_place *place)
{
    free(place->git_dir);
    free(place->common);
    free(place->work_tree);
    free(place->index);
    free(place->prefix);
    *place = (struct git_place){0};
}
