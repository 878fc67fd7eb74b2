/*
 * box_user.c - an image's user ("", "name", "1000", "name:group", "1000:1000"; OCI image
 * specification, config.User) looked up in the image's own /etc/passwd and /etc/group.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FILE ((size_t)4 << 20)

/* The fields of one line of passwd or group. */
#define MAX_FIELDS 7

struct line {
    const char *field[MAX_FIELDS];
    size_t n;
};

/* Splits the line at *at in place and moves behind it; false at the end. */
static bool next_line(char **at, struct line *line)
{
    char *text = *at;
    if (!*text)
        return false;
    char *end = text + strcspn(text, "\n");
    *at = *end ? end + 1 : end;
    *end = '\0';
    for (line->n = 0; line->n < MAX_FIELDS; line->n++) {
        line->field[line->n] = text;
        char *colon = strchr(text, ':');
        if (!colon) {
            line->n++;
            break;
        }
        *colon = '\0';
        text = colon + 1;
    }
    return true;
}

/* The file as the image shows it: that of the highest layer that has it, or hides it. */
static void read_file(const struct runner_box *box, const char *path, struct buf *out)
{
    for (size_t i = box->n_layers; i-- > 0;) {
        struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                               .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
        struct stat st;
        struct err err = ERR_INIT;
        int dir = open(box->layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
        bool hidden =
            dir >= 0 && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode);
        bool there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
        if (there && file_read_fd(fd, path, MAX_FILE, out, &err) < 0)
            buf_reset(out);
        err_release(&err);
        if (fd >= 0)
            close(fd);
        if (dir >= 0)
            close(dir);
        if (there || (hidden && S_ISCHR(st.st_mode)))
            return;
    }
}

static bool parse_id(const char *text, uint32_t *id)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > INT32_MAX)
        return false;
    *id = (uint32_t)value;
    return true;
}

/* Finds the user by name or id. An id without an entry is fine. */
static bool find_user(char *passwd, const char *wanted, struct box_user *out, char **name)
{
    struct line line;
    bool is_id = parse_id(wanted, &out->uid), found = false;
    while (!found && next_line(&passwd, &line)) {
        uint32_t uid, gid;
        if (line.n < 4 || !parse_id(line.field[2], &uid) || !parse_id(line.field[3], &gid))
            continue;
        if (is_id ? uid != out->uid : strcmp(line.field[0], wanted) != 0)
            continue;
        out->uid = uid;
        out->gid = gid;
        *name = mem_strdup(line.field[0]);
        if (line.n > 5 && *line.field[5] == '/')
            out->home = mem_strdup(line.field[5]);
        found = true;
    }
    return found || is_id;
}

static bool find_group(char *text, const char *wanted, uint32_t *gid)
{
    struct line line;
    uint32_t id;
    if (parse_id(wanted, gid))
        return true;
    while (next_line(&text, &line)) {
        if (line.n >= 3 && strcmp(line.field[0], wanted) == 0 && parse_id(line.field[2], &id)) {
            *gid = id;
            return true;
        }
    }
    return false;
}

static bool is_member(const char *members, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = members; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strcspn(at, ",") == n && memcmp(at, name, n) == 0)
            return true;
    }
    return false;
}

static void add_groups(char *text, const char *name, struct box_user *out)
{
    struct line line;
    uint32_t id;
    while (next_line(&text, &line)) {
        if (line.n >= 4 && is_member(line.field[3], name) && parse_id(line.field[2], &id) &&
            id != out->gid && out->groups.n < 1024)
            vec_push(&out->groups, id);
    }
}

int box_user_find(const struct runner_box *box, struct box_user *out, struct err *err)
{
    struct buf passwd = BUF_INIT, group = BUF_INIT;
    const char *spec = box->user ? box->user : "";
    const char *colon = strchr(spec, ':');
    char *user = colon ? mem_strndup(spec, (size_t)(colon - spec)) : mem_strdup(spec);
    char *name = NULL;
    int rc = 0;
    *out = (struct box_user){0};
    read_file(box, "etc/passwd", &passwd);
    read_file(box, "etc/group", &group);
    char *passwd_text = mem_strdup(buf_str(&passwd)), *group_text = mem_strdup(buf_str(&group));
    if (!find_user(passwd_text, *user ? user : "0", out, &name))
        rc = err_set(err, ERR_CONFIG,
                     "the image has no user \"%s\"; give its number, or one that its /etc/passwd "
                     "has",
                     user);
    if (rc == 0 && colon && !find_group(group_text, colon + 1, &out->gid))
        rc = err_set(err, ERR_CONFIG,
                     "the image has no group \"%s\"; give its number, or one that its /etc/group "
                     "has",
                     colon + 1);
    if (rc == 0 && !colon && name) {
        free(group_text);
        group_text = mem_strdup(buf_str(&group));
        add_groups(group_text, name, out);
    }
    free(passwd_text);
    free(group_text);
    free(user);
    free(name);
    buf_release(&passwd);
    buf_release(&group);
    if (rc < 0)
        box_user_release(out);
    return rc;
}

void box_user_release(struct box_user *user)
{
    vec_release(&user->groups);
    free(user->home);
    *user = (struct box_user){0};
}

int box_find_ids(const char *const *layers, size_t n, const char *user, uint32_t *uid,
                 uint32_t *gid, struct err *err)
{
    const struct runner_box box = {.layers = layers, .n_layers = n, .user = user};
    struct box_user found;
    if (box_user_find(&box, &found, err) < 0)
        return -(int)err->kind;
    *uid = found.uid;
    *gid = found.gid;
    box_user_release(&found);
    return 0;
}
