/*
 * box_cgroup.c - limits of memory, processes and processor time by control groups, in version 2
 * where its controllers are at hand, else in version 1 (cgroups(7)).
 *
 * Version 2: a new group beside or above kiln's own, below the nearest directory that kiln may
 * write to and that hands the controllers down; where kiln was given its own group alone (a
 * service with Delegate=, a container), below that one, whose processes all move into a group
 * beside the boxes' then: one with processes hands nothing down. Version 1: below kiln's own group
 * of each hierarchy. A group has its maker's pid in its name; what a killed kiln leaves is empty,
 * and taken away by the next one.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/cgroup.h"
#include "runners/probe.h"

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
/* Where the processes of a group go that is to hand controllers down. */
#define OTHERS "kiln-others"
/* How often to look for processes that were forked meanwhile. */
#define ROUNDS 100
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

/* All that it has: a later box may have other limits. */
static int hand_down(const char *dir)
{
    char *there = read_in(dir, "cgroup.controllers");
    struct buf wish = BUF_INIT;
    for (int i = 0; i < N_CONTROLLERS; i++) {
        if (has_word(there, controller_names[i]))
            buf_addf(&wish, "%s+%s", wish.len ? " " : "", controller_names[i]);
    }
    int errnum = write_in(dir, "cgroup.subtree_control", buf_str(&wish));
    buf_release(&wish);
    free(there);
    return errnum;
}

/* A process that is gone already, and one of a pid namespace that we cannot see, stay as they are.
 */
static void move_processes(const char *from, const char *to)
{
    char *pids = read_in(from, "cgroup.procs"), *next = NULL;
    for (char *pid = pids ? strtok_r(pids, "\n", &next) : NULL; pid;
         pid = strtok_r(NULL, "\n", &next)) {
        if (strcmp(pid, "0") != 0)
            (void)write_in(to, "cgroup.procs", pid);
    }
    free(pids);
}

/* Has a group of our own hand its controllers down. */
static int make_room(const char *dir)
{
    int errnum = hand_down(dir);
    if (errnum != EBUSY)
        return errnum;
    char *others = path_join(dir, OTHERS);
    if (mkdir(others, 0755) < 0 && errno != EEXIST)
        errnum = errno;
    for (int i = 0; errnum == EBUSY && i < ROUNDS; i++) {
        move_processes(dir, others);
        errnum = hand_down(dir);
    }
    free(others);
    return errnum;
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

/* One group of version 2 has all of these limits. */
static int make_v2(struct box_cgroup *cgroup, const struct cgroup_place *place,
                   const struct box_limits *limits, struct nest *nest)
{
    const char *dir = NULL;
    int errnum = place->crowded ? make_room(place->dir) : 0;
    if (!errnum)
        errnum = make_below(cgroup, place->dir, nest, &dir);
    return errnum ? errnum : limit_v2(dir, limits);
}

static void take_limit(struct box_limits *out, enum controller controller,
                       const struct box_limits *from)
{
    switch (controller) {
    case MEMORY: out->memory = from->memory; break;
    case PIDS: out->pids = from->pids; break;
    default: out->cpu_milli = from->cpu_milli; break;
    }
}

/* Returns 0, or an errno. */
static int make_all(struct box_cgroup *cgroup, const bool wanted[N_CONTROLLERS],
                    const struct box_limits *limits, struct nest *nest)
{
    struct cgroup_place highest = {0};
    struct box_limits unified = {0};
    int errnum = 0;
    for (int i = 0; i < N_CONTROLLERS && !errnum; i++) {
        struct cgroup_place place;
        const char *dir = NULL;
        if (!wanted[i])
            continue;
        if (!cgroup_find("", controller_names[i], &place)) {
            errnum = ENOENT;
        } else if (!place.writable) {
            errnum = EACCES;
        } else if (place.version == 1) {
            errnum = make_below(cgroup, place.dir, nest, &dir);
            if (!errnum)
                errnum = limit_v1(dir, (enum controller)i, limits);
        } else {
            take_limit(&unified, (enum controller)i, limits);
            if (!highest.dir || strlen(place.dir) < strlen(highest.dir)) {
                struct cgroup_place lower = highest;
                highest = place;
                place = lower;
            }
        }
        free(place.dir);
    }
    if (!errnum && highest.dir)
        errnum = make_v2(cgroup, &highest, &unified, nest);
    free(highest.dir);
    return errnum;
}

static int refuse(const bool wanted[N_CONTROLLERS], int errnum, struct err *err)
{
    struct buf names = BUF_INIT, remedy = BUF_INIT;
    for (int i = 0; i < N_CONTROLLERS; i++) {
        if (wanted[i])
            buf_addf(&names, "%s%s", names.len ? ", " : "", controller_names[i]);
    }
    probe_limits(&remedy);
    int rc = err_set(err, ERR_SYSTEM,
                     "its limits (%s) need a control group that kiln may make, and there is none "
                     "here: %s. Leave the limits out, or: %s",
                     buf_str(&names), strerror(errnum), buf_str(&remedy));
    buf_release(&names);
    buf_release(&remedy);
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
