/* probe_kernel.c - the kernel's answers, and what stands behind a refusal. */
#include "runners/probe_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define OVERLAYFS_MAGIC 0x794c7630
#define NFS_MAGIC       0x6969

static const char nothing_isolated[] = "Steps can't be isolated: neither sandbox nor container.";

void probe_kernel(const struct probe_context *context, const char *release, struct probe *probe)
{
    unsigned major = 0, minor = 0;
    (void)context;
    probe->name = "kernel";
    buf_addf(&probe->found, "Linux %s", release);
    if (sscanf(release, "%u.%u", &major, &minor) != 2) /* NOLINT(cert-err34-c): checked by count */
        return;
    unsigned version = major * 1000 + minor;
    if (version < 5011) {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->means,
                 "Ordinary users can't mount overlays before Linux 5.11, so steps can't be "
                 "isolated.");
        buf_adds(&probe->remedy, "Use a newer kernel.");
    } else if (version < 5012) {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->means, "Mounts below the system's directories can't be made read-only "
                                "before Linux 5.12, so steps can't be isolated.");
        buf_adds(&probe->remedy, "Use a newer kernel.");
    }
}

/* -- user namespaces --------------------------------------------------------------------------- */

/* Who refuses them, by what is known to. Within another even root's are an ordinary user's. */
static void explain_userns(const struct probe_context *context, enum try_stage stage, int errnum,
                           struct probe *probe)
{
    bool ordinary = context->uid || stage == TRY_NESTED;
    if (probe_setting(context, "/proc/sys/kernel/unprivileged_userns_clone", 1) == 0 && ordinary) {
        buf_adds(&probe->remedy, "The setting kernel.unprivileged_userns_clone forbids them to "
                                 "ordinary users. To allow them, now and after a restart:");
        buf_adds(&probe->commands,
                 "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/50-kiln.conf\n"
                 "sudo sysctl --system\n");
    } else if (probe_setting(context, "/proc/sys/user/max_user_namespaces", 1) == 0 ||
               errnum == ENOSPC) {
        buf_addf(&probe->remedy,
                 "The limit user.max_user_namespaces is %lld. To raise it, now and after a "
                 "restart:",
                 probe_setting(context, "/proc/sys/user/max_user_namespaces", 0));
        buf_adds(&probe->commands,
                 "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/50-kiln.conf\n"
                 "sudo sysctl --system\n");
    } else if (probe_setting(context, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                             0) == 1 &&
               ordinary) {
        buf_adds(&probe->remedy,
                 "AppArmor takes their use away from programs without a profile "
                 "(kernel.apparmor_restrict_unprivileged_userns). To allow it to kiln alone, in a "
                 "file /etc/apparmor.d/kiln:");
        buf_adds(
            &probe->commands,
            "printf 'abi <abi/4.0>,\\nprofile kiln %s flags=(unconfined) {\\n  userns,\\n}\\n' "
            "\"$(command -v kiln)\" | sudo tee /etc/apparmor.d/kiln\n"
            "sudo apparmor_parser -r /etc/apparmor.d/kiln\n");
    } else if (context->container || context->filtered) {
        buf_adds(&probe->remedy,
                 "The container that kiln runs in forbids them. Have it started with these "
                 "options (podman and most CI services have the same or like ones):");
        buf_adds(&probe->commands,
                 "docker run --security-opt seccomp=unconfined --security-opt "
                 "apparmor=unconfined --security-opt systempaths=unconfined ...\n");
    } else if (errnum == EINVAL || errnum == ENOSYS) {
        buf_adds(&probe->remedy, "The kernel was built without them (CONFIG_USER_NS).");
    } else if (errnum == EPERM) {
        buf_adds(&probe->remedy, "In a chroot they can't be made; else a security module forbids "
                                 "them: its log says which.");
        buf_adds(&probe->commands, "sudo dmesg | tail\n");
    } else {
        buf_adds(&probe->remedy, "The kernel's log may say more.");
        buf_adds(&probe->commands, "sudo dmesg | tail\n");
    }
}

static void refused(struct probe *probe, const char *what, int errnum)
{
    probe->verdict = PROBE_MISSING;
    buf_addf(&probe->found, "%s: %s", what, strerror(errnum));
    buf_adds(&probe->means, nothing_isolated);
}

