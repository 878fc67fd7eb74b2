/* probe_means.c - the programs, files and settings that isolation needs beside the kernel. */
#include "runners/probe_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/cgroup.h"
#include "runners/subid.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* -- programs ---------------------------------------------------------------------------------- */

char *probe_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? mem_strdup(name) : NULL;
    /* An administrator's programs are not in everybody's PATH. */
    char *all = mem_printf("%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    char *next = NULL, *found = NULL;
    for (char *dir = strtok_r(all, ":", &next); dir && !found; dir = strtok_r(NULL, ":", &next)) {
        struct stat st;
        char *file = mem_printf("%s/%s", dir, name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
            found = file;
        else
            free(file);
    }
    free(all);
    return found;
}

char *probe_version(const char *program)
{
    char text[256] = "";
    int out[2];
    size_t n = 0;
    ssize_t got = 1;
    if (pipe2(out, O_CLOEXEC) < 0)
        return mem_strdup("");
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        alarm(20);
        dup2(null, STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl(program, program, "--version", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    while (pid > 0 && n + 1 < sizeof text && got > 0) {
        got = read(out[0], text + n, sizeof text - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    close(out[0]);
    if (pid > 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return mem_strdup(text);
}

char *probe_install_command(const char *root, const char *package)
{
    static const struct {
        const char *id, *format;
        const char *uidmap, *tini; /* its names of Debian's */
    } systems[] = {
        {"debian", "sudo apt-get install %s", "uidmap", "tini"},
        {"ubuntu", "sudo apt-get install %s", "uidmap", "tini"},
        {"fedora", "sudo dnf install %s", "shadow-utils", "tini-static"},
        {"rhel", "sudo dnf install %s", "shadow-utils", "tini-static"},
        {"suse", "sudo zypper install %s", "shadow", "tini"},
        {"arch", "sudo pacman -S %s", "shadow", "tini"},
        {"alpine", "sudo apk add %s", "shadow-uidmap", "tini-static"},
    };
    struct buf text = BUF_INIT;
    char *path = mem_printf("%s/etc/os-release", root ? root : "");
    char *command = NULL, *next = NULL;
    if (file_read(path, 1 << 16, &text, NULL) == 0 && text.len) {
        for (char *line = strtok_r(text.data, "\n", &next); line && !command;
             line = strtok_r(NULL, "\n", &next)) {
            /* ID=debian, ID_LIKE="rhel fedora" */
            if (strncmp(line, "ID=", 3) != 0 && strncmp(line, "ID_LIKE=", 8) != 0)
                continue;
            for (size_t i = 0; i < sizeof systems / sizeof *systems && !command; i++) {
                const char *name = !strcmp(package, "uidmap") ? systems[i].uidmap
                                   : !strcmp(package, "tini") ? systems[i].tini
                                                              : package;
                const char *at = strstr(line, systems[i].id);
                if (at && strchr("=\" ", at[-1])) {
                    const char *hole = strstr(systems[i].format, "%s");
                    command = mem_printf("%.*s%s", (int)(hole - systems[i].format),
                                         systems[i].format, name);
                }
            }
        }
    }
    free(path);
    buf_release(&text);
    return command ? command : mem_printf("(install %s)", package);
}

static void add_install(const struct probe_context *context, const char *package,
                        struct probe *probe)
{
    char *command = probe_install_command(context->root, package);
    buf_addf(&probe->commands, "%s\n", command);
    free(command);
}

void probe_runtime(const struct probe_context *context, const char *runtime, struct probe *probe)
{
    probe->name = "runtime";
    char *program = probe_program(runtime);
    if (!program) {
        probe->verdict = PROBE_MISSING;
        buf_addf(&probe->found, "%s is not there", runtime);
        buf_adds(&probe->means, "Isolated steps are run by it.");
        if (!strcmp(runtime, "crun")) {
            buf_adds(&probe->remedy, "Install it, or let KILN_RUNTIME name another OCI runtime:");
            add_install(context, "crun", probe);
        } else {
            buf_adds(&probe->remedy,
                     "KILN_RUNTIME has to name an OCI runtime, or to be unset for crun.");
        }
        return;
    }
    char *version = probe_version(program);
    if (*version) {
        buf_addf(&probe->found, "%s (%s)", version, program);
    } else {
        probe->verdict = PROBE_MISSING;
        buf_addf(&probe->found, "%s does not tell its version", program);
        buf_adds(&probe->means, "It is no OCI runtime, or does not run.");
        buf_adds(&probe->remedy, "Try it:");
        buf_addf(&probe->commands, "%s --version\n", program);
    }
    free(version);
    free(program);
}

/* Under the names that Debian and Docker give it. Podman's catatonit does not die with its parent.
 */
char *probe_init(void)
{
    char *found = probe_program("tini-static");
    return found ? found : probe_program("docker-init");
}

void probe_init_program(const struct probe_context *context, struct probe *probe)
{
    probe->name = "init";
    char *program = probe_init();
    if (program) {
        buf_adds(&probe->found, program);
    } else {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->found, "neither tini-static nor docker-init is there");
        buf_adds(&probe->means, "It is the first process of an isolated step, and ends it when "
                                "kiln is killed.");
        buf_adds(&probe->remedy, "Install it:");
        add_install(context, "tini", probe);
    }
    free(program);
}

/* -- ids --------------------------------------------------------------------------------------- */

/* Whether it gets the privileges that it has to have: setuid root, or by attributes. */
static bool privileged_program(const char *path)
{
    struct stat st;
    struct statvfs fs;
    if (stat(path, &st) < 0)
        return false;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
        return false;
    return ((st.st_mode & S_ISUID) && st.st_uid == 0) ||
           getxattr(path, "security.capability", NULL, 0) > 0;
}

static void single(struct probe *probe, const char *why)
{
    probe->verdict = PROBE_LIMITED;
    buf_adds(&probe->found, why);
    buf_adds(&probe->means, "In images there is one user: programs that change to another, or give "
                            "files away, fail (apt does). The sandbox needs none.");
}

void probe_ids(const struct probe_context *context, struct probe *probe)
{
    struct subid_range uids, gids;
    probe->name = "subordinate ids";
    if (!context->uid) {
        buf_addf(&probe->found, "not needed by root; %u from %u on, %s", context->ids.count,
                 context->ids.uid,
                 context->range_is_given ? "as /etc/subuid has them" : "kiln's own choice");
        return;
    }
    char *subuid = mem_printf("%s/etc/subuid", context->root);
    char *subgid = mem_printf("%s/etc/subgid", context->root);
    char *newuidmap = probe_program("newuidmap"), *newgidmap = probe_program("newgidmap");
    bool have = subid_read(subuid, context->user, context->uid, &uids) &&
                subid_read(subgid, context->user, context->uid, &gids);
    char said[256];
    if (!have) {
        single(probe, "none are given to you in /etc/subuid and /etc/subgid");
        buf_adds(&probe->remedy, "To have 65536 (others than anybody else's):");
        buf_addf(&probe->commands,
                 "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s\n",
                 context->user);
    } else if (!newuidmap || !newgidmap) {
        single(probe, "newuidmap and newgidmap are not there");
        buf_adds(&probe->remedy, "Install them:");
        add_install(context, "uidmap", probe);
    } else if (!privileged_program(newuidmap) || !privileged_program(newgidmap)) {
        single(probe, "newuidmap and newgidmap are without privileges");
        buf_adds(&probe->remedy,
                 "They have to be setuid root, on a file system not mounted with nosuid:");
        buf_addf(&probe->commands, "sudo chmod u+s %s %s\n", newuidmap, newgidmap);
    } else if (context->no_new_privs) {
        single(probe, "kiln runs with no_new_privs, so that newuidmap has no effect");
        buf_adds(&probe->remedy, "Start kiln without it (setpriv, a service's NoNewPrivileges=, a "
                                 "container's no-new-privileges).");
    } else {
        struct try_ids ids = {uids.first, gids.first,
                              uids.count < gids.count ? uids.count : gids.count};
        if (trial_subids(newuidmap, newgidmap, &ids, said, sizeof said) == 0) {
            buf_addf(&probe->found, "%u from %u on", ids.count, ids.uid);
        } else {
            single(probe, "newuidmap fails");
            buf_addf(&probe->found, "%s%s", *said ? ": " : "", said);
            buf_addf(&probe->remedy, "Look at the lines of %s in /etc/subuid and /etc/subgid.",
                     context->user);
        }
    }
    free(subuid);
    free(subgid);
    free(newuidmap);
    free(newgidmap);
}

/* -- seccomp, cgroups -------------------------------------------------------------------------- */

void probe_seccomp(const struct probe_context *context, struct probe *probe)
{
    unsigned action = SECCOMP_RET_ERRNO;
    (void)context;
    probe->name = "seccomp";
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
        buf_adds(&probe->found, "filters of system calls");
        return;
    }
    probe->verdict = PROBE_MISSING;
    buf_addf(&probe->found, "no filters: %s", strerror(errno));
    buf_adds(&probe->means, "A step could do what it must not.");
    buf_adds(&probe->remedy, "The kernel needs CONFIG_SECCOMP_FILTER.");
}

static const char *mode_name(enum cgroup_mode mode)
{
    static const char *const names[] = {
        [CGROUP_NONE] = "none",
        [CGROUP_V1] = "version 1",
        [CGROUP_HYBRID] = "hybrid (versions 1 and 2)",
        [CGROUP_V2] = "version 2",
    };
    return names[mode];
}

/* Who could give kiln a group. */
static void explain_cgroups(const struct probe_context *context, enum cgroup_mode mode,
                            bool are_there, struct probe *probe)
{
    char *service = cgroup_service(context->root);
    if (!are_there) {
        buf_adds(&probe->remedy, "The kernel shows no controllers for them here.");
    } else if (context->container && mode == CGROUP_V2) {
        buf_adds(&probe->remedy,
                 "Have the container started with a group that it may change, as root in it (with "
                 "podman: --security-opt unmask=/sys/fs/cgroup; docker before 28: --privileged):");
        buf_adds(&probe->commands, "docker run --security-opt writable-cgroups=true ...\n");
    } else if (context->container) {
        buf_adds(&probe->remedy, "Have the container started with a group that it may change:");
        buf_adds(&probe->commands, "docker run --privileged ...\n");
    } else if (mode != CGROUP_V2) {
        buf_adds(&probe->remedy, "With version 1 only root can give groups away; version 2 is "
                                 "had by starting the kernel with:");
        buf_adds(&probe->commands, "systemd.unified_cgroup_hierarchy=1\n");
    } else if (context->uid && service) {
        buf_addf(&probe->remedy, "kiln runs in %s; have systemd give that its group:", service);
        buf_addf(&probe->commands,
                 "sudo mkdir -p /etc/systemd/system/%s.d\n"
                 "printf '[Service]\\nDelegate=yes\\n' | sudo tee "
                 "/etc/systemd/system/%s.d/kiln.conf\n"
                 "sudo systemctl daemon-reload\n"
                 "sudo systemctl restart %s\n",
                 service, service, service);
    } else if (context->uid) {
        buf_adds(&probe->remedy, "Have systemd give kiln a group of its own:");
        buf_adds(&probe->commands, "systemd-run --user --scope -p Delegate=yes kiln run\n");
    } else {
        buf_adds(&probe->remedy, "Not even root may change its groups here. See how they are "
                                 "mounted:");
        buf_adds(&probe->commands, "grep cgroup /proc/self/mountinfo\n");
    }
    free(service);
}

void probe_cgroups(const struct probe_context *context, struct probe *probe)
{
    static const char *const controllers[] = {"memory", "pids", "cpu"};
    enum cgroup_mode mode = cgroup_mode(context->root);
    struct buf ours = BUF_INIT, others = BUF_INIT;
    bool are_there = false;
    probe->name = "cgroups";
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        struct cgroup_place place;
        bool there = cgroup_find(context->root, controllers[i], &place);
        struct buf *list = there && place.writable ? &ours : &others;
        are_there = are_there || (there && !place.writable);
        buf_addf(list, "%s%s", list->len ? ", " : "", controllers[i]);
        free(place.dir);
    }
    buf_addf(&probe->found, "%s; %s%s", mode_name(mode), ours.len ? "ours to limit: " : "",
             ours.len ? buf_str(&ours) : "none ours to limit with");
    if (others.len) {
        probe->verdict = PROBE_LIMITED;
        buf_addf(&probe->means,
                 "A step's \"limits\" of %s can't be kept, and kiln refuses it. All "
                 "others run.",
                 buf_str(&others));
        explain_cgroups(context, mode, are_there, probe);
    }
    buf_release(&ours);
    buf_release(&others);
}
