/* What a machine allows: files of the system read as they are, and as they are elsewhere; refusals
 * put into words that fit whoever refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "runners/cgroup.h"
#include "runners/probe_private.h"
#include "runners/subid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A root for files of a system that is not this one. */
struct fake {
    char root[64];
};

static void fake_init(struct fake *fake)
{
    strcpy(fake->root, "/tmp/kiln-probe-XXXXXX");
    assert_non_null(mkdtemp(fake->root));
}

static void fake_release(struct fake *fake)
{
    assert_int_equal(file_remove_tree(AT_FDCWD, fake->root, NULL), 0);
}

static void put(const struct fake *fake, const char *path, const char *text)
{
    char *full = mem_printf("%s%s", fake->root, path), *slash;
    char *folder = mem_strdup(full);
    slash = strrchr(folder, '/');
    *slash = '\0';
    assert_int_equal(file_mkdirs(folder, 0755, NULL), 0);
    assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, NULL), 0);
    free(folder);
    free(full);
}

/* -- subordinate ids --------------------------------------------------------------------------- */

static void test_subid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool found;
        uint32_t first, count;
    } cases[] = {
        {"", false, 0, 0},
        {"me:100000:65536\n", true, 100000, 65536},
        {"me:100000:65536", true, 100000, 65536},
        {"you:1:2\nme:3:4\n", true, 3, 4},
        {"1234:5:6\n", true, 5, 6},
        {"me:1:10\nme:100:1000\nme:5000:20\n", true, 100, 1000},
        {"meme:1:10\nm:1:10\n", false, 0, 0},
        {"me:1\nme\nme:\n:::\n\n#me:1:2\n", false, 0, 0},
        {"me:1:x\nme:-1:5\nme:1: 5\nme:1:5 \nme::5\nme:1:\n", false, 0, 0},
        {"me:1:5:6\n", false, 0, 0},
        {"me:1:0\n", false, 0, 0},
        {"me:4294967295:1\nme:4294967000:65536\nme:99999999999999999999:1\n", false, 0, 0},
        {"me:4294967290:5\n", true, 4294967290u, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct subid_range range = {0};
        assert_int_equal(subid_find(cases[i].text, "me", 1234, &range), cases[i].found);
        assert_int_equal(range.first, cases[i].first);
        assert_int_equal(range.count, cases[i].count);
    }
    struct subid_range range;
    assert_false(subid_find("me:1:2\n", NULL, 7, &range));
    assert_false(subid_read("/nonexistent/subuid", "me", 7, &range));
}

static void free_probe(struct probe *probe)
{
    buf_release(&probe->found);
    buf_release(&probe->means);
    buf_release(&probe->remedy);
    buf_release(&probe->commands);
    *probe = (struct probe){0};
}

/* -- cgroups ----------------------------------------------------------------------------------- */

static void check_place(const struct fake *fake, const char *controller, int version,
                        const char *dir)
{
    struct cgroup_place place;
    assert_int_equal(cgroup_find(fake->root, controller, &place), dir != NULL);
    if (dir) {
        assert_string_equal(place.dir, dir);
        assert_int_equal(place.version, version);
    }
    free(place.dir);
}

