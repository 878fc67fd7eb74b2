/* Finding and loading kiln.json from a real directory, whatever stands in its place. */
#include "test_config.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char good[] = "{\"version\": 1, \"steps\": {\"a\": {\"run\": \"x\"}}}";

/* The folder of one test, with links resolved, and a scratch path in it. */
struct place {
    char *root;
    char path[4096];
};

static char *in(struct place *place, const char *name)
{
    snprintf(place->path, sizeof(place->path), "%s/%s", place->root, name);
    return place->path;
}

static void put(struct place *place, const char *name, const char *text)
{
    assert_int_equal(file_write_atomic(in(place, name), text, strlen(text), 0644, NULL), 0);
}

static void make_dir(struct place *place, const char *name)
{
    assert_int_equal(file_mkdirs(in(place, name), 0755, NULL), 0);
}

static int set_up(void **state)
{
    struct place *place = mem_zalloc(1, sizeof(*place));
    const char *base = getenv("TMPDIR");
    char *pattern = mem_printf("%s/kiln-config-XXXXXX", base && *base ? base : "/tmp");

    assert_non_null(mkdtemp(pattern));
    place->root = realpath(pattern, NULL);
    assert_non_null(place->root);
    free(pattern);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    int code = file_remove_tree(AT_FDCWD, place->root, NULL);
    free(place->root);
    free(place);
    return code;
}

static void expect_found(struct place *place, const char *from, const char *file)
{
    char *path = NULL, *start = mem_strdup(in(place, from));
    assert_int_equal(config_find(start, &path, NULL), 0);
    if (file) {
        assert_non_null(path);
        assert_string_equal(path, in(place, file));
    } else {
        assert_null(path);
    }
    free(start);
    free(path);
}

static void the_file_is_found_upwards(void **state)
{
    struct place *place = *state;
    struct err err = ERR_INIT;
    char *path = NULL;

    make_dir(place, "repo/.git");
    make_dir(place, "repo/sub/deep");
    make_dir(place, "repo/tree/deep");
    put(place, "kiln.json", good);
    put(place, "repo/tree/.git", "gitdir: elsewhere\n"); /* a worktree's or a submodule's */
    expect_found(place, "repo/sub/deep", NULL);          /* not past the git root */
    put(place, "repo/kiln.json", good);
    expect_found(place, "repo", "repo/kiln.json");
    expect_found(place, "repo/sub/deep", "repo/kiln.json");
    expect_found(place, "repo/tree/deep", NULL);
    put(place, "repo/sub/kiln.json", good);
    expect_found(place, "repo/sub/deep", "repo/sub/kiln.json");
    make_dir(place, "plain/deep");
    expect_found(place, "plain/deep", "kiln.json");
    assert_int_equal(symlink("plain/deep", in(place, "link")), 0);
    expect_found(place, "link", "kiln.json");
    make_dir(place, "plain/kiln.json"); /* found, and refused when loaded */
    expect_found(place, "plain/deep", "plain/kiln.json");
    assert_int_equal(config_find(in(place, "nowhere"), &path, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "cannot enter"));
    err_release(&err);
}

static void the_folder_of_the_file_is_the_project(void **state)
{
    struct place *place = *state;
    struct config *config = NULL;

    make_dir(place, "real/app");
    put(place, "real/app/kiln.json", good);
    assert_int_equal(symlink("real", in(place, "link")), 0);
    assert_int_equal(config_load(in(place, "link/app/kiln.json"), NULL, &config, NULL), 0);
    assert_string_equal(config->root, in(place, "real/app"));
    assert_string_equal(config->path, in(place, "real/app/kiln.json"));
    assert_string_equal(config->shown, "kiln.json");
    assert_string_equal(config->name, "app");
    config_free(config);

    assert_int_equal(chdir(in(place, "real/app")), 0);
    assert_int_equal(config_load("kiln.json", NULL, &config, NULL), 0);
    assert_string_equal(config->root, in(place, "real/app"));
    config_free(config);
    assert_int_equal(chdir("/"), 0);
}

static void a_file_outside_of_the_project_is_shown_as_given(void **state)
{
    struct place *place = *state;
    struct config *config = NULL;
    struct err err = ERR_INIT;
    char *root;

    make_dir(place, "project");
    make_dir(place, "kept");
    put(place, "kept/k.json", good);
    put(place, "kept/bad.json", "{");
    root = mem_strdup(in(place, "project"));
    assert_int_equal(chdir(place->root), 0);
    assert_int_equal(config_load("kept/../kept/k.json", root, &config, NULL), 0);
    assert_string_equal(config->root, root);
    assert_string_equal(config->path, in(place, "kept/k.json"));
    assert_string_equal(config->shown, "kept/../kept/k.json");
    assert_string_equal(config->name, "project");
    config_free(config);
    assert_int_equal(config_load("kept/bad.json", root, &config, &err), -ERR_CONFIG);
    assert_int_equal(strncmp(err_text(&err), "kept/bad.json:1:2: ", 19), 0);
    assert_int_equal(config_load("kept/k.json", in(place, "gone"), &config, &err), -ERR_CONFIG);
    assert_non_null(
        strstr(err_text(&err), "gone cannot be entered (No such file or directory); name another"));
    assert_int_equal(config_load("kept/k.json", "kept/k.json", &config, &err), -ERR_CONFIG);
    assert_non_null(strstr(err_text(&err), "kept/k.json is not a directory; name another"));
    assert_int_equal(chdir("/"), 0);
    err_release(&err);
    free(root);
}

static void expect_refused(struct place *place, const char *name, const char *words)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(config_load(in(place, name), NULL, &config, &err), -ERR_CONFIG);
    if (!strstr(err_text(&err), words))
        fail_msg("expected %s, message %s", words, err_text(&err));
    err_release(&err);
}

static void what_is_no_readable_file_is_refused(void **state)
{
    struct place *place = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    make_dir(place, "d/kiln.json");
    expect_refused(place, "d/kiln.json",
                   "d/kiln.json is a directory; the pipeline must be a regular file");
    assert_int_equal(mkfifo(in(place, "fifo"), 0600), 0);
    expect_refused(place, "fifo", "fifo is a FIFO; the pipeline must be a regular file");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_true(strlen(in(place, "sock")) < sizeof(address.sun_path));
    strcpy(address.sun_path, in(place, "sock"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    expect_refused(place, "sock", "sock is a socket;");
    assert_int_equal(symlink("/dev/zero", in(place, "zero")), 0);
    expect_refused(place, "zero", "zero is a device;");
    assert_int_equal(symlink("loop", in(place, "loop")), 0);
    expect_refused(place, "loop", "loop is a symbolic link that leads in a circle; mend it");
    assert_int_equal(symlink("gone", in(place, "dangling")), 0);
    expect_refused(place, "dangling", "dangling is a symbolic link to nothing; mend or remove it");
    expect_refused(place, "gone", "there is no file");
    put(place, "empty", "");
    expect_refused(place, "empty", "empty:1:1: the file is empty; start with");
    put(place, "closed", good);
    assert_int_equal(chmod(in(place, "closed"), 0), 0);
    if (geteuid() != 0) /* root reads everything */
        expect_refused(place, "closed", "closed may not be read (permission denied)");
}

static void a_huge_file_is_refused(void **state)
{
    struct place *place = *state;
    int fd = open(in(place, "huge"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    close(fd);
    expect_refused(place, "huge", "huge is larger than 16 MiB; split the pipeline up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_file_is_found_upwards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_folder_of_the_file_is_the_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_outside_of_the_project_is_shown_as_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_readable_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_huge_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
