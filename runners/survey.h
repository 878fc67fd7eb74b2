/*
 * survey.h - what runs below the warden: the processes of this machine, once through /proc.
 *
 * Used by the warden, and by usage.h: no allocation, all memory is the caller's and set aside
 * beforehand. What
 * it tells was true a moment ago; only the caller's own children, which nobody else reaps, are sure
 * to be still the same processes.
 */
#ifndef KILN_RUNNERS_SURVEY_H
#define KILN_RUNNERS_SURVEY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Processes beyond this are not seen; they come into view as the others go. */
#define SURVEY_PROCESSES 131072
#define SURVEY_BUFFER    65536

struct survey_process {
    pid_t pid, ppid, pgid, sid;
    uint64_t born;  /* clock ticks since boot, the kernel's own count */
    uint64_t ticks; /* of processor time, with that of the children that it has waited for */
    uint64_t pages; /* of memory, as it is now */
    uint64_t owner; /* the caller's: the execution it belongs to, 0 = not known; 0 after a survey */
};

struct survey_file {
    uint64_t device, inode;
};

struct survey {
    pid_t self;
    uint64_t self_born;
    int children; /* this thread's list of children, or -1 where the kernel has none */
    size_t n;
    struct survey_process v[SURVEY_PROCESSES]; /* by pid; only what is not older than the caller */
    char buffer[SURVEY_BUFFER];
};

/* Makes the zeroed struct ready for the calling process. Returns 0 or -1 (no usable /proc). */
int survey_init(struct survey *survey);
/* Looks at all processes. */
void survey_take(struct survey *survey);
/* Returns the process, or NULL. */
struct survey_process *survey_find(struct survey *survey, pid_t pid);
/* Gives every process without owner that of its parent, and so on down. */
void survey_spread(struct survey *survey);
/* Writes the pids of the caller's children, zombies too, at most max; returns how many. Takes a
 * survey where there is no list. */
size_t survey_children(struct survey *survey, pid_t *pids, size_t max);
/* What the process has as its stream 1 or 2; all zero when that is not to be known. */
struct survey_file survey_stream(pid_t pid, int stream);

#endif
