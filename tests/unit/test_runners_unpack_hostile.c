/* Layers that mean harm: nothing outside of theirs is touched (every teardown looks), and what is
 * refused is refused in words. */
#include "test_unpack.h"

static void test_paths_that_lead_up(void **state)
{
    struct rig *rig = *state;
    tar_file(&rig->tar, "../outside/file", "1");
    tar_file(&rig->tar, "/outside/file2", "2");
    tar_file(&rig->tar, "a/../../../outside/file3", "3");
    tar_dir(&rig->tar, "../outside/dir");
    tar_link(&rig->tar, '2', "../outside/link", "x");
    tar_file(&rig->tar, "..", "no");
    tar_end(&rig->tar);
    /* ".." is the root, which a file cannot be. */
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    assert_has(err_text(&rig->err), "place of the root");
    holds(rig, "outside/file", "1");
    holds(rig, "outside/file2", "2");
    holds(rig, "outside/file3", "3");
}

static void test_symlink_then_file(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '2', "relative", "../outside");
    tar_file(&rig->tar, "relative/file", "1");
    tar_link(&rig->tar, '2', "absolute", rig->outside);
    tar_file(&rig->tar, "absolute/file", "2");
    tar_link(&rig->tar, '2', "file", "../outside/file");
    tar_file(&rig->tar, "file", "3"); /* takes its place, and is not written through it */
    tar_link(&rig->tar, '2', "chain", "relative/../../../outside");
    tar_file(&rig->tar, "chain/file4", "4");
    tar_link(&rig->tar, '2', "self", "/proc/self/cwd");
    tar_file(&rig->tar, "self/file5", "5");
    unpack_good(rig);
    holds(rig, "outside/file", "1");
    holds(rig, "file", "3");
    holds(rig, "outside/file4", "4");
    holds(rig, "proc/self/cwd/file5", "5");
}

static void test_symlink_loops(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '2', "a", "b");
    tar_link(&rig->tar, '2', "b", "a");
    tar_file(&rig->tar, "a/file", "1");
    unpack_refused(rig, "too many symbolic links");
}

static void test_symlinks_that_grow(void **state)
{
    struct rig *rig = *state;
    char target[100];
    memset(target, 'd', sizeof target);
    target[99] = '\0';
    tar_link(&rig->tar, '2', "l0", target);
    for (int i = 1; i < 41; i++) {
        char name[8], to[100];
        snprintf(name, sizeof name, "l%d", i);
        snprintf(to, sizeof to, "l%d/%.80s", i - 1, target);
        tar_link(&rig->tar, '2', name, to);
    }
    tar_file(&rig->tar, "l39/file", "1");
    tar_file(&rig->tar, "l40/file", "1");
    unpack_refused(rig, "too many symbolic links");
}

static void test_hardlinks_out(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '1', "a", "../outside/file");
    unpack_refused(rig, "not in the image");
    tar_link(&rig->tar, '1', "a", rig->outside);
    unpack_refused(rig, "not in the image");
    tar_link(&rig->tar, '2', "link", "../outside/file");
    tar_link(&rig->tar, '1', "a", "link"); /* of the link itself */
    tar_file(&rig->tar, "a", "1");
    unpack_good(rig);
    holds(rig, "a", "1");
    leads_to(rig, "link", "../outside/file");
    tar_link(&rig->tar, '2', "dir", "../outside");
    tar_link(&rig->tar, '1', "a", "dir/file");
    unpack_refused(rig, "not in the image");
    tar_dir(&rig->tar, "dir");
    tar_link(&rig->tar, '1', "a", "dir");
    unpack_refused(rig, "not in the image");
    tar_link(&rig->tar, '1', "a", "/");
    unpack_refused(rig, "hard link to nothing");
    tar_link(&rig->tar, '1', "a", "");
    unpack_refused(rig, "hard link to nothing");
}

static void test_root_that_is_replaced(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '2', ".", "../outside");
    tar_file(&rig->tar, "file", "1");
    unpack_refused(rig, "place of the root");
    tar_link(&rig->tar, '2', "./", "../outside");
    unpack_refused(rig, "place of the root");
    tar_file(&rig->tar, "a/..", "1");
    unpack_refused(rig, "place of the root");
    tar_file(&rig->tar, "", "1");
    unpack_refused(rig, "place of the root");
}

