/*
 * box_cgroup.c - limits of memory, processes and processor time by control groups, in version 2
 * where its controllers are at hand, else in version 1 (cgroups(7)).
 *
 * Version 2: a new group beside or above kiln's own, below the nearest directory that kiln may
 * write to and that hands the controllers down. Version 1: below kiln's own group of each
 * hierarchy. A group has its maker's pid in its name; what a killed kiln leaves is empty, and taken
 * away by the next one.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX  "kiln-"
#define V1_ROOT "/sys/fs/cgroup"
/* cpu.max and cpu.cfs_*: in microseconds. */
#define PERIOD_US 100000u

enum controller { MEMORY, PIDS, CPU, N_CONTROLLERS };

static const char *const controller_names[N_CONTROLLERS] = {"memory", "pids", "cpu"};

static char *read_text(const char *path)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (file_read(path, 65536, &text, &err) < 0)
        buf_reset(&text);
    err_release(&err);
    return buf_detach(&text);
}

static char *read_in(const char *dir, const char *name)
{
    char *path = path_join(dir, name), *text = read_text(path);
    free(path);
    return text;
}

static int write_in(const char *dir, const char *name, const char *text)
{
    char *path = path_join(dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int errnum = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    free(path);
    return errnum;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; at && *at; at += strcspn(at, " ,\n"), at += strspn(at, " ,\n")) {
        if (strcspn(at, " ,\n") == n && memcmp(at, word, n) == 0)
            return true;
    }
    return false;
}

/* The path of kiln's own group in the hierarchy of that controller ("" for version 2), from
 * /proc/self/cgroup; NULL when it is in none. */
static char *own_group(const char *table, const char *controller)
{
    for (const char *line = table; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *names = strchr(line, ':');
        const char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        size_t n_names = (size_t)(path - names - 1);
        char *list = mem_strndup(names + 1, n_names);
        bool found = *controller ? has_word(list, controller) : n_names == 0;
        free(list);
        if (found)
            return mem_strndup(path + 1, strcspn(path + 1, "\n"));
    }
    return NULL;
}

/* --- making groups --- */

static char *make_in(const char *parent, int *errnum)
{
    for (unsigned i = 0;; i++) {
        char *path = mem_printf("%s/" PREFIX "%d-%u", parent, (int)getpid(), i);
        if (mkdir(path, 0755) == 0)
            return path;
        *errnum = errno;
        free(path);
        if (*errnum != EEXIST)
            return NULL;
    }
}

/* What kilns that are gone left. */
static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int pid;
        if (sscanf(entry->d_name, PREFIX "%d-", &pid) != 1 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

static bool hands_down(const char *dir, const bool wanted[N_CONTROLLERS])
{
    char *names = read_in(dir, "cgroup.subtree_control");
    bool all = true;
    for (int i = 0; i < N_CONTROLLERS; i++)
        all = all && (!wanted[i] || has_word(names, controller_names[i]));
    free(names);
    return all;
}

/* Where the group of version 2 goes: new string, or NULL. */
static char *find_parent(const char *root, const char *own, const bool wanted[N_CONTROLLERS])
{
    char *path = mem_printf("%s%s", root, strcmp(own, "/") == 0 ? "" : own);
    for (;;) {
        if (access(path, W_OK) == 0 && hands_down(path, wanted))
            return path;
        char *slash = strrchr(path, '/');
        if (strlen(path) <= strlen(root) || !slash)
            break;
        *slash = '\0';
    }
    free(path);
    return NULL;
}

static void join(struct nest *nest, const char *dir)
{
    char *path = path_join(dir, "cgroup.procs");
    nest_write(nest, path, "0");
    free(path);
}

static int limit_v2(const char *dir, const struct box_limits *limits)
{
    char text[64];
    int errnum = 0;
    if (limits->memory) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)limits->memory);
        errnum = write_in(dir, "memory.max", text);
        (void)write_in(dir, "memory.swap.max", "0");  /* where there is swap at all */
        (void)write_in(dir, "memory.oom.group", "1"); /* all or nothing: no half-dead step */
    }
    if (!errnum && limits->pids) {
        snprintf(text, sizeof text, "%u", limits->pids);
        errnum = write_in(dir, "pids.max", text);
    }
    if (!errnum && limits->cpu_milli) {
        snprintf(text, sizeof text, "%llu %u",
                 (unsigned long long)limits->cpu_milli * PERIOD_US / 1000, PERIOD_US);
        errnum = write_in(dir, "cpu.max", text);
    }
    return errnum;
}

static int limit_v1(const char *dir, enum controller controller, const struct box_limits *limits)
{
    char text[64];
    if (controller == MEMORY) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)limits->memory);
        int errnum = write_in(dir, "memory.limit_in_bytes", text);
        (void)write_in(dir, "memory.memsw.limit_in_bytes", text);
        return errnum;
    }
    if (controller == PIDS) {
        snprintf(text, sizeof text, "%u", limits->pids);
        return write_in(dir, "pids.max", text);
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)limits->cpu_milli * PERIOD_US / 1000);
    return write_in(dir, "cpu.cfs_quota_us", text); /* the period is PERIOD_US as it comes */
}

