#include "runners/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What getdents64(2) fills in; readdir(3) allocates. */
struct entry {
    uint64_t ino;
    int64_t off;
    unsigned short len;
    unsigned char type;
    char name[];
};

/* Reads digits; moves *at behind them. False when there is none. */
static bool number(const char **at, uint64_t *value)
{
    const char *p = *at;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    bool some = p != *at;
    *at = p;
    *value = v;
    return some;
}

/* Writes "/proc/PID" and the tail. No printf: it may allocate. */
static void proc_path(char out[64], pid_t pid, const char *tail)
{
    char digits[16];
    size_t n = 0;
    for (unsigned p = (unsigned)pid; n == 0 || p; p /= 10)
        digits[n++] = (char)('0' + p % 10);
    char *at = out;
    memcpy(at, "/proc/", 6);
    at += 6;
    while (n)
        *at++ = digits[--n];
    memcpy(at, tail, strlen(tail) + 1);
}

/* Parses "PID (any name) S PPID PGRP SESSION ...", of which the 14th field to the 17th are
 * processor time, the 22nd the time of birth, the 24th the memory. */
static bool parse_stat(const char *text, struct survey_process *process)
{
    const char *at = strrchr(text, ')');
    uint64_t fields[25] = {0};
    if (!at)
        return false;
    at++;
    for (size_t field = 3; field <= 24; field++) {
        while (*at == ' ' || *at == '-')
            at++;
        if (field == 3)
            at += *at != 0;
        else if (!number(&at, &fields[field]))
            return false;
    }
    process->ppid = (pid_t)fields[4];
    process->pgid = (pid_t)fields[5];
    process->sid = (pid_t)fields[6];
    process->born = fields[22];
    process->ticks = fields[14] + fields[15] + fields[16] + fields[17];
    process->pages = fields[24];
    process->owner = 0;
    return true;
}

static bool read_process(pid_t pid, struct survey_process *process)
{
    char path[64], text[1024];
    proc_path(path, pid, "/stat");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    process->pid = pid;
    return parse_stat(text, process);
}

int survey_init(struct survey *survey)
{
    struct survey_process self;
    survey->self = getpid();
    if (!read_process(survey->self, &self))
        return -1;
    survey->self_born = self.born;
    survey->children = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    return 0;
}

/* The kernel lists pids in ascending order, so this hardly ever moves anything. */
static void insert(struct survey *survey, const struct survey_process *process)
{
    size_t i = survey->n;
    if (i == SURVEY_PROCESSES)
        return;
    while (i > 0 && survey->v[i - 1].pid > process->pid)
        i--;
    memmove(&survey->v[i + 1], &survey->v[i], (survey->n - i) * sizeof survey->v[0]);
    survey->v[i] = *process;
    survey->n++;
}

void survey_take(struct survey *survey)
{
    survey->n = 0;
    int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return;
    for (;;) {
        long got = syscall(SYS_getdents64, dir, survey->buffer, sizeof survey->buffer);
        if (got <= 0)
            break;
        for (long at = 0; at < got;) {
            const struct entry *entry = (const void *)(survey->buffer + at);
            const char *name = entry->name;
            uint64_t pid;
            struct survey_process process;
            /* What is older than the warden cannot descend from it. */
            if (number(&name, &pid) && !*name && read_process((pid_t)pid, &process) &&
                process.born >= survey->self_born)
                insert(survey, &process);
            at += entry->len;
        }
    }
    close(dir);
}

struct survey_process *survey_find(struct survey *survey, pid_t pid)
{
    size_t low = 0, high = survey->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->v[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < survey->n && survey->v[low].pid == pid ? &survey->v[low] : NULL;
}

void survey_spread(struct survey *survey)
{
    for (size_t i = 0; i < survey->n; i++) {
        struct survey_process *above = &survey->v[i];
        /* Up to the first one that has an owner; the limit is for pids recycled into a circle while
         * we looked. */
        for (size_t depth = 0; above && above->owner == 0 && depth < survey->n; depth++)
            above = above->ppid == survey->self ? NULL : survey_find(survey, above->ppid);
        if (!above || above->owner == 0)
            continue;
        uint64_t owner = above->owner;
        for (above = &survey->v[i]; above && above->owner == 0;
             above = survey_find(survey, above->ppid))
            above->owner = owner;
    }
}

/* The list is stable while it is read: children leave it only when the caller reaps them, new ones
 * come last. */
static size_t read_list(struct survey *survey, pid_t *pids, size_t max)
{
    size_t n = 0;
    uint64_t pid = 0;
    bool digits = false;
    off_t at = 0;
    for (;;) {
        ssize_t got = pread(survey->children, survey->buffer, sizeof survey->buffer, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return n;
        at += got;
        for (ssize_t i = 0; i < got; i++) {
            char c = survey->buffer[i];
            if (c >= '0' && c <= '9') {
                pid = pid * 10 + (uint64_t)(c - '0');
                digits = true;
            } else if (digits) {
                if (n == max)
                    return n;
                pids[n++] = (pid_t)pid;
                pid = 0;
                digits = false;
            }
        }
    }
}

size_t survey_children(struct survey *survey, pid_t *pids, size_t max)
{
    if (survey->children >= 0)
        return read_list(survey, pids, max);
    size_t n = 0;
    survey_take(survey);
    for (size_t i = 0; i < survey->n && n < max; i++)
        if (survey->v[i].ppid == survey->self)
            pids[n++] = survey->v[i].pid;
    return n;
}

struct survey_file survey_stream(pid_t pid, int stream)
{
    char path[64];
    struct stat st;
    proc_path(path, pid, stream == 1 ? "/fd/1" : "/fd/2");
    if (stat(path, &st) != 0)
        return (struct survey_file){0, 0};
    return (struct survey_file){st.st_dev, st.st_ino};
}
