/* What kiln doctor looks at itself, and how it shows what was found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/doctor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *root, const char *path, const char *text)
{
    char *full = mem_printf("%s%s", root, path), *folder = mem_strdup(full);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(file_mkdirs(folder, 0755, NULL), 0);
    assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, NULL), 0);
    free(folder);
    free(full);
}

static void free_probe(struct probe *probe)
{
    buf_release(&probe->found);
    buf_release(&probe->means);
    buf_release(&probe->remedy);
    buf_release(&probe->commands);
    *probe = (struct probe){0};
}

static void test_watches(void **state)
{
    (void)state;
    char root[] = "/tmp/kiln-doctor-XXXXXX";
    struct probe probe = {0};
    assert_non_null(mkdtemp(root));
    put(root, "/proc/sys/fs/inotify/max_user_watches", "4\n");
    put(root, "/proc/sys/fs/inotify/max_user_instances", "128\n");
    put(root, "/project/a/f", "");
    put(root, "/project/b/f", "");
    put(root, "/project/.git/objects/aa/f", "");
    char *project = mem_printf("%s/project", root);
    /* The project, a and b; not what lies in .git. */
    doctor_inotify(root, project, &probe);
    assert_int_equal(probe.verdict, PROBE_OK);
    assert_non_null(strstr(buf_str(&probe.found), "takes 3 at most"));
    free_probe(&probe);
    put(root, "/proc/sys/fs/inotify/max_user_watches", "2\n");
    doctor_inotify(root, project, &probe);
    assert_int_equal(probe.verdict, PROBE_LIMITED);
    assert_non_null(strstr(buf_str(&probe.commands), "fs.inotify.max_user_watches=524288"));
    free_probe(&probe);
    doctor_inotify(root, NULL, &probe);
    assert_int_equal(probe.verdict, PROBE_OK);
    free_probe(&probe);
    free(project);
    assert_int_equal(file_remove_tree(AT_FDCWD, root, NULL), 0);
}

static void test_place_and_clock(void **state)
{
    (void)state;
    char dir[] = "/tmp/kiln-doctor-XXXXXX";
    struct probe probe = {0};
    assert_non_null(mkdtemp(dir));
    doctor_cache(dir, &probe);
    assert_int_not_equal(probe.verdict, PROBE_MISSING);
    assert_non_null(strstr(buf_str(&probe.found), dir));
    free_probe(&probe);
    doctor_cache("/nonexistent/kiln", &probe);
    assert_int_equal(probe.verdict, PROBE_MISSING);
    free_probe(&probe);
    doctor_cache(NULL, &probe);
    assert_int_equal(probe.verdict, PROBE_MISSING);
    free_probe(&probe);
    doctor_clock(dir, 1800000000ull * 1000000000, &probe);
    assert_int_equal(probe.verdict, PROBE_OK);
    assert_string_equal(buf_str(&probe.found), "2027-01-15 08:00:00 UTC");
    free_probe(&probe);
    doctor_clock(NULL, 0, &probe);
    assert_int_equal(probe.verdict, PROBE_LIMITED);
    free_probe(&probe);
    /* Nothing was left. */
    assert_int_equal(rmdir(dir), 0);
}

static void test_shown(void **state)
{
    (void)state;
    struct probe well = {.name = "kernel"}, bad = {.name = "overlay", .verdict = PROBE_MISSING};
    const struct probe *const all[] = {&well, &bad};
    struct buf out = BUF_INIT;
    buf_adds(&well.found, "Linux \"6\"");
    buf_adds(&bad.found, "can't be mounted: Invalid argument");
    buf_adds(&bad.means, "Steps can't be isolated: neither sandbox nor container.");
    buf_adds(&bad.remedy, "Put kiln's cache elsewhere, on a local file system of its own:");
    buf_adds(&bad.commands, "a --long command\nb\n");
    doctor_text(all, 2, false, false, &out);
    assert_string_equal(
        buf_str(&out),
        "+ ok       kernel          Linux \"6\"\n"
        "x missing  overlay         can't be mounted: Invalid argument\n"
        "           Steps can't be isolated: neither sandbox nor container. Put kiln's\n"
        "           cache elsewhere, on a local file system of its own:\n"
        "               a --long command\n"
        "               b\n");
    buf_reset(&out);
    doctor_text(all, 1, true, true, &out);
    assert_string_equal(buf_str(&out), "\033[32m✓ ok     \033[0m  kernel          Linux \"6\"\n");
    buf_reset(&out);
    doctor_json(all, 2, false, &out);
    assert_string_equal(
        buf_str(&out),
        "{\"works\":false,\"checks\":[{\"name\":\"kernel\",\"verdict\":\"ok\",\"found\":\"Linux "
        "\\\"6\\\"\",\"means\":\"\",\"remedy\":\"\",\"commands\":[]},{\"name\":\"overlay\","
        "\"verdict\":\"missing\",\"found\":\"can't be mounted: Invalid argument\",\"means\":"
        "\"Steps can't be isolated: neither sandbox nor container.\",\"remedy\":\"Put kiln's "
        "cache elsewhere, on a local file system of its own:\",\"commands\":[\"a --long "
        "command\",\"b\"]}]}\n");
    buf_release(&out);
    free_probe(&well);
    free_probe(&bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watches),
        cmocka_unit_test(test_place_and_clock),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