/* Returns 0, or an errno. */
static int make_v2(struct box_cgroup *cgroup, const char *root, const char *own,
                   const bool wanted[N_CONTROLLERS], const struct box_limits *limits,
                   struct nest *nest)
{
    int errnum = 0;
    char *parent = find_parent(root, own, wanted);
    if (!parent)
        return EACCES;
    sweep(parent);
    char *dir = make_in(parent, &errnum);
    free(parent);
    if (!dir)
        return errnum;
    vec_push(&cgroup->paths, dir);
    errnum = limit_v2(dir, limits);
    if (!errnum)
        join(nest, dir);
    return errnum;
}

static int make_v1(struct box_cgroup *cgroup, const char *table, enum controller controller,
                   const struct box_limits *limits, struct nest *nest)
{
    int errnum = ENOENT;
    char *own = own_group(table, controller_names[controller]);
    if (!own)
        return ENOENT;
    char *parent =
        mem_printf(V1_ROOT "/%s%s", controller_names[controller], strcmp(own, "/") == 0 ? "" : own);
    free(own);
    if (access(parent, F_OK) != 0) { /* a container sees its own group as the root */
        free(parent);
        parent = mem_printf(V1_ROOT "/%s", controller_names[controller]);
    }
    sweep(parent);
    char *dir = make_in(parent, &errnum);
    free(parent);
    if (!dir)
        return errnum;
    vec_push(&cgroup->paths, dir);
    errnum = limit_v1(dir, controller, limits);
    if (!errnum)
        join(nest, dir);
    return errnum;
}

static int refuse(const bool wanted[N_CONTROLLERS], int errnum, struct err *err)
{
    struct buf names = BUF_INIT;
    for (int i = 0; i < N_CONTROLLERS; i++) {
        if (wanted[i])
            buf_addf(&names, "%s%s", names.len ? ", " : "", controller_names[i]);
    }
    int rc = err_sys(err, errnum,
                     "its limits (%s) need a control group that kiln may make, and there is none "
                     "here (kiln doctor says more); start kiln with `systemd-run --user --scope "
                     "-p Delegate=yes kiln ...`, or leave the limits out",
                     buf_str(&names));
    buf_release(&names);
    return rc;
}

int box_cgroup_make(struct box_cgroup *cgroup, const struct box_limits *limits, struct nest *nest,
                    struct err *err)
{
    const bool wanted[N_CONTROLLERS] = {limits->memory > 0, limits->pids > 0,
                                        limits->cpu_milli > 0};
    *cgroup = (struct box_cgroup){.memory = wanted[MEMORY], .pids = wanted[PIDS]};
    if (!wanted[MEMORY] && !wanted[PIDS] && !wanted[CPU])
        return 0;
    char *table = read_text("/proc/self/cgroup");
    char *own = own_group(table, "");
    int errnum = ENOENT;
    if (own && access(V1_ROOT "/cgroup.controllers", F_OK) == 0) {
        errnum = make_v2(cgroup, V1_ROOT, own, wanted, limits, nest);
    } else {
        errnum = 0;
        for (int i = 0; i < N_CONTROLLERS && !errnum; i++) {
            if (wanted[i])
                errnum = make_v1(cgroup, table, (enum controller)i, limits, nest);
        }
    }
    free(own);
    free(table);
    if (!errnum)
        return 0;
    box_cgroup_remove(cgroup);
    return refuse(wanted, errnum, err);
}

/* --- afterwards --- */

/* The number behind a word in a file of "word number" lines, or of a number alone. */
static uint64_t number_in(const char *dir, const char *name, const char *word)
{
    char *text = read_in(dir, name);
    uint64_t value = 0;
    size_t n = strlen(word);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, n) == 0 && (n == 0 || line[n] == ' ')) {
            value = strtoull(line + n, NULL, 10);
            break;
        }
    }
    free(text);
    return value;
}

enum box_cause box_cgroup_cause(const struct box_cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->paths.n; i++) {
        const char *dir = cgroup->paths.v[i];
        if (cgroup->memory && (number_in(dir, "memory.events", "oom_kill") ||
                               number_in(dir, "memory.oom_control", "oom_kill")))
            return BOX_CAUSE_MEMORY;
        if (cgroup->pids && number_in(dir, "pids.events", "max"))
            return BOX_CAUSE_PIDS;
    }
    return BOX_CAUSE_NONE;
}

void box_cgroup_remove(struct box_cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->paths.n; i++) {
        char *dir = cgroup->paths.v[i];
        if (rmdir(dir) != 0 && errno == EBUSY) {
            (void)write_in(dir, "cgroup.kill", "1");
            (void)rmdir(dir); /* else the next kiln's sweep */
        }
        free(dir);
    }
    vec_release(&cgroup->paths);
}
