/* The fsck: every kind of damage is named and mended, and what is right is left alone. */
#include "test_cache_care.h"

#include "cache/statcache.h"

static size_t verify(struct fixture *f, struct verify_report *report)
{
    struct err err = ERR_INIT;
    assert_ok(cache_verify(f->cache, NULL, NULL, report, &err), &err);
    return report->findings.n;
}

/* The one thing that is wrong, and how it is told; afterwards all is right. */
static void assert_found(struct fixture *f, const char *sub, const char *problem, const char *done)
{
    struct verify_report report;
    if (verify(f, &report) != 1)
        fail_msg("%zu findings, the first: %s", report.findings.n,
                 report.findings.n ? report.findings.v[0].problem : "none");
    assert_int_equal(strncmp(report.findings.v[0].name, sub, strlen(sub)), 0);
    assert_has(report.findings.v[0].problem, problem);
    assert_string_equal(report.findings.v[0].done, done);
    verify_report_release(&report);
    assert_int_equal(verify(f, &report), 0);
    verify_report_release(&report);
}

static void overwrite(const char *path, const char *text)
{
    struct err err = ERR_INIT;
    assert_ok(file_write_atomic(path, text, strlen(text), 0444, &err), &err);
}

static void test_all_right(void **state)
{
    struct fixture *f = *state;
    struct verify_report report;
    struct digest tree;
    put_result(f, "a", "output", "log", 10);
    put_tree_result(f, "t", "1", "2", 10, &tree);
    put_tree_result(f, "the same", "1", "2", 10, &tree);
    put_tree_result(f, "and again", "1", "2", 10, &tree);
    put(f, "");
    put(f, "named by nobody");
    assert_int_equal(verify(f, &report), 0);
    assert_int_equal(report.checked.blobs, 7);
    assert_int_equal(report.checked.actions, 4);
    verify_report_release(&report);
}

static void test_blobs(void **state)
{
    struct fixture *f = *state;
    struct digest digest = put(f, "content");
    char *path = stored_path(f, "cas", &digest);
    static const struct {
        const char *text, *problem;
    } wrong[] = {{"cOntent", "another digest"},
                 {"conten", "another digest"},
                 {"content.", "another digest"},
                 {"", "it is empty"}};
    for (size_t i = 0; i < 4; i++) {
        put(f, "content");
        overwrite(path, wrong[i].text);
        assert_found(f, "cas/", wrong[i].problem, "set aside");
        assert_false(stored(f, "cas", &digest));
    }
    put(f, "content");
    assert_int_equal(chmod(path, 0644), 0);
    assert_found(f, "cas/", "mode is 644", "set to 444");
    assert_true(stored(f, "cas", &digest));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_found(f, "cas/", "a directory", "set aside");
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_found(f, "cas/", "a symbolic link", "set aside");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_found(f, "cas/", "a FIFO", "set aside");
    free(path);
}

static void test_strays(void **state)
{
    struct fixture *f = *state;
    struct digest digest = put(f, "content");
    char hex[DIGEST_HEX + 1];
    digest_hex(&digest, hex);
    char *cas = path_join(f->path, "v1/cas");
    char *path = stored_path(f, "cas", &digest), *shard = mem_strndup(path, strlen(path) - 65);
    char *other = path_join(cas, "zz");
    write_text(cas, "README", "x", 1, 0644);
    assert_found(f, "cas/README", "none of the cache's directories", "set aside");
    assert_int_equal(mkdir(other, 0755), 0);
    assert_found(f, "cas/zz", "none of the cache's directories", "set aside");
    write_text(shard, "a\nb", "x", 1, 0644);
    assert_found(f, "cas/", "no digest", "set aside");
    char *moved = mem_printf("%s/%c%c/%s", cas, hex[0] == '0' ? '1' : '0', hex[1], hex);
    *strrchr(moved, '/') = '\0';
    (void)mkdir(moved, 0755);
    moved[strlen(moved)] = '/';
    assert_int_equal(rename(path, moved), 0);
    assert_found(f, "cas/", "a directory of other digests", "set aside");
    free(moved);
    free(other);
    free(shard);
    free(path);
    free(cas);
}

static void test_results(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest a = put_result(f, "a", "1", "log", 10), b = put_result(f, "b", "2", NULL, 10);
    char *path_a = stored_path(f, "ac", &a), *path_b = stored_path(f, "ac", &b);
    assert_ok(file_read(path_a, 1 << 20, &buf, &err), &err);
    assert_ok(file_write_atomic(path_b, buf.data, buf.len, 0444, &err), &err);
    assert_found(f, "ac/", "the result of another action", "set aside");
    assert_ok(file_write_atomic(path_a, buf.data, buf.len - 1, 0444, &err), &err);
    assert_found(f, "ac/", "damaged", "set aside");
    overwrite(path_a, "");
    assert_found(f, "ac/", "empty", "set aside");
    overwrite(path_a, "garbage of some length, more than a seal has in bytes");
    assert_found(f, "ac/", "damaged", "set aside");
    assert_false(stored(f, "ac", &a) || stored(f, "ac", &b));
    free(path_a);
    free(path_b);
    buf_release(&buf);
}

