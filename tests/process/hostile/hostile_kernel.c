#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long clone_with(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return pid;
}

static long clone3_with(uint64_t flags)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } args = {.flags = flags, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return pid;
}

static void namespaces_and_mounts(void)
{
    static const struct {
        const char *name;
        int flag;
    } kinds[] = {{"user", CLONE_NEWUSER},    {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},
                 {"net", CLONE_NEWNET},      {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},
                 {"cgroup", CLONE_NEWCGROUP}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        told(clone_with((unsigned long)kinds[i].flag), "clone of a %s namespace", kinds[i].name);
        told(clone3_with((uint64_t)kinds[i].flag), "clone3 of a %s namespace", kinds[i].name);
    }
    /* In children: what would succeed must not change what follows. */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            _exit(unshare(kinds[i].flag) == 0 ? 1 : 0);
        int status = 0;
        waitpid(pid, &status, 0);
        tell(status != 0, "unshare of a %s namespace", kinds[i].name);
    }
    told(mount("none", "/tmp", "tmpfs", 0, NULL), "mounting tmpfs");
    told(mount("proc", "/tmp", "proc", 0, NULL), "mounting proc");
    told(mount("/", "/tmp", NULL, MS_BIND, NULL), "a bind mount");
    told(mount("none", "/usr", NULL, MS_REMOUNT | MS_BIND, NULL), "making /usr writable");
    told(mount("none", "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL), "making /proc/sys writable");
    told(umount2("/proc", MNT_DETACH), "unmounting /proc");
    told(umount2("/proc/sys", MNT_DETACH), "unmounting /proc/sys");
    told(umount2("/src", MNT_DETACH), "unmounting /src");
    told(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    told(syscall(428 /* open_tree */, AT_FDCWD, "/", 1 /* clone */), "open_tree");
    told(syscall(430 /* fsopen */, "tmpfs", 0), "fsopen");
    int ns = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    told(ns < 0 ? -1 : setns(ns, 0), "setns");
}

static void calls(void)
{
    union bpf_attr map = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    struct perf_event_attr event = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_CPU_CLOCK};
    char params[256] = {0}, handle[128] = {128};
    struct timeval now;
    told(syscall(SYS_keyctl, 0 /* get the keyring's id */, -3 /* of the session */, 1), "keyctl");
    told(syscall(SYS_add_key, "user", "hostile", "x", 1, -3), "add_key");
    told(syscall(SYS_request_key, "user", "hostile", NULL, -3), "request_key");
    told(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map), "bpf");
    told(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), "perf_event_open, of itself");
    told(syscall(SYS_perf_event_open, &event, -1, 0, -1, 0), "perf_event_open, of a processor");
    told(syscall(425 /* io_uring_setup */, 4, params), "io_uring_setup");
    told(syscall(SYS_userfaultfd, 0), "userfaultfd");
    told(syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY), "open_by_handle_at");
    told(syscall(SYS_init_module, "", 0, ""), "init_module");
    told(syscall(SYS_kexec_load, 0, 0, NULL, 0), "kexec_load");
    told(syscall(SYS_reboot, 0xfee1dead, 672274793, RB_DISABLE_CAD, NULL), "reboot");
    told(syscall(SYS_syslog, 3, params, sizeof params), "the kernel's log");
    told(syscall(SYS_swapon, "/src/hostile", 0), "swapon");
    told(syscall(SYS_acct, NULL), "acct");
    told(sethostname("hostile", 7), "sethostname");
    gettimeofday(&now, NULL);
    told(settimeofday(&now, NULL), "settimeofday");
    told(syscall(SYS_fanotify_init, 0, 0), "fanotify_init");
#if defined __x86_64__
    told(syscall(SYS_iopl, 3), "iopl");
    long result;
    /* mount(2) as a 32-bit program calls it, and by the third set of numbers. */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(21), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0));
    tell(result != -ENOSYS && result != -EPERM, "mount by a 32-bit call: %ld", result);
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(310), "b"(CLONE_NEWUSER), "c"(0), "d"(0), "S"(0), "D"(0));
    tell(result == 0, "unshare by a 32-bit call: %ld", result);
    told(syscall(0x40000000 + SYS_unshare, CLONE_NEWUSER), "unshare by an x32 call");
#endif
}

static void device_nodes(void)
{
    static const struct {
        const char *name;
        mode_t type;
        unsigned major, minor;
    } nodes[] = {{"null", S_IFCHR, 1, 3},    {"mem", S_IFCHR, 1, 1},   {"kmsg", S_IFCHR, 1, 11},
                 {"sda", S_IFBLK, 8, 0},     {"vda", S_IFBLK, 254, 0}, {"tty0", S_IFCHR, 4, 0},
                 {"fuse", S_IFCHR, 10, 229}, {"kvm", S_IFCHR, 10, 232}};
    static const char *const places[] = {".", "/tmp", "/dev"};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            char path[64];
            snprintf(path, sizeof path, "%s/node-%s", places[k], nodes[i].name);
            int rc = mknod(path, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor));
            /* A node that can't be opened is a name. */
            int fd = rc < 0 ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
            told(fd, "a device %s", path);
            unlink(path);
        }
    }
}

void group_kernel(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    namespaces_and_mounts();
    calls();
    device_nodes();
}

/* -- /proc, /sys, /dev ------------------------------------------------------------------------- */

static int n_looked, n_open;

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    n_looked++;
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    close(fd);
    if (n_open++ < 20)
        tell(true, "%s can be opened for writing", path);
    return 0;
}

