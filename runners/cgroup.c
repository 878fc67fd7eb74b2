#include "runners/cgroup.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_proc(const char *root, const char *name, struct buf *out)
{
    char *path = mem_printf("%s/proc/self/%s", root, name);
    bool ok = file_read(path, 1 << 22, out, NULL) == 0;
    free(path);
    return ok;
}

/* Whether word is one of a list's, between commas or blanks. */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p; p += strcspn(p, ", \n"), p += strspn(p, ", \n")) {
        if (!strncmp(p, word, n) && strchr(", \n", p[n]))
            return true;
    }
    return false;
}

/* A line of /proc/self/mountinfo that is about a hierarchy. */
struct mount {
    const char *root, *point, *type, *options; /* options: the superblock's */
};

/* Takes the line apart in place; false when it is about something else:
 * "36 35 0:30 /root /point rw,noatime shared:1 - cgroup cgroup rw,memory". */
static bool parse_mount(char *line, struct mount *out)
{
    const char *word[5];
    char *rest = strstr(line, " - ");
    if (!rest)
        return false;
    *rest = '\0';
    rest += 3;
    for (size_t i = 0; i < 5; i++) {
        word[i] = line;
        line += strcspn(line, " ");
        if (*line)
            *line++ = '\0';
    }
    char *type = rest;
    rest += strcspn(rest, " ");
    if (*rest)
        *rest++ = '\0';
    rest += strcspn(rest, " "); /* the source */
    *out = (struct mount){word[3], word[4], type, rest + strspn(rest, " ")};
    return !strcmp(type, "cgroup") || !strcmp(type, "cgroup2");
}

enum cgroup_mode cgroup_mode(const char *root)
{
    struct buf text = BUF_INIT;
    struct mount mount;
    bool v1 = false, v2 = false;
    char *next = NULL;
    if (read_proc(root, "mountinfo", &text) && text.len) {
        for (char *line = strtok_r(text.data, "\n", &next); line;
             line = strtok_r(NULL, "\n", &next)) {
            if (parse_mount(line, &mount))
                *(strcmp(mount.type, "cgroup2") ? &v1 : &v2) = true;
        }
    }
    buf_release(&text);
    return v1 && v2 ? CGROUP_HYBRID : v1 ? CGROUP_V1 : v2 ? CGROUP_V2 : CGROUP_NONE;
}

/* Our path in the hierarchy of that controller (NULL: of version 2); new string, or NULL. */
static char *own_path(const char *root, const char *controller)
{
    struct buf text = BUF_INIT;
    char *found = NULL, *next = NULL;
    if (read_proc(root, "cgroup", &text) && text.len) {
        /* "4:memory:/path", "0::/path" */
        for (char *line = strtok_r(text.data, "\n", &next); line && !found;
             line = strtok_r(NULL, "\n", &next)) {
            char *list = strchr(line, ':');
            char *path = list ? strchr(list + 1, ':') : NULL;
            if (!path)
                continue;
            *path++ = '\0';
            if (controller ? listed(list + 1, controller) : !strncmp(line, "0:", 2) && !list[1])
                found = mem_strdup(path);
        }
    }
    buf_release(&text);
    return found;
}

/* The directory of the group at path where a mount shows the hierarchy from its root on; NULL when
 * it doesn't show that group. */
static char *place(const struct mount *mount, const char *path)
{
    const char *below = path;
    if (strcmp(mount->root, "/") != 0) {
        size_t n = strlen(mount->root);
        if (strncmp(path, mount->root, n) != 0 || (path[n] && path[n] != '/'))
            return NULL;
        below = path + n;
    }
    return mem_printf("%s%s", mount->point, strcmp(below, "/") ? below : "");
}

static bool controls(const char *root, const char *dir, const char *controller)
{
    struct buf text = BUF_INIT;
    char *path = mem_printf("%s%s/cgroup.controllers", root, dir);
    bool yes = file_read(path, 1 << 16, &text, NULL) == 0 && listed(buf_str(&text), controller);
    free(path);
    buf_release(&text);
    return yes;
}

bool cgroup_find(const char *root, const char *controller, struct cgroup_place *out)
{
    struct buf text = BUF_INIT;
    struct mount mount;
    char *next = NULL, *v1 = own_path(root, controller), *v2 = own_path(root, NULL);
    *out = (struct cgroup_place){0};
    if (read_proc(root, "mountinfo", &text) && text.len) {
        for (char *line = strtok_r(text.data, "\n", &next); line && !out->dir;
             line = strtok_r(NULL, "\n", &next)) {
            if (!parse_mount(line, &mount))
                continue;
            bool second = !strcmp(mount.type, "cgroup2");
            const char *path = second ? v2 : v1;
            if (!path || (!second && !listed(mount.options, controller)))
                continue;
            out->dir = place(&mount, path);
            out->version = second ? 2 : 1;
            if (second && out->dir && !controls(root, out->dir, controller)) {
                free(out->dir);
                out->dir = NULL;
            }
        }
    }
    if (out->dir) {
        char *real = mem_printf("%s%s", root, out->dir);
        out->writable = access(real, W_OK) == 0;
        free(real);
    }
    free(v1);
    free(v2);
    buf_release(&text);
    return out->dir;
}
