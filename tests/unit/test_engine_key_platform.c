/* What stands around a step is in its key, and is told in words. */
#include "engine/key_platform.h"
#include "engine/secret.h"
#include "engine/system_packages.h"
#include "engine/system_tree.h"

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct digest system_digest = {.hash = {0xab, 0xcd}};

static char *pairs_text(const struct op_exec *exec, const char *image, const char *const *secrets)
{
    struct platform_facts facts = {.isa = "x86_64",
                                   .os = "Linux",
                                   .root = "/home/me/p",
                                   .image = image,
                                   .system = &system_digest,
                                   .secrets = secrets};
    struct arena arena = ARENA_INIT;
    struct action_pair *pairs;
    struct buf text = BUF_INIT;
    size_t n = exec_platform(exec, &facts, &arena, &pairs);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || strcmp(pairs[i - 1].name, pairs[i].name) < 0);
        buf_addf(&text, "%s%s=%.12s", i ? " " : "", pairs[i].name, pairs[i].value);
    }
    arena_release(&arena);
    return buf_detach(&text);
}

static void check(const struct op_exec *exec, const char *wanted)
{
    char *text = pairs_text(exec, "sha256:12", NULL);
    assert_string_equal(text, wanted);
    free(text);
}

static void each_runner_has_its_own(void **state)
{
    (void)state;
    check(&(struct op_exec){.runner = "host", .network = true, .mount_same = true},
          "ISA=x86_64 OSFamily=Linux kiln-root=/home/me/p kiln-runner=host");
    check(&(struct op_exec){.runner = "sandbox"},
          "ISA=x86_64 OSFamily=Linux kiln-mount=/src kiln-network=none kiln-runner=sandbox "
          "kiln-system=abcd00000000");
    check(&(struct op_exec){.runner = "sandbox", .network = true, .mount_same = true},
          "ISA=x86_64 OSFamily=Linux kiln-mount=same kiln-network=host kiln-root=/home/me/p "
          "kiln-runner=sandbox kiln-system=abcd00000000");
    check(&(struct op_exec){.runner = "container", .image = "debian"},
          "ISA=x86_64 OSFamily=Linux kiln-image=sha256:12 kiln-mount=/src kiln-network=none "
          "kiln-runner=container");
    check(&(struct op_exec){.runner = "container", .platform = "linux/arm64", .user = "1:2"},
          "ISA=x86_64 OSFamily=Linux kiln-image=sha256:12 kiln-mount=/src kiln-network=none "
          "kiln-platform=linux/arm64 kiln-runner=container kiln-user=1:2");
}

static void limits_and_caches_are_in_no_key(void **state)
{
    struct graph_cache cache = {"/a", "a", GRAPH_SHARING_SHARED};
    (void)state;
    check(&(struct op_exec){.runner = "sandbox",
                            .limits = {.memory = 1, .pids = 1},
                            .caches = &cache,
                            .n_caches = 1},
          "ISA=x86_64 OSFamily=Linux kiln-mount=/src kiln-network=none kiln-runner=sandbox "
          "kiln-system=abcd00000000");
}

static void secret_files_are_there_by_their_hashes(void **state)
{
    struct graph_secret secrets[] = {{.target = "/run/a"}, {.target = "TOKEN"}};
    static const char *const hashes[] = {"hash-a", "hash-token"};
    struct op_exec exec = {.runner = "container", .secrets = secrets, .n_secrets = 2};
    (void)state;
    char *text = pairs_text(&exec, NULL, hashes);
    assert_string_equal(text, "ISA=x86_64 OSFamily=Linux kiln-mount=/src kiln-network=none "
                              "kiln-runner=container kiln-secret:/run/a=hash-a");
    free(text);
}

static void people_have_words_for_them(void **state)
{
    (void)state;
    assert_string_equal(platform_word("kiln-system"), "system packages");
    assert_string_equal(platform_word("kiln-image"), "image");
    assert_null(platform_word("ISA"));
}

/* -- packages ---------------------------------------------------------------------------------- */

static void put(const char *root, const char *path, const char *text)
{
    struct err err = ERR_INIT;
    char *full = mem_printf("%s%s", root, path), *dir = mem_strdup(full);
    *strrchr(dir, '/') = 0;
    assert_int_equal(file_mkdirs(dir, 0755, &err), 0);
    assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, &err), 0);
    free(dir);
    free(full);
}

