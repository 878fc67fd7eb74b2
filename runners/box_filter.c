/*
 * box_filter.c - the system calls that no box may make (seccomp(2)), as the kernel takes the filter
 * and as OCI runtimes do; both from one table.
 *
 * What namespaces, missing capabilities and no_new_privs forbid anyway is here again where a hole
 * in the kernel behind it would matter: new namespaces and mounts, keyrings, bpf, perf, io_uring
 * and what asks for old or rare code. ptrace(2) and its like stay: they reach what is in the box
 * alone, and leak checkers and debuggers need them.
 */
#include "runners/box_private.h"

#include "base/crypt.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct rule {
    const char *call;
    int errnum;
    /* Only when argument & mask == value; mask 0 = always. */
    unsigned argument;
    uint64_t mask, value;
};

#define NEVER(call)          \
    {                        \
        call, EPERM, 0, 0, 0 \
    }
#define ABSENT(call)          \
    {                         \
        call, ENOSYS, 0, 0, 0 \
    }
#define FLAG(call, flag)           \
    {                              \
        call, EPERM, 0, flag, flag \
    }
/* The kernel looks at 32 bits of these. */
#define WORD(call, argument, value)              \
    {                                            \
        call, EPERM, argument, UINT32_MAX, value \
    }

static const struct rule rules[] = {
    /* namespaces and mounts */
    FLAG("clone", CLONE_NEWNS),
    FLAG("clone", CLONE_NEWCGROUP),
    FLAG("clone", CLONE_NEWUTS),
    FLAG("clone", CLONE_NEWIPC),
    FLAG("clone", CLONE_NEWUSER),
    FLAG("clone", CLONE_NEWPID),
    FLAG("clone", CLONE_NEWNET),
    FLAG("unshare", CLONE_NEWNS),
    FLAG("unshare", CLONE_NEWCGROUP),
    FLAG("unshare", CLONE_NEWUTS),
    FLAG("unshare", CLONE_NEWIPC),
    FLAG("unshare", CLONE_NEWUSER),
    FLAG("unshare", CLONE_NEWPID),
    FLAG("unshare", CLONE_NEWNET),
    FLAG("unshare", 0x80 /* CLONE_NEWTIME */),
    /* Its flags lie in memory, where a filter does not see them; libc falls back to clone. */
    ABSENT("clone3"),
    NEVER("setns"),
    NEVER("mount"),
    NEVER("umount"),
    NEVER("umount2"),
    NEVER("pivot_root"),
    NEVER("move_mount"),
    NEVER("open_tree"),
    NEVER("fsopen"),
    NEVER("fsconfig"),
    NEVER("fsmount"),
    NEVER("fspick"),
    NEVER("mount_setattr"),
    /* the terminal that it may share with people */
    WORD("ioctl", 1, TIOCSTI),
    WORD("ioctl", 1, TIOCLINUX),
    /* the machine */
    NEVER("acct"),
    NEVER("adjtimex"),
    NEVER("clock_adjtime"),
    NEVER("clock_adjtime64"),
    NEVER("clock_settime"),
    NEVER("clock_settime64"),
    NEVER("delete_module"),
    NEVER("finit_module"),
    NEVER("init_module"),
    NEVER("ioperm"),
    NEVER("iopl"),
    NEVER("kexec_file_load"),
    NEVER("kexec_load"),
    NEVER("lookup_dcookie"),
    NEVER("nfsservctl"),
    NEVER("open_by_handle_at"),
    NEVER("quotactl"),
    NEVER("quotactl_fd"),
    NEVER("reboot"),
    NEVER("settimeofday"),
    NEVER("stime"),
    NEVER("swapoff"),
    NEVER("swapon"),
    NEVER("syslog"),
    NEVER("vhangup"),
    /* what has been a way through the kernel */
    NEVER("add_key"),
    NEVER("bpf"),
    NEVER("fanotify_init"),
    NEVER("io_uring_enter"),
    NEVER("io_uring_register"),
    NEVER("io_uring_setup"),
    NEVER("keyctl"),
    NEVER("perf_event_open"),
    NEVER("request_key"),
    NEVER("userfaultfd"),
    NEVER("uselib"),
    WORD("socket", 0, AF_VSOCK),
};

#define N_RULES (sizeof rules / sizeof *rules)

/* --- for the kernel --- */

static int add_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < N_RULES; i++) {
        const struct rule *rule = &rules[i];
        int call = seccomp_syscall_resolve_name(rule->call), rc;
        if (call == __NR_SCMP_ERROR)
            continue; /* newer than the library: its rule is in the next one */
        if (rule->mask) {
            struct scmp_arg_cmp compare = {rule->argument, SCMP_CMP_MASKED_EQ, rule->mask,
                                           rule->value};
            rc = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)rule->errnum), call, 1,
                                        &compare);
        } else {
            rc = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)rule->errnum), call, 0,
                                        NULL);
        }
        if (rc < 0 && rc != -EDOM && rc != -EFAULT) /* those: not on this architecture */
            return -rc;
    }
    return 0;
}

static int export_filter(scmp_filter_ctx filter, int fd)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (seccomp_arch_native() == SCMP_ARCH_X86_64 && rc == 0)
        rc = seccomp_arch_add(filter, SCMP_ARCH_X86);
    if (seccomp_arch_native() == SCMP_ARCH_AARCH64 && rc == 0)
        rc = seccomp_arch_add(filter, SCMP_ARCH_ARM);
    if (rc < 0)
        return -rc;
    rc = add_rules(filter);
    return rc ? rc : -seccomp_export_bpf(filter, fd);
}

char *box_filter_base64(struct err *err)
{
    struct buf program = BUF_INIT;
    char *text = NULL;
    int fd = memfd_create("kiln-filter", MFD_CLOEXEC);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int errnum = fd < 0 ? errno : filter ? export_filter(filter, fd) : ENOMEM;
    if (!errnum && lseek(fd, 0, SEEK_SET) == 0 &&
        file_read_fd(fd, "the filter", (size_t)1 << 20, &program, err) == 0) {
        text = crypt_base64(program.data, program.len);
    } else if (errnum) {
        (void)err_sys(err, errnum, "cannot make the filter of system calls");
    }
    if (filter)
        seccomp_release(filter);
    if (fd >= 0)
        close(fd);
    buf_release(&program);
    return text;
}

/* --- for a runtime --- */

struct json_t *box_filter_json(void)
{
    json_t *calls = json_array();
    for (size_t i = 0; i < N_RULES; i++) {
        const struct rule *rule = &rules[i];
        json_t *entry = json_pack("{s:[s], s:s, s:i}", "names", rule->call, "action",
                                  "SCMP_ACT_ERRNO", "errnoRet", rule->errnum);
        if (rule->mask)
            json_object_set_new(entry, "args",
                                json_pack("[{s:i, s:I, s:I, s:s}]", "index", (int)rule->argument,
                                          "value", (json_int_t)rule->mask, "valueTwo",
                                          (json_int_t)rule->value, "op", "SCMP_CMP_MASKED_EQ"));
        json_array_append_new(calls, entry);
    }
    return json_pack("{s:s, s:o}", "defaultAction", "SCMP_ACT_ALLOW", "syscalls", calls);
}
