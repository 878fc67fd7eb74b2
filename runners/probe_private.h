/* probe_private.h - what the files of probe*.c share. */
#ifndef KILN_RUNNERS_PROBE_PRIVATE_H
#define KILN_RUNNERS_PROBE_PRIVATE_H

#include "runners/probe.h"
#include "runners/probe_try.h"

/* Who asks, and where. */
struct probe_context {
    const char *root; /* before every file that is read */
    uid_t uid;
    gid_t gid;
    char *user;          /* owned; the uid where it has no name */
    bool container;      /* we are in one ourselves */
    bool no_new_privs;   /* setuid programs have no effect */
    bool filtered;       /* a seccomp filter is on us */
    struct try_ids ids;  /* that would be inside */
    bool range_is_given; /* root: by /etc/subuid */
};

void probe_context_init(struct probe_context *context, const char *root);
void probe_context_release(struct probe_context *context);
/* The first number in a file below root, or none where it can't be read. */
long long probe_setting(const struct probe_context *context, const char *path, long long none);

/* probe_kernel.c: what a trial came to, in words. trial NULL: nothing could be tried. */
void probe_userns(const struct probe_context *context, const struct trial *trial,
                  struct probe *probe);
void probe_mounts(const struct probe_context *context, const struct trial *trial,
                  struct probe *probe);
void probe_overlay(const struct probe_context *context, const struct trial *trial, const char *dir,
                   struct probe *probe);
void probe_kernel(const struct probe_context *context, const char *release, struct probe *probe);
/* probe_means.c: what is beside the kernel. */
void probe_runtime(const struct probe_context *context, const char *runtime, struct probe *probe);
void probe_init_program(const struct probe_context *context, struct probe *probe);
void probe_ids(const struct probe_context *context, struct probe *probe);
void probe_seccomp(const struct probe_context *context, struct probe *probe);
void probe_cgroups(const struct probe_context *context, struct probe *probe);

#endif
