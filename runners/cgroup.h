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

struct cgroup_place {
    int version;   /* 1 or 2 */
    char *dir;     /* absolute: our own group's directory; freed by the caller */
    bool writable; /* groups can be made in it */
};

/* Our own group as far as that controller ("memory", "pids", "cpu") goes; false when nothing that
 * is mounted here has it. */
bool cgroup_find(const char *root, const char *controller, struct cgroup_place *out);

#endif