static void test_dangling(void **state)
{
    struct fixture *f = *state;
    struct digest tree, blob;
    const char *const texts[] = {"output", "log"};
    for (size_t i = 0; i < 2; i++) {
        struct digest key = put_result(f, "a", "output", "log", 10);
        blob = digest_str(texts[i]);
        char *path = stored_path(f, "cas", &blob);
        assert_int_equal(unlink(path), 0);
        assert_found(f, "ac/", i ? "its log is not there" : "its output \"out\" is not there",
                     "set aside");
        assert_false(stored(f, "ac", &key));
        free(path);
    }
    for (size_t i = 0; i < 3; i++) {
        put_tree_result(f, "t", "1", "2", 10, &tree);
        blob = i == 0 ? tree : digest_str(i == 1 ? "1" : "2");
        char *path = stored_path(f, "cas", &blob);
        assert_int_equal(unlink(path), 0);
        assert_found(f, "ac/", "not all of its output \"d\"", "set aside");
        free(path);
    }
    /* Damaged content makes dangling results, all told at once. */
    struct verify_report report;
    put_tree_result(f, "t", "1", "2", 10, &tree);
    blob = digest_str("2");
    char *path = stored_path(f, "cas", &blob);
    overwrite(path, "3");
    assert_int_equal(verify(f, &report), 2);
    verify_report_release(&report);
    free(path);
}

static void test_stat_caches(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct verify_report report;
    char hex[DIGEST_HEX + 1];
    struct digest id = digest_str("/nowhere");
    digest_hex(&id, hex);
    char *stat = path_join(f->path, "v1/stat"), *path = path_join(stat, hex);
    char *other = path_join(stat, "00");
    struct statcache_writer *writer = statcache_writer_new("/nowhere");
    assert_ok(statcache_writer_save(writer, path, &err), &err);
    assert_int_equal(verify(f, &report), 0);
    assert_int_equal(report.stat_caches, 1);
    verify_report_release(&report);
    set_age(path, 40 * 86400);
    assert_found(f, "stat/", "its project is gone", "removed");
    assert_ok(statcache_writer_save(writer, other, &err), &err);
    assert_found(f, "stat/00", "of another project", "removed");
    assert_ok(statcache_writer_save(writer, path, &err), &err);
    assert_int_equal(truncate(path, 50), 0);
    assert_found(f, "stat/", "damaged", "removed");
    /* One that is being written is left to its writer; one that nobody ends is not. */
    write_text(stat, ".kiln-1-1.tmp", "beg", 3, 0600);
    assert_int_equal(verify(f, &report), 0);
    assert_int_equal(report.stat_caches, 0);
    verify_report_release(&report);
    char *unfinished = path_join(stat, ".kiln-1-1.tmp");
    set_age(unfinished, 2 * 3600);
    assert_found(f, "stat/.kiln", "damaged", "removed");
    free(unfinished);
    statcache_writer_free(writer);
    free(other);
    free(path);
    free(stat);
}

/* A stat cache that is whole, but says something else of a file, or a link, than is there. */
static void test_lies(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct verify_report report;
    char hex[DIGEST_HEX + 1];
    char *root = path_join(f->path, "project"), *stat_path;
    assert_int_equal(mkdir(root, 0755), 0);
    write_text(root, "file", "text", 4, 0644);
    assert_int_equal(symlinkat("there", AT_FDCWD, stat_path = path_join(root, "link")), 0);
    free(stat_path);
    struct digest id = digest_of(root, strlen(root));
    digest_hex(&id, hex);
    stat_path = mem_printf("%s/v1/stat/%s", f->path, hex);
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 4; i++) {
        struct statcache_writer *writer = statcache_writer_new(root);
        struct statcache_dir dir = {.path = ""};
        struct statcache_entry file = {.name = "file",
                                       .len = 4,
                                       .flags = STATCACHE_DIGEST,
                                       .kind = STATCACHE_FILE,
                                       .recorded_ns = INT64_MAX,
                                       .digest = digest_str(i == 1 ? "lie!" : "text")};
        struct statcache_entry link = {.name = "link",
                                       .len = 4,
                                       .flags = STATCACHE_TARGET,
                                       .kind = STATCACHE_LINK,
                                       .recorded_ns = INT64_MAX,
                                       .target = i == 2 ? "where" : "there"};
        struct stat st;
        assert_int_equal(fstatat(fd, "file", &st, 0), 0);
        file.stamp = stamp_of(&st);
        file.recorded_ns = i == 3 ? 0 : INT64_MAX; /* one that is not trusted anyway */
        file.digest = i == 3 ? digest_str("lie!") : file.digest;
        assert_int_equal(fstatat(fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
        link.stamp = stamp_of(&st);
        statcache_writer_dir(writer, &dir);
        statcache_writer_add(writer, &file);
        statcache_writer_add(writer, &link);
        assert_ok(statcache_writer_save(writer, stat_path, &err), &err);
        statcache_writer_free(writer);
        if (i == 1)
            assert_found(f, "stat/", "project/file is not what it says", "removed");
        else if (i == 2)
            assert_found(f, "stat/", "project/link is not what it says", "removed");
        else
            assert_int_equal(verify(f, &report), 0);
        if (i != 1 && i != 2)
            verify_report_release(&report);
    }
    close(fd);
    free(stat_path);
    free(root);
}

#define with_cache(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cache(test_all_right), with_cache(test_blobs),    with_cache(test_strays),
        with_cache(test_results),   with_cache(test_dangling), with_cache(test_stat_caches),
        with_cache(test_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