static void test_cgroup_v1(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    put(&fake, "/proc/self/cgroup",
        "12:cpu,cpuacct:/user.slice\n11:memory:/user.slice/a b\n1:name=systemd:/init.scope\n");
    put(&fake, "/proc/self/mountinfo",
        "25 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
        "31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "32 25 0:27 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
        "33 25 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
    assert_int_equal(cgroup_mode(fake.root), CGROUP_V1);
    check_place(&fake, "cpu", 1, "/sys/fs/cgroup/cpu,cpuacct/user.slice");
    check_place(&fake, "memory", 1, "/sys/fs/cgroup/memory/user.slice/a b");
    /* Mounted, and this process is in none of its groups; and another's name within a name. */
    check_place(&fake, "pids", 1, NULL);
    check_place(&fake, "cpuac", 1, NULL);
    fake_release(&fake);
}

#define CGROUP2_MOUNT \
    "30 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

/* A group of version 2 that we may change. */
static void put_group(const struct fake *fake, const char *dir, const char *has, const char *down)
{
    static const char *const files[] = {"controllers", "subtree_control", "procs"};
    const char *const texts[] = {has, down, ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = mem_printf("%s/cgroup.%s", dir, files[i]);
        put(fake, path, texts[i]);
        free(path);
    }
}

static bool is_crowded(const struct fake *fake, const char *controller)
{
    struct cgroup_place place;
    assert_true(cgroup_find(fake->root, controller, &place));
    assert_true(place.writable);
    free(place.dir);
    return place.crowded;
}

/* A session of root's: memory is handed down beside it, the processor's time only further up. */
static void test_cgroup_v2(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    assert_int_equal(cgroup_mode(fake.root), CGROUP_NONE);
    put(&fake, "/proc/self/cgroup", "0::/user.slice/user-0.slice/x.scope\n");
    put(&fake, "/proc/self/mountinfo", CGROUP2_MOUNT);
    put_group(&fake, "/sys/fs/cgroup", "cpu io memory pids\n", "cpu memory pids\n");
    put_group(&fake, "/sys/fs/cgroup/user.slice", "cpu memory pids\n", "memory pids\n");
    put_group(&fake, "/sys/fs/cgroup/user.slice/user-0.slice", "memory pids\n", "memory pids\n");
    put_group(&fake, "/sys/fs/cgroup/user.slice/user-0.slice/x.scope", "memory pids\n", "");
    assert_int_equal(cgroup_mode(fake.root), CGROUP_V2);
    check_place(&fake, "memory", 2, "/sys/fs/cgroup/user.slice/user-0.slice");
    check_place(&fake, "cpu", 2, "/sys/fs/cgroup");
    check_place(&fake, "hugetlb", 2, NULL);
    assert_false(is_crowded(&fake, "memory"));
    assert_null(cgroup_service(fake.root));
    fake_release(&fake);
}

/* A service with Delegate=, and a container with a cgroup namespace: nothing above is ours. */
static void test_cgroup_v2_given(void **state)
{
    (void)state;
    struct fake fake;
    struct cgroup_place place;
    char *name;
    fake_init(&fake);
    put(&fake, "/proc/self/cgroup", "0::/system.slice/runner.service\n");
    put(&fake, "/proc/self/mountinfo", CGROUP2_MOUNT);
    put(&fake, "/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    put(&fake, "/sys/fs/cgroup/cgroup.subtree_control", "cpu memory pids\n");
    put_group(&fake, "/sys/fs/cgroup/system.slice/runner.service", "memory pids\n", "");
    check_place(&fake, "memory", 2, "/sys/fs/cgroup/system.slice/runner.service");
    assert_true(is_crowded(&fake, "memory"));
    /* The machine has it, and nobody gave it to us. */
    assert_true(cgroup_find(fake.root, "cpu", &place));
    assert_false(place.writable);
    free(place.dir);
    name = cgroup_service(fake.root);
    assert_string_equal(name, "runner.service");
    free(name);
    /* Once its processes have moved. */
    put(&fake, "/proc/self/cgroup", "0::/system.slice/runner.service/kiln-others\n");
    put(&fake, "/sys/fs/cgroup/system.slice/runner.service/cgroup.subtree_control",
        "memory pids\n");
    put_group(&fake, "/sys/fs/cgroup/system.slice/runner.service/kiln-others", "memory pids\n", "");
    check_place(&fake, "memory", 2, "/sys/fs/cgroup/system.slice/runner.service");
    assert_false(is_crowded(&fake, "memory"));
    put(&fake, "/proc/self/cgroup", "0::/\n");
    put_group(&fake, "/sys/fs/cgroup", "cpu memory pids\n", "");
    check_place(&fake, "cpu", 2, "/sys/fs/cgroup");
    assert_true(is_crowded(&fake, "cpu"));
    fake_release(&fake);
}

/* What is said where nothing is ours: who could give it differs. */
static void test_cgroup_remedies(void **state)
{
    (void)state;
    static const struct {
        const char *group, *first; /* our own, and that of the first process */
        uid_t uid;
        const char *command;
    } cases[] = {
        {"0::/user.slice/user-1000.slice/session-1.scope\n", "0::/init.scope\n", 1000,
         "systemd-run --user --scope -p Delegate=yes"},
        {"0::/system.slice/runner.service\n", "0::/init.scope\n", 1000,
         "/etc/systemd/system/runner.service.d/kiln.conf"},
        {"0::/\n", "0::/\n", 0, "writable-cgroups=true"},
        {"0::/x.scope\n", "0::/init.scope\n", 0, "mountinfo"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake fake;
        struct probe_context context;
        struct probe probe = {0};
        fake_init(&fake);
        put(&fake, "/proc/self/cgroup", cases[i].group);
        put(&fake, "/proc/1/cgroup", cases[i].first);
        put(&fake, "/proc/self/mountinfo", CGROUP2_MOUNT);
        put(&fake, "/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
        put(&fake, "/sys/fs/cgroup/cgroup.events", "populated 1\n");
        probe_context_init(&context, fake.root);
        context.uid = cases[i].uid;
        probe_cgroups(&context, &probe);
        assert_int_equal(probe.verdict, PROBE_LIMITED);
        assert_non_null(strstr(buf_str(&probe.commands), cases[i].command));
        free_probe(&probe);
        probe_context_release(&context);
        fake_release(&fake);
    }
}

/* A container that sees its own group as the mount's root, and the host's path as its own. */
static void test_cgroup_mounted_from_within(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    put(&fake, "/proc/self/cgroup", "4:memory:/docker/abc/inner\n3:pids:/docker/abcd\n0::/\n");
    put(&fake, "/proc/self/mountinfo",
        "1 0 0:1 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "2 0 0:2 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n"
        "3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    assert_int_equal(cgroup_mode(fake.root), CGROUP_HYBRID);
    check_place(&fake, "memory", 1, "/sys/fs/cgroup/memory/inner");
    check_place(&fake, "pids", 1, NULL);
    fake_release(&fake);
}

/* -- refusals ---------------------------------------------------------------------------------- */

static struct trial all_well(void)
{
    return (struct trial){{0}};
}

static struct trial refused_at(enum try_stage stage, int errnum)
{
    struct trial trial = all_well();
    trial.errnum[stage] = errnum;
    for (size_t i = stage + 1u; stage < TRY_PROC && i < TRY_N; i++)
        trial.errnum[i] = TRY_NOT;
    return trial;
}

static void check_userns(const char *root, uid_t uid, struct trial trial, const char *remedy,
                         const char *command)
{
    struct probe_context context;
    struct probe probe = {0};
    probe_context_init(&context, root);
    context.uid = uid;
    context.container = false;
    context.filtered = false;
    probe_userns(&context, &trial, &probe);
    assert_int_equal(probe.verdict, remedy ? PROBE_MISSING : PROBE_OK);
    if (remedy) {
        assert_non_null(strstr(buf_str(&probe.remedy), remedy));
        assert_non_null(strstr(buf_str(&probe.commands), command));
    }
    free_probe(&probe);
    probe_context_release(&context);
}

static void test_refusals_of_userns(void **state)
{
    (void)state;
    struct fake debian, ubuntu, none, plain;
    fake_init(&debian);
    fake_init(&ubuntu);
    fake_init(&none);
    fake_init(&plain);
    put(&debian, "/proc/sys/kernel/unprivileged_userns_clone", "0\n");
    put(&ubuntu, "/proc/sys/kernel/unprivileged_userns_clone", "1\n");
    put(&ubuntu, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    put(&none, "/proc/sys/user/max_user_namespaces", "0\n");
    check_userns(plain.root, 1000, all_well(), NULL, NULL);
    check_userns(debian.root, 1000, refused_at(TRY_USER, EPERM), "unprivileged_userns_clone",
                 "sysctl");
    /* Root may make one; who is root in that is an ordinary user to the next. */
    check_userns(debian.root, 0, refused_at(TRY_NESTED, EPERM), "unprivileged_userns_clone",
                 "sysctl");
    /* Ubuntu lets them be made, and nothing be done in them. */
    check_userns(ubuntu.root, 1000, refused_at(TRY_TMPFS, EACCES), "AppArmor",
                 "/etc/apparmor.d/kiln");
    check_userns(ubuntu.root, 1000, refused_at(TRY_MAP, EPERM), "AppArmor", "apparmor_parser -r");
    check_userns(none.root, 1000, refused_at(TRY_USER, ENOSPC), "max_user_namespaces", "sysctl");
    check_userns(plain.root, 0, refused_at(TRY_USER, EPERM), "chroot", "dmesg");
    check_userns(plain.root, 1000, refused_at(TRY_NESTED, EPERM), "security module", "dmesg");
    fake_release(&debian);
    fake_release(&ubuntu);
    fake_release(&none);
    fake_release(&plain);
}

static void test_refusals_of_containers(void **state)
{
    (void)state;
    struct fake docker;
    struct probe probe = {0};
    struct probe_context context;
    struct trial trial = refused_at(TRY_USER, EPERM);
    fake_init(&docker);
    put(&docker, "/.dockerenv", "");
    put(&docker, "/proc/self/status", "Name:\tkiln\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    probe_context_init(&context, docker.root);
    assert_true(context.container);
    assert_true(context.no_new_privs);
    assert_true(context.filtered);
    probe_userns(&context, &trial, &probe);
    assert_non_null(strstr(buf_str(&probe.commands), "seccomp=unconfined"));
    free_probe(&probe);
    trial = refused_at(TRY_PROC, EPERM);
    probe_mounts(&context, &trial, &probe);
    assert_int_equal(probe.verdict, PROBE_MISSING);
    assert_non_null(strstr(buf_str(&probe.commands), "systempaths=unconfined"));
    free_probe(&probe);
    trial = refused_at(TRY_DELETE, EPERM);
    probe_overlay(&context, &trial, "/tmp", &probe);
    assert_int_equal(probe.verdict, PROBE_MISSING);
    assert_non_null(strstr(buf_str(&probe.found), "nothing deleted"));
    free_probe(&probe);
    probe_context_release(&context);
    fake_release(&docker);
}

static void test_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *release;
        enum probe_verdict verdict;
    } cases[] = {
        {"5.10.0-28-amd64", PROBE_MISSING}, {"5.11.1", PROBE_MISSING}, {"5.12", PROBE_OK},
        {"6.1.0-18-amd64", PROBE_OK},       {"10.0.1", PROBE_OK},      {"strange", PROBE_OK}};
    struct probe_context context = {.root = ""};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe probe = {0};
        probe_kernel(&context, cases[i].release, &probe);
        assert_int_equal(probe.verdict, cases[i].verdict);
        free_probe(&probe);
    }
}

static void test_install_commands(void **state)
{
    (void)state;
    static const struct {
        const char *release, *package, *want;
    } cases[] = {
        {"ID=debian\n", "uidmap", "sudo apt-get install uidmap"},
        {"NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "crun", "sudo apt-get install crun"},
        {"ID=fedora\n", "uidmap", "sudo dnf install shadow-utils"},
        {"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "crun", "sudo dnf install crun"},
        {"ID=alpine\n", "uidmap", "sudo apk add shadow-uidmap"},
        {"ID=arch\n", "skopeo", "sudo pacman -S skopeo"},
        {"ID=plan9\n", "crun", "(install crun)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake fake;
        fake_init(&fake);
        put(&fake, "/etc/os-release", cases[i].release);
        char *command = probe_install_command(fake.root, cases[i].package);
        assert_string_equal(command, cases[i].want);
        free(command);
        fake_release(&fake);
    }
}

/* -- here -------------------------------------------------------------------------------------- */

/* Whatever this machine allows, something is said of everything, and nothing is left behind. */
static void test_here(void **state)
{
    (void)state;
    struct fake fake;
    struct probe_report report;
    struct err err = ERR_INIT;
    fake_init(&fake);
    probe_all(&(struct probe_options){.dir = fake.root}, &report);
    for (size_t i = 0; i < PROBE_N; i++) {
        const struct probe *probe = &report.probes[i];
        assert_non_null(probe->name);
        assert_true(probe->found.len > 0);
        if (probe->verdict != PROBE_OK)
            assert_true(probe->means.len + probe->remedy.len > 0 ||
                        strstr(buf_str(&probe->found), "not tried"));
    }
    probe_release(&report);
    assert_int_equal(rmdir(fake.root), 0);

    /* What can't be had is told with its remedy. */
    assert_int_not_equal(probe_refusal(&(struct probe_options){.runtime = "no-such-runtime"}, &err),
                         0);
    assert_int_equal(err.kind, ERR_SYSTEM);
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subid),
        cmocka_unit_test(test_cgroup_v1),
        cmocka_unit_test(test_cgroup_v2),
        cmocka_unit_test(test_cgroup_v2_given),
        cmocka_unit_test(test_cgroup_remedies),
        cmocka_unit_test(test_cgroup_mounted_from_within),
        cmocka_unit_test(test_refusals_of_userns),
        cmocka_unit_test(test_refusals_of_containers),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_install_commands),
        cmocka_unit_test(test_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