static void test_dev_as_a_symlink(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '2', "dev", "../outside");
    tar_header(&rig->tar, '3', "dev/null", "", 0, 0666, 0);
    tar_file(&rig->tar, "dev/shm", "1");
    unpack_good(rig);
    leads_to(rig, "dev", "../outside");
    holds(rig, "outside/shm", "1");
}

/* One layer brings the link, the next one goes through it. */
static void test_two_layers(void **state)
{
    struct rig *rig = *state;
    tar_link(&rig->tar, '2', "out", "../outside");
    tar_link(&rig->tar, '2', "abs", rig->outside);
    tar_link(&rig->tar, '2', "passwd", "/etc/passwd");
    tar_dir(&rig->tar, "was-dir");
    unpack_good(rig);
    tar_file(&rig->tar, "out/file", "1");
    tar_file(&rig->tar, "abs/file", "2");
    tar_link(&rig->tar, '1', "hard", "passwd");
    tar_link(&rig->tar, '2', "was-dir", "../outside");
    tar_file(&rig->tar, "was-dir/file6", "6");
    tar_file(&rig->tar, "out/.wh.file", "");
    tar_file(&rig->tar, "abs/.wh..wh..opq", "");
    unpack_good(rig);
    holds(rig, "outside/file", "1");
    holds(rig, "outside/file6", "6");
    leads_to(rig, "hard", "/etc/passwd");
    /* And the third through what the second has made of it. */
    tar_link(&rig->tar, '1', "again", "out/file");
    tar_file(&rig->tar, "was-dir/file7", "7");
    unpack_good(rig);
    holds(rig, "again", "1");
    holds(rig, "outside/file7", "7");
}

static void test_whiteouts_of_what_is_not_a_name(void **state)
{
    struct rig *rig = *state;
    static const char *const names[] = {".wh.", ".wh..", ".wh...", "a/.wh..."};
    tar_file(&rig->tar, "a/b", "1");
    unpack_good(rig);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tar_file(&rig->tar, names[i], "");
        unpack_refused(rig, "hides nothing");
    }
}

/* A device 0/0 in a layer would hide what lies below, unseen by whoever reads the layer. */
static void test_devices_are_no_whiteouts(void **state)
{
    struct rig *rig = *state;
    tar_file(&rig->tar, "file", "1");
    unpack_good(rig);
    tar_header(&rig->tar, '3', "file", "", 0, 0, 0);
    unpack_good(rig);
    assert_false(is_there(rig, "file"));
    assert_int_equal(rig->counts.devices, 1);
}

static void test_files_as_directories(void **state)
{
    struct rig *rig = *state;
    tar_file(&rig->tar, "a", "1");
    tar_file(&rig->tar, "a/b", "2");
    unpack_refused(rig, "no directory");
    tar_link(&rig->tar, '2', "l", "f");
    tar_file(&rig->tar, "f", "");
    tar_file(&rig->tar, "l/b", "2");
    unpack_refused(rig, "no directory");
}

static void test_bombs(void **state)
{
    struct rig *rig = *state;
    char *big = mem_zalloc(1, 100000);
    memset(big, 'x', 99999);
    rig->limits.bytes = 50000;
    rig->packed = 1000;
    tar_file(&rig->tar, "big", big);
    unpack_refused(rig, "a bomb");
    rig->packed = 100;
    tar_file(&rig->tar, "big", big);
    unpack_good(rig);
    rig->packed = 1;
    rig->limits = unpack_usual;
    rig->limits.entries = 3;
    for (int i = 0; i < 4; i++)
        tar_dir(&rig->tar, "d");
    unpack_refused(rig, "more than 3 entries");
    rig->limits = unpack_usual;
    rig->limits.free = UINT64_MAX;
    tar_file(&rig->tar, "big", big);
    tar_end(&rig->tar);
    assert_fails(unpack_next(rig), ERR_SYSTEM, &rig->err);
    assert_has(err_text(&rig->err), "make room");
    /* Copies of what lies below count as well. */
    rig->limits = unpack_usual;
    tar_file(&rig->tar, "big", big);
    unpack_good(rig);
    rig->limits.bytes = 50000;
    rig->limits.ratio = 10;
    tar_link(&rig->tar, '1', "copy", "big");
    unpack_refused(rig, "a bomb");
    free(big);
}

/* --- tars that are none --- */