static char *new_root(void)
{
    char *root = mem_strdup("/tmp/kiln-test-packages-XXXXXX");
    assert_non_null(mkdtemp(root));
    return root;
}

static void remove_root(char *root)
{
    struct err err = ERR_INIT;
    assert_int_equal(file_remove_tree(AT_FDCWD, root, &err), 0);
    free(root);
}

static struct digest packages_of(const char *root)
{
    struct system_packages packages = {0};
    assert_true(system_packages_look(&packages, root));
    assert_false(system_packages_look(&packages, root));
    return packages.digest;
}

#define DPKG(name, version) \
    "Package: " name "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " version "\n"

static void only_names_versions_and_architectures_count(void **state)
{
    char *a = new_root(), *b = new_root();
    (void)state;
    put(a, "/var/lib/dpkg/status",
        DPKG("x", "1") "Description: one\n more\n\n" DPKG("y", "2") "\n");
    put(b, "/var/lib/dpkg/status",
        DPKG("y", "2") "\nPackage: z\nStatus: deinstall ok config-files\nVersion: 3\n\n" DPKG("x",
                                                                                              "1"));
    struct digest of_a = packages_of(a), of_b = packages_of(b);
    assert_true(digest_eq(&of_a, &of_b));
    put(b, "/var/lib/dpkg/status", DPKG("x", "1") "\n" DPKG("y", "2.1"));
    of_b = packages_of(b);
    assert_false(digest_eq(&of_a, &of_b));
    remove_root(a);
    remove_root(b);
}

/* As update-alternatives does it. */
static void choose(const char *root, const char *name, const char *target)
{
    char *dir = mem_printf("%s/etc/alternatives", root);
    char *path = path_join(dir, name), *made = path_join(dir, "new");
    assert_int_equal(file_mkdirs(dir, 0755, NULL), 0);
    assert_int_equal(symlink(target, made), 0);
    assert_int_equal(rename(made, path), 0);
    free(made);
    free(path);
    free(dir);
}

static void a_change_is_noticed_and_only_then_read(void **state)
{
    char *root = new_root();
    struct system_packages packages = {0};
    (void)state;
    put(root, "/lib/apk/db/installed", "C:Q1\nP:musl\nV:1.2\nA:x86_64\n\n");
    assert_true(system_packages_look(&packages, root));
    struct digest first = packages.digest;
    put(root, "/lib/apk/db/installed", "C:Q2\nP:musl\nV:1.2\nA:x86_64\n\n");
    assert_false(system_packages_look(&packages, root)); /* looked at, and the same */
    put(root, "/lib/apk/db/installed", "P:musl\nV:1.3\nA:x86_64\n\n");
    assert_true(system_packages_look(&packages, root));
    assert_false(digest_eq(&first, &packages.digest));
    first = packages.digest;
    assert_true(system_packages_stand(&packages, root));
    put(root, "/usr/local/bin/tool", "1");
    assert_false(system_packages_stand(&packages, root));
    assert_true(system_packages_look(&packages, root));
    assert_true(system_packages_stand(&packages, root));
    assert_false(digest_eq(&first, &packages.digest));
    first = packages.digest;
    choose(root, "cc", "/usr/bin/gcc");
    assert_true(system_packages_look(&packages, root));
    struct digest gcc = packages.digest;
    assert_false(digest_eq(&first, &gcc));
    choose(root, "cc", "/usr/bin/clang");
    struct digest clang = packages_of(root);
    assert_false(digest_eq(&gcc, &clang));
    choose(root, "cc", "/usr/bin/gcc");
    choose(root, "cc.1.gz", "/usr/share/man/man1/gcc.1.gz");
    struct digest again = packages_of(root);
    assert_true(digest_eq(&gcc, &again));
    remove_root(root);
}

