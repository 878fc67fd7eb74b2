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
#include "runners/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "kiln-"
/* cpu.max and cpu.cfs_*: in microseconds. */
#define PERIOD_US 100000u

enum controller { MEMORY, PIDS, CPU, N_CONTROLLERS };

static const char *const controller_names[N_CONTROLLERS] = {"memory", "pids", "cpu"};

static char *read_in(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (file_read(path, 65536, &text, &err) < 0)
        buf_reset(&text);
    err_release(&err);
    free(path);
    return buf_detach(&text);
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

/* Where the group of version 2 goes, at or above our own: new string, or NULL. */
static char *find_parent(const char *own, const bool wanted[N_CONTROLLERS])
{
    char *path = mem_strdup(own);
    for (char *slash; (slash = strrchr(path, '/')) && slash > path; *slash = '\0') {
        if (access(path, W_OK) == 0 && hands_down(path, wanted))
            return path;
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

/* A group below parent, which its box joins; *dir is its directory, kept in cgroup. */
static int make_below(struct box_cgroup *cgroup, const char *parent, struct nest *nest,
                      const char **dir)
{
    int errnum = 0;
    sweep(parent);
    char *path = make_in(parent, &errnum);
    if (!path)
        return errnum;
    vec_push(&cgroup->paths, path);
    join(nest, path);
    *dir = path;
    return 0;
}

/* Returns 0, or an errno. */
static int make_all(struct box_cgroup *cgroup, const bool wanted[N_CONTROLLERS],
                    const struct box_limits *limits, struct nest *nest)
{
    const char *dir = NULL;
    bool unified = false;
    int errnum = 0;
    for (int i = 0; i < N_CONTROLLERS && !errnum; i++) {
        struct cgroup_place place;
        if (!wanted[i] || unified)
            continue;
        if (!cgroup_find("", controller_names[i], &place))
            return ENOENT;
        unified = place.version == 2; /* then one group has them all */
        char *parent = unified ? find_parent(place.dir, wanted) : mem_strdup(place.dir);
        errnum = parent ? make_below(cgroup, parent, nest, &dir) : EACCES;
        if (!errnum)
            errnum = unified ? limit_v2(dir, limits) : limit_v1(dir, (enum controller)i, limits);
        free(parent);
        free(place.dir);
    }
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
    int errnum = make_all(cgroup, wanted, limits, nest);
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