void group_proc(int argc, char **argv)
{
    static const char *const trees[] = {"/proc/sys", "/sys"};
    static const char *const to_write[] = {
        "/proc/sysrq-trigger",       "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
        "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs",
        "/proc/1/oom_score_adj_",    "/dev/kmsg",
        "/proc/bus/pci/00",          "/proc/irq/0/smp_affinity"};
    static const char *const to_read[] = {"/proc/kcore",
                                          "/dev/mem",
                                          "/dev/port",
                                          "/proc/kmsg",
                                          "/dev/kmsg",
                                          "/proc/sched_debug",
                                          "/proc/timer_list",
                                          "/dev/sda",
                                          "/dev/vda",
                                          "/dev/fuse",
                                          "/dev/kvm",
                                          "/dev/net/tun",
                                          "/proc/latency_stats",
                                          "/sys/firmware/efi/efivars",
                                          "/sys/kernel/tracing/trace"};
    char byte;
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        n_looked = n_open = 0;
        nftw(trees[i], look, 32, FTW_PHYS);
        tell(n_open > 0, "%d of %d files in %s can be opened for writing", n_open, n_looked,
             trees[i]);
    }
    for (size_t i = 0; i < sizeof to_write / sizeof *to_write; i++) {
        int fd = open(to_write[i], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        told(fd, "writing %s", to_write[i]);
        if (fd >= 0)
            close(fd);
    }
    for (size_t i = 0; i < sizeof to_read / sizeof *to_read; i++) {
        int fd = open(to_read[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && read(fd, &byte, 1) == 0) {
            close(fd);
            fd = -1;
            errno = ENODATA; /* covered by something empty */
        }
        told(fd, "reading %s", to_read[i]);
        if (fd >= 0)
            close(fd);
    }
}

/* -- who it is --------------------------------------------------------------------------------- */

void group_euid(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    tell(geteuid() != getuid() || getegid() != getgid(), "a setuid program is uid %d for %d",
         (int)geteuid(), (int)getuid());
}

static uint64_t status_bits(const char *name)
{
    char line[256];
    uint64_t bits = 0;
    size_t n = strlen(name);
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        if (!strncmp(line, name, n))
            bits = strtoull(line + n, NULL, 16);
    }
    if (status)
        fclose(status);
    return bits;
}

void group_identity(int argc, char **argv)
{
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    /* What package managers need, where root of an image is who it is: chown, dac_override, fowner,
     * fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, setfcap. */
    uint64_t allowed = geteuid() == 0 ? 0x800405fbull : 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        uint64_t bits = status_bits(sets[i]);
        /* A bound is of use to nobody who can't gain privileges. */
        uint64_t most = i == 3 ? 0x800405fbull : allowed;
        tell((bits & ~most) != 0, "capabilities %s %llx, of %llx allowed", sets[i],
             (unsigned long long)bits, (unsigned long long)most);
    }
    tell(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1, "privileges may be gained");
    tell(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2, "system calls are not filtered");
    if (geteuid() != 0) {
        gid_t groups[] = {0};
        told(setuid(0), "setuid to root");
        told(setgid(0), "setgid to root");
        told(setgroups(1, groups), "setgroups to root's");
    }
    if (argc > 0) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            execl(argv[0], argv[0], "euid", (char *)NULL);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        tell(status != 0, "privileges by %s, setuid", argv[0]);
    }
}

/* -- others ------------------------------------------------------------------------------------ */

void group_processes(int argc, char **argv)
{
    char path[64];
    for (int i = 0; i < argc; i++) {
        pid_t pid = (pid_t)atoi(argv[i]);
        char bytes[8];
        struct iovec here = {bytes, sizeof bytes}, there = {(void *)(uintptr_t)0x400000, 8};
        told(kill(pid, 0), "a signal to %d", (int)pid);
        told(ptrace(PTRACE_SEIZE, pid, NULL, NULL), "ptrace of %d", (int)pid);
        told(process_vm_readv(pid, &here, 1, &there, 1, 0), "memory of %d", (int)pid);
        snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
        told(access(path, F_OK), "%s", path);
        told(syscall(SYS_pidfd_open, pid, 0), "a pidfd of %d", (int)pid);
    }
    /* Whoever else is here is of this box: a parent outside has no number. */
    char line[128];
    FILE *status = fopen("/proc/1/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        if (!strncmp(line, "PPid:", 5))
            tell(atoi(line + 5) != 0, "the first process has a parent here");
    }
    if (status)
        fclose(status);
    for (pid_t pid = 1; pid < 400; pid++) {
        if (pid == getpid() || pid == getppid() || kill(pid, 0) < 0)
            continue;
        char name[64] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        FILE *comm = fopen(path, "r");
        if (comm && fgets(name, sizeof name, comm))
            name[strcspn(name, "\n")] = '\0';
        if (comm)
            fclose(comm);
        tell(pid > 1, "another process: %d, %s", (int)pid, name);
    }
}

void group_terminal(int argc, char **argv)
{
    static const char *const names[] = {"/dev/tty",  "/dev/console",    "/dev/tty0",
                                        "/dev/tty1", "/proc/self/fd/0", "/proc/self/fd/1"};
    char c = 'x', two[2] = {3, 0};
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open(names[i], O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        told(fd < 0 ? -1 : ioctl(fd, TIOCSTI, &c), "TIOCSTI on %s", names[i]);
        told(fd < 0 ? -1 : ioctl(fd, TIOCLINUX, two), "TIOCLINUX on %s", names[i]);
        if (fd >= 0)
            close(fd);
    }
    for (int fd = 0; fd < 3; fd++) {
        told(ioctl(fd, TIOCSTI, &c), "TIOCSTI on descriptor %d", fd);
        told(isatty(fd) ? ioctl(fd, TIOCSCTTY, 1) : -1, "taking the terminal of descriptor %d", fd);
    }
    tell(getsid(0) == 0, "the session of somebody outside");
}