/* As who overwrites it: no name comes or goes. */
static void overwrite(const char *root, const char *path, const char *text)
{
    char *full = mem_printf("%s%s", root, path);
    int fd = open(full, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    free(full);
}

static void what_came_by_hand_counts(void **state)
{
    static const char *const noticed[] = {
        "/usr/local/bin/tool",
        "/usr/local/lib/python3.11/dist-packages/requests-2.0.dist-info/METADATA",
        "/usr/local/lib/node_modules/tsc/package.json",
        "/usr/local/share/x/y",
        "/opt/vendor/bin/cc",
        "/opt/.hidden",
    };
    char *root = new_root();
    struct system_packages packages = {0};
    (void)state;
    put(root, "/usr/local/lib/python3.11/dist-packages/a.py", "x");
    put(root, "/usr/local/lib/node_modules/npm/package.json", "x");
    assert_true(system_packages_look(&packages, root));
    for (size_t i = 0; i < sizeof noticed / sizeof *noticed; i++) {
        put(root, noticed[i], "1");
        assert_true(system_packages_look(&packages, root));
        assert_false(system_packages_look(&packages, root));
    }
    overwrite(root, "/usr/local/bin/tool", "another");
    assert_true(system_packages_look(&packages, root));
    /* What a link leads to, and where. */
    put(root, "/elsewhere/deep/tool", "1");
    put(root, "/elsewhere/deep/other", "1");
    char *link = mem_printf("%s/usr/local/bin/linked", root), *new = mem_printf("%s.new", link);
    assert_int_equal(symlink("../../../elsewhere/deep/tool", link), 0);
    assert_true(system_packages_look(&packages, root));
    overwrite(root, "/elsewhere/deep/tool", "12");
    assert_true(system_packages_look(&packages, root));
    assert_int_equal(symlink("../../../elsewhere/deep/other", new), 0);
    assert_int_equal(rename(new, link), 0);
    assert_true(system_packages_look(&packages, root));
    free(new);
    free(link);
    remove_root(root);
}

/* However much there is, what lies on top is looked at, and the rest is told by its directory. */
static void much_by_hand_is_cut(void **state)
{
    char *root = new_root();
    struct system_packages packages = {0};
    (void)state;
    put(root, "/usr/local/a/x", "1");
    for (int i = 0; i < 2 * SYSTEM_TREE_MAX; i++) {
        char path[64];
        snprintf(path, sizeof path, "/usr/local/many/f%d", i);
        put(root, path, "1");
    }
    put(root, "/usr/local/z/x", "1");
    char *many = mem_printf("%s/usr/local/many", root);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, many, old, 0), 0);
    free(many);
    assert_true(system_packages_look(&packages, root));
    assert_false(system_packages_look(&packages, root));
    overwrite(root, "/usr/local/a/x", "12");
    assert_true(system_packages_look(&packages, root));
    put(root, "/usr/local/many/another", "1");
    assert_true(system_packages_look(&packages, root));
    overwrite(root, "/usr/local/z/x", "12");
    assert_true(system_packages_look(&packages, root));
    remove_root(root);
}

static void other_systems_have_theirs(void **state)
{
    char *root = new_root();
    (void)state;
    struct digest none = packages_of(root);
    put(root, "/usr/bin/tool", "x");
    struct digest directories = packages_of(root);
    assert_false(digest_eq(&none, &directories));
    put(root, "/var/lib/pacman/local/bash-5.2-1/desc", "x");
    struct digest pacman = packages_of(root);
    put(root, "/usr/bin/other", "x"); /* packages are what counts where they are known */
    struct digest same = packages_of(root);
    assert_true(digest_eq(&pacman, &same));
    put(root, "/var/lib/pacman/local/bash-5.3-1/desc", "x");
    struct digest newer = packages_of(root);
    assert_false(digest_eq(&pacman, &newer));
    put(root, "/var/lib/rpm/rpmdb.sqlite", "1");
    struct digest rpm = packages_of(root);
    assert_false(digest_eq(&newer, &rpm));
    remove_root(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_runner_has_its_own),
        cmocka_unit_test(limits_and_caches_are_in_no_key),
        cmocka_unit_test(secret_files_are_there_by_their_hashes),
        cmocka_unit_test(people_have_words_for_them),
        cmocka_unit_test(only_names_versions_and_architectures_count),
        cmocka_unit_test(a_change_is_noticed_and_only_then_read),
        cmocka_unit_test(what_came_by_hand_counts),
        cmocka_unit_test(much_by_hand_is_cut),
        cmocka_unit_test(other_systems_have_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
