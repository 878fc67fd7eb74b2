/* kiln.lock: what is read, what is written, and what others write meanwhile. */
#include "config/lock.h"
#include "test_cache.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct digest digest(char c)
{
    char hex[DIGEST_HEX + 1];
    struct digest out;
    memset(hex, c, DIGEST_HEX);
    hex[DIGEST_HEX] = '\0';
    assert_true(digest_parse(hex, 0, &out));
    return out;
}

static char *lock_file(const char *dir)
{
    return path_join(dir, LOCK_NAME);
}

static void test_round_trip(void **state)
{
    struct err err = ERR_INIT;
    struct digest a = digest('a'), b = digest('b');
    struct lock lock = LOCK_INIT, again;
    struct buf text = BUF_INIT;
    (void)state;
    lock_set(&lock, "z", "linux/amd64", &b, &b);
    lock_set(&lock, "a\"b", "linux/arm64", &a, &b);
    lock_set(&lock, "a\"b", "linux/amd64", &a, &a);
    lock_text(&lock, &text);
    assert_string_equal(
        text.data, "{\n  \"version\": 1,\n  \"images\": [\n"
                   "    {\"image\": \"a\\\"b\", \"platform\": \"linux/amd64\", \"digest\": \"" A
                   "\", \"manifest\": \"" A "\"},\n"
                   "    {\"image\": \"a\\\"b\", \"platform\": \"linux/arm64\", \"digest\": \"" A
                   "\", \"manifest\": \"" B "\"},\n"
                   "    {\"image\": \"z\", \"platform\": \"linux/amd64\", \"digest\": \"" B
                   "\", \"manifest\": \"" B "\"}\n"
                   "  ]\n}\n");
    assert_ok(lock_parse(text.data, text.len, "kiln.lock", &again, &err), &err);
    assert_int_equal(again.entries.n, 3);
    const struct lock_entry *entry = lock_find(&again, "a\"b", "linux/arm64");
    assert_non_null(entry);
    assert_memory_equal(entry->digest.hash, a.hash, DIGEST_BYTES);
    assert_memory_equal(entry->manifest.hash, b.hash, DIGEST_BYTES);
    assert_null(lock_find(&again, "a", "linux/arm64"));
    assert_null(lock_find_any(&again, "a"));
    assert_string_equal(lock_find_any(&again, "a\"b")->platform, "linux/amd64");
    buf_release(&text);
    lock_release(&lock);
    lock_release(&again);
}

static void test_writing(void **state)
{
    struct err err = ERR_INIT;
    struct digest a = digest('a'), b = digest('b');
    char *dir = scratch_make(), *path = lock_file(dir);
    struct lock mine, other;
    struct stat before, after;
    (void)state;
    assert_ok(lock_read(path, &mine, &err), &err); /* not there: empty */
    assert_ok(lock_write(&mine, path, &err), &err);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing to write */
    lock_set(&mine, "mine", "p", &a, &a);
    lock_set(&mine, "gone", "p", &a, &a);
    assert_ok(lock_write(&mine, path, &err), &err);
    assert_int_equal(stat(path, &before), 0);
    lock_set(&mine, "mine", "p", &a, &a); /* as it is */
    assert_ok(lock_write(&mine, path, &err), &err);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* Somebody else pins another one meanwhile. */
    assert_ok(lock_read(path, &other, &err), &err);
    lock_set(&other, "other", "p", &b, &b);
    assert_ok(lock_write(&other, path, &err), &err);
    lock_set(&mine, "mine", "p", &b, &b);
    lock_drop(&mine, "gone", "p");
    lock_drop(&mine, "never", "p");
    assert_ok(lock_write(&mine, path, &err), &err);
    lock_release(&other);
    assert_ok(lock_read(path, &other, &err), &err);
    assert_int_equal(other.entries.n, 2);
    assert_memory_equal(lock_find(&other, "mine", "p")->digest.hash, b.hash, DIGEST_BYTES);
    assert_non_null(lock_find(&other, "other", "p"));
    /* To the same. */
    assert_int_equal(stat(path, &before), 0);
    lock_set(&mine, "other", "p", &b, &b);
    assert_ok(lock_write(&mine, path, &err), &err);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    lock_release(&mine);
    lock_release(&other);
    free(path);
    scratch_remove(dir);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *words;
    } faults[] = {
        {"", "kiln.lock:1:1: "},
        {"[]", "kiln.lock:1:1: an object is expected"},
        {"{}", "kiln.lock:1:1: there is no \"version\""},
        {"{\"version\": 2, \"pins\": []}", "kiln.lock:1:13: this kiln knows version 1 only"},
        {"{\"version\": \"1\"}", "kiln.lock:1:13: this kiln knows"},
        {"{\"version\": 1}", "there are no \"images\""},
        {"{\"version\": 1, \"images\": {}}", "kiln.lock:1:26: a list is expected"},
        {"{\"version\": 1, \"images\": [1]}", "kiln.lock:1:27: an image is expected"},
        {"{\"version\": 1, \"pins\": 1}", "kiln.lock:1:16: there is no key \"pins\""},
        {"{\"version\": 1, \"images\": [\n{\"image\": \"a\", \"tag\": \"b\"}]}",
         "kiln.lock:2:16: there is no key \"tag\""},
        {"{\"version\": 1, \"images\": [\n{\"image\": \"\"}]}",
         "kiln.lock:2:11: a text that is not empty"},
        {"{\"version\": 1, \"images\": [\n{\"image\": \"a\", \"platform\": \"p\"}]}",
         "kiln.lock:2:1: the image has no \"digest\""},
        {"{\"version\": 1, \"images\": [\n{\"image\": \"a\", \"platform\": \"p\", \"digest\": "
         "\"md5:1\"}]}",
         "kiln.lock:2:43: this is not a digest"},
        {"{\"version\": 1, \"images\": [{\"image\": \"a\", \"platform\": \"p\", \"digest\": \"" A
         "\"},\n"
         "{\"image\": \"a\", \"platform\": \"p\", \"digest\": \"" B "\"}]}",
         "kiln.lock:2:1: this image has a line above already"},
        {"{\n<<<<<<< mine\n\"version\": 1\n=======\n", "kiln.lock:2:1: two branches"},
        {"{\"version\": 1, \"version\": 1}", "given twice"},
    };
    struct err err = ERR_INIT;
    struct lock lock;
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        assert_fails(lock_parse(faults[i].text, strlen(faults[i].text), "kiln.lock", &lock, &err),
                     ERR_CONFIG, &err);
        assert_has(err_text(&err), faults[i].words);
        lock_release(&lock);
        err_release(&err);
    }
}

/* A file with a fault is not written over. */
static void test_a_fault_stays(void **state)
{
    struct err err = ERR_INIT;
    struct digest a = digest('a');
    char *dir = scratch_make(), *path = lock_file(dir);
    struct lock lock = LOCK_INIT;
    struct buf text = BUF_INIT;
    (void)state;
    write_text(dir, LOCK_NAME, "<<<<<<< x\n", 10, 0644);
    lock_set(&lock, "a", "p", &a, &a);
    assert_fails(lock_write(&lock, path, &err), ERR_CONFIG, &err);
    err_release(&err);
    assert_ok(file_read(path, 100, &text, &err), &err);
    assert_string_equal(text.data, "<<<<<<< x\n");
    buf_release(&text);
    lock_release(&lock);
    free(path);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_fault_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
