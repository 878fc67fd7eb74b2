/*
 * kin.h - what runs below the warden, and to which execution it belongs.
 *
 * Whose is it? A main process is the leader of its own session. What stays in that session is told
 * by it; what has left it is told, while its ancestors live, by them. Only an orphan - a child of
 * the warden that is no main process - in a session of its own needs more: a member of its session
 * that is known, an output that is an execution's pipe, or there being only one execution that is
 * old enough. What is still anybody's is killed when all executions have ended that were running
 * when it was first seen. So a process of a running execution is never killed for another one's
 * end.
 *
 * Used by the warden only: a table in memory set aside beforehand, no allocation. Processes are
 * neither signalled nor reaped here.
 */
#ifndef KILN_RUNNERS_KIN_H
#define KILN_RUNNERS_KIN_H

#include "runners/survey.h"

#include <stdbool.h>

#define KIN_JOBS     4096
#define KIN_CHILDREN 65536

enum job_state { JOB_FREE = 0, JOB_RUNNING, JOB_ENDED };

/* One execution. Ended: its main process is a zombie, kept as one so that its pid, group and
 * session stay its own until all is over. */
struct job {
    enum job_state state;
    bool hurried;  /* told to end */
    bool lenient;  /* TERM has been sent: what is left has until KILL comes */
    bool terminal; /* its input is one, which goes with it: HUP beside TERM, as shells want it */
    pid_t pid;
    uint64_t id;
    uint64_t born; /* 0 = not looked up yet */
    uint64_t ended_ns;
    uint64_t cpu_us; /* of its strays that are gone; memory: of the largest of them, in KiB */
    uint64_t memory_kib;
    struct survey_file streams[2];
};

/* An orphan: a child that is no main process. Sure to be the same process until we reap it. */
struct stray {
    pid_t pid;
    uint64_t owner;  /* the job's id; 0 = can be anybody's ... */
    uint64_t newest; /* ... that is not newer than this one */
    bool killed;
    bool immune; /* runs as somebody else: cannot be killed, so nobody waits for it */
};

struct kin {
    struct job jobs[KIN_JOBS];
    size_t n_jobs;                     /* highest one in use + 1 */
    struct stray strays[KIN_CHILDREN]; /* by pid */
    size_t n_strays;
    pid_t children[KIN_CHILDREN]; /* as last listed */
    size_t n_children;
    struct survey survey;
};

/* Returns the running or ended job, or NULL. */
struct job *kin_find_job(struct kin *kin, uint64_t id);
struct job *kin_job_of_main(struct kin *kin, pid_t pid);
/* Returns a place for a new job, or NULL when there are too many. */
struct job *kin_free_job(struct kin *kin);
/* Returns the orphan, NULL when it is not known yet. */
struct stray *kin_find_stray(struct kin *kin, pid_t pid);
void kin_drop_stray(struct kin *kin, pid_t pid);

/* Takes a survey and the list of children, and finds out who owns what: every process of the
 * survey, and every orphan, which is known from now on. */
void kin_attribute(struct kin *kin);
/* Gives what only one is left for, of those that it can belong to, to that one. */
void kin_narrow(struct kin *kin);
/* Is it the orphan's time to go? */
bool kin_condemned(struct kin *kin, const struct stray *stray);

#endif