void probe_userns(const struct probe_context *context, const struct trial *trial,
                  struct probe *probe)
{
    static const struct {
        enum try_stage stage;
        const char *what;
    } stages[] = {{TRY_USER, "can't be made"},
                  {TRY_MAP, "can be made, but users can't be mapped into them"},
                  {TRY_MOUNTS, "can be made, but not used"}};
    probe->name = "user namespaces";
    if (!trial) {
        refused(probe, "could not be tried", EAGAIN);
        buf_adds(&probe->remedy, "Look at the limit of processes.");
        buf_adds(&probe->commands, "ulimit -u\n");
        return;
    }
    /* Where a security module takes the privileges away again, mounting shows it first. */
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (trial->errnum[stages[i].stage] > 0) {
            refused(probe, stages[i].what, trial->errnum[stages[i].stage]);
            explain_userns(context, stages[i].stage, trial->errnum[stages[i].stage], probe);
            return;
        }
    }
    if (trial->errnum[TRY_TMPFS] == EPERM || trial->errnum[TRY_TMPFS] == EACCES) {
        refused(probe, "can be made, but nothing can be mounted in them", trial->errnum[TRY_TMPFS]);
        explain_userns(context, TRY_TMPFS, trial->errnum[TRY_TMPFS], probe);
        return;
    }
    if (context->ids.count > 1)
        buf_addf(&probe->found, "uid 0 to %u in them are %u to %u here", context->ids.count - 1,
                 context->ids.uid, context->ids.uid + context->ids.count - 1);
    else
        buf_addf(&probe->found, "uid 0 in them is %s here", context->user);
    if (trial->errnum[TRY_NESTED] > 0) {
        probe->verdict = PROBE_MISSING;
        buf_addf(&probe->found, ", but none within another: %s",
                 strerror(trial->errnum[TRY_NESTED]));
        buf_adds(&probe->means, "The sandbox needs one within another.");
        explain_userns(context, TRY_NESTED, trial->errnum[TRY_NESTED], probe);
    }
}

void probe_mounts(const struct probe_context *context, const struct trial *trial,
                  struct probe *probe)
{
    probe->name = "mounts";
    if (!trial || trial->errnum[TRY_TMPFS] == TRY_NOT) {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->found, "not tried, as they need a user namespace");
        return;
    }
    if (trial->errnum[TRY_TMPFS]) {
        refused(probe, "no tmpfs", trial->errnum[TRY_TMPFS]);
        buf_adds(&probe->remedy, "See user namespaces.");
    } else if (trial->errnum[TRY_PROC]) {
        refused(probe, "no fresh /proc", trial->errnum[TRY_PROC]);
        if (context->container || trial->errnum[TRY_PROC] == EPERM) {
            buf_adds(&probe->remedy, "Parts of /proc are hidden here, as in a container, and then "
                                     "no other can be mounted. Have it started with:");
            buf_adds(&probe->commands, "docker run --security-opt systempaths=unconfined ...\n");
        }
    } else if (trial->errnum[TRY_NET] > 0) {
        refused(probe, "tmpfs and proc; no network of its own", trial->errnum[TRY_NET]);
        buf_adds(&probe->remedy, "The kernel needs CONFIG_NET_NS.");
    } else {
        buf_adds(&probe->found, "tmpfs, proc, a network with a loopback alone");
    }
}

/* -- overlay ----------------------------------------------------------------------------------- */

static void explain_overlay(const char *dir, int errnum, struct probe *probe)
{
    struct statfs fs;
    bool known = statfs(dir, &fs) == 0;
    if (errnum == ENODEV) {
        buf_adds(&probe->remedy, "The kernel has no overlay file system, or has not loaded it:");
        buf_adds(&probe->commands, "sudo modprobe overlay\n"
                                   "echo overlay | sudo tee /etc/modules-load.d/kiln.conf\n");
    } else if (known && fs.f_type == OVERLAYFS_MAGIC) {
        buf_addf(&probe->remedy,
                 "%s is on an overlay itself (as all of a container is that has no volume there), "
                 "and one can't be written on another. Put kiln's cache elsewhere:",
                 dir);
        buf_adds(&probe->commands, "docker run --volume kiln-cache:/cache --env "
                                   "KILN_CACHE_DIR=/cache ...\n");
    } else if (known && (fs.f_type == NFS_MAGIC || errnum == EOPNOTSUPP || errnum == EIO ||
                         errnum == EINVAL)) {
        buf_addf(&probe->remedy,
                 "The file system of %s can't be the upper one of an overlay (NFS and others "
                 "without attributes of the user can't). Put kiln's cache onto a local one:",
                 dir);
        buf_adds(&probe->commands, "export KILN_CACHE_DIR=/var/tmp/kiln-$(id -un)\n");
    } else if (errnum == EPERM || errnum == EACCES) {
        buf_adds(&probe->remedy, "A security module, or a kernel before 5.11, forbids it.");
        buf_adds(&probe->commands, "sudo dmesg | tail\n");
    } else {
        buf_adds(&probe->remedy, "The kernel's log says why.");
        buf_adds(&probe->commands, "sudo dmesg | tail\n");
    }
}

void probe_overlay(const struct probe_context *context, const struct trial *trial, const char *dir,
                   struct probe *probe)
{
    static const struct {
        enum try_stage stage;
        const char *what;
    } stages[] = {{TRY_OVERLAY, "can't be mounted"},
                  {TRY_DELETE, "can be mounted, but nothing deleted in it"},
                  {TRY_REPLACE, "can be mounted, but no directory replaced in it"}};
    (void)context;
    probe->name = "overlay";
    if (!dir) {
        buf_adds(&probe->found, "not tried");
        return;
    }
    if (!trial || trial->errnum[TRY_OVERLAY] == TRY_NOT) {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->found, "not tried, as it needs a user namespace");
        return;
    }
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        int errnum = trial->errnum[stages[i].stage];
        if (errnum <= 0)
            continue;
        refused(probe, stages[i].what, errnum);
        explain_overlay(dir, errnum, probe);
        return;
    }
    buf_addf(&probe->found, "works in %s", dir);
}
