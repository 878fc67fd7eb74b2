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

/* Whether a file of a group's names the controller. */
static bool names(const char *root, const char *dir, const char *file, const char *controller)
{
    struct buf text = BUF_INIT;
    char *path = mem_printf("%s%s/%s", root, dir, file);
    bool yes = file_read(path, 1 << 16, &text, NULL) == 0 && listed(buf_str(&text), controller);
    free(path);
    buf_release(&text);
    return yes;
}

static bool may_write(const char *root, const char *dir, const char *file)
{
    char *path = mem_printf("%s%s/%s", root, dir, file);
    bool yes = access(path, W_OK) == 0;
    free(path);
    return yes;
}

/* From our own group, in out->dir, to the one whose groups a box can be in; false when this
 * hierarchy has no such controller. */
static bool settle(const char *root, const char *top, const char *controller,
                   struct cgroup_place *out)
{
    char *dir = mem_strdup(out->dir);
    size_t n_top = strlen(top);
    for (char *slash; strlen(dir) >= n_top && (slash = strrchr(dir, '/')); *slash = '\0') {
        /* Who moves a process has to be let write to cgroup.procs of what is above both ends. */
        out->writable = may_write(root, dir, "") && may_write(root, dir, "cgroup.procs") &&
                        names(root, dir, "cgroup.subtree_control", controller);
        if (out->writable) {
            free(out->dir);
            out->dir = dir;
            return true;
        }
    }
    free(dir);
    bool own = names(root, out->dir, "cgroup.controllers", controller);
    out->crowded = own && may_write(root, out->dir, "") &&
                   may_write(root, out->dir, "cgroup.procs") &&
                   may_write(root, out->dir, "cgroup.subtree_control");
    out->writable = out->crowded;
    return own || names(root, top, "cgroup.controllers", controller);
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
            if (out->dir && !second) {
                out->writable = may_write(root, out->dir, "");
            } else if (out->dir && !settle(root, mount.point, controller, out)) {
                free(out->dir);
                *out = (struct cgroup_place){0};
            }
        }
    }
    free(v1);
    free(v2);
    buf_release(&text);
    return out->dir;
}

char *cgroup_service(const char *root)
{
    static const char slice[] = "/system.slice/", kind[] = ".service";
    char *path = own_path(root, NULL), *name = NULL;
    const char *rest = path && !strncmp(path, slice, strlen(slice)) ? path + strlen(slice) : "";
    for (; *rest && !name; rest += strcspn(rest, "/"), rest += *rest == '/') {
        size_t n = strcspn(rest, "/"), n_kind = strlen(kind);
        if (n > n_kind && !memcmp(rest + n - n_kind, kind, n_kind))
            name = mem_printf("%.*s", (int)n, rest);
    }
    free(path);
    return name;
}
