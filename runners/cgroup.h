/*
 * cgroup.h - where this process is in the kernel's control groups: what a limit for a box can be
 * made of.
 *
 * A controller is in the one hierarchy of version 2, or in one of version 1, or in none; "hybrid"
 * is both kinds at once. Read from /proc/self/cgroup and /proc/self/mountinfo, below a root that is
 * "" but in tests. Thread safe.
 */
#ifndef KILN_RUNNERS_CGROUP_H
#define KILN_RUNNERS_CGROUP_H

#include <stdbool.h>

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

/* Which of them are mounted. */
enum cgroup_mode cgroup_mode(const char *root);

/* Where a group for a box goes. Of version 1: below our own group. Of version 2: below the nearest
 * group at or above ours that we may change and that hands the controller down; where there is
 * none, below our own if that was given to us with the controller. Of two controllers of version 2
 * the place that is higher up hands both down. */
struct cgroup_place {
    int version;   /* 1 or 2 */
    char *dir;     /* absolute; freed by the caller */
    bool writable; /* groups can be made in it */
    bool crowded;  /* but it hands nothing down as long as processes are in it, as we are */
};

/* The place as far as that controller ("memory", "pids", "cpu") goes; false when nothing that is
 * mounted here has it. */
bool cgroup_find(const char *root, const char *controller, struct cgroup_place *out);

/* The name of the system's service that this process belongs to ("runner.service"), by its group of
 * version 2; new string, or NULL. */
char *cgroup_service(const char *root);

#endif