static void test_sizes_that_lie(void **state)
{
    struct rig *rig = *state;
    tar_header(&rig->tar, '0', "a", "", 5000, 0644, 0);
    buf_adds(&rig->tar, "short");
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    assert_has(err_text(&rig->err), "ends in the middle of a file");
    tar_pax(&rig->tar, "size", "9223372036854775807", 19);
    tar_file(&rig->tar, "a", "text");
    tar_end(&rig->tar);
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    tar_pax(&rig->tar, "size", "99999999999999999999999", 23);
    tar_file(&rig->tar, "a", "text");
    unpack_refused(rig, "number");
    tar_pax(&rig->tar, "size", "-1", 2);
    tar_file(&rig->tar, "a", "text");
    unpack_refused(rig, "number");
    /* Of a link nothing follows, whatever it says. */
    tar_header(&rig->tar, '2', "l", "x", 512, 0777, 0);
    tar_file(&rig->tar, "after", "it");
    unpack_good(rig);
    holds(rig, "after", "it");
}

static void test_malformed(void **state)
{
    struct rig *rig = *state;
    static const char *const records[] = {"5 a=b\n", "99 a=b\n", "6 ab\n",
                                          "x",       "6 =bb\n",  "00000000000000006 a=b\n",
                                          "3 a",     "7 a=bb"};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        tar_raw(&rig->tar, 'x', "pax", records[i], strlen(records[i]));
        tar_file(&rig->tar, "a", "");
        tar_end(&rig->tar);
        assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
        if (rig->n == MOST_LAYERS)
            while (rig->n > 0)
                close(rig->layers[--rig->n]);
    }
    while (rig->n > 0)
        close(rig->layers[--rig->n]);
    tar_file(&rig->tar, "a", "");
    rig->tar.data[0] ^= 1;
    unpack_refused(rig, "checksum");
    tar_header(&rig->tar, 'Z', "a", "", 0, 0644, 0);
    unpack_refused(rig, "type");
    tar_pax(&rig->tar, "path", "a\0b", 3);
    tar_file(&rig->tar, "a", "");
    unpack_refused(rig, "NUL");
}

static void test_ends(void **state)
{
    struct rig *rig = *state;
    /* Without any mark: fine. */
    tar_file(&rig->tar, "a", "1");
    assert_ok(unpack_next(rig), &rig->err);
    /* Nothing at all. */
    assert_ok(unpack_next(rig), &rig->err);
    /* Half a header. */
    tar_file(&rig->tar, "a", "1");
    buf_adds(&rig->tar, "half");
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    /* One zero block, then another entry: some would see it, some not. */
    tar_file(&rig->tar, "a", "1");
    buf_add(&rig->tar, (const char[512]){0}, 512);
    tar_file(&rig->tar, "b", "2");
    unpack_refused(rig, "behind a mark of its end");
    /* A name for an entry that never comes. */
    tar_pax(&rig->tar, "path", "b", 1);
    unpack_refused(rig, "ends where an entry is expected");
    /* Behind two, nobody looks. */
    tar_file(&rig->tar, "a", "1");
    tar_end(&rig->tar);
    tar_file(&rig->tar, "b", "2");
    unpack_good(rig);
    assert_false(is_there(rig, "b"));
}

static void test_names_that_are_too_long(void **state)
{
    struct rig *rig = *state;
    char name[300], path[5000];
    memset(name, 'n', sizeof name);
    memset(path, '/', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 2)
        path[i] = 'd';
    tar_pax(&rig->tar, "path", name, sizeof name);
    tar_file(&rig->tar, "a", "");
    unpack_refused(rig, "too long");
    tar_pax(&rig->tar, "path", path, sizeof path);
    tar_file(&rig->tar, "a", "");
    unpack_refused(rig, "too long");
    tar_pax(&rig->tar, "linkpath", path, sizeof path);
    tar_link(&rig->tar, '2', "l", "x");
    unpack_refused(rig, "too long");
    tar_link(&rig->tar, '2', "l", "");
    unpack_refused(rig, "no target");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_paths_that_lead_up),
        rig_test(test_symlink_then_file),
        rig_test(test_symlink_loops),
        rig_test(test_symlinks_that_grow),
        rig_test(test_hardlinks_out),
        rig_test(test_root_that_is_replaced),
        rig_test(test_dev_as_a_symlink),
        rig_test(test_two_layers),
        rig_test(test_whiteouts_of_what_is_not_a_name),
        rig_test(test_devices_are_no_whiteouts),
        rig_test(test_files_as_directories),
        rig_test(test_bombs),
        rig_test(test_sizes_that_lie),
        rig_test(test_malformed),
        rig_test(test_ends),
        rig_test(test_names_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
