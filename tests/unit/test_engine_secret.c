/* Secrets' values: where they come from, what stands for them, and the user's key. */
#include "engine/secret.h"

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_up(void **state)
{
    char *dir = mem_strdup("/tmp/kiln-test-secret-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("HOME", dir, 1);
    *state = dir;
    return 0;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    int rc = file_remove_tree(AT_FDCWD, *state, &err);
    err_release(&err);
    free(*state);
    return rc;
}

static char *put(const char *dir, const char *name, const char *text, size_t n, mode_t mode)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name);
    assert_int_equal(file_write_atomic(path, text, n, mode, &err), 0);
    return path;
}

static void check_fails(int rc, struct err *err, enum err_kind kind, const char *words)
{
    assert_int_equal(rc, -(int)kind);
    if (!strstr(err_text(err), words))
        fail_msg("\"%s\" is not in \"%s\"", words, err_text(err));
    err_release(err);
}

static void values_come_from_the_environment(void **state)
{
    struct secret_value value = {0};
    struct err err = ERR_INIT;
    (void)state;
    setenv("KILN_TEST_SECRET", "hunter2\n", 1);
    assert_int_equal(secret_from_env("KILN_TEST_SECRET", &value, &err), 0);
    assert_int_equal(value.n, 8);
    assert_string_equal(value.bytes, "hunter2\n");
    secret_value_release(&value);
    assert_null(value.bytes);
    setenv("KILN_TEST_SECRET", "", 1);
    assert_int_equal(secret_from_env("KILN_TEST_SECRET", &value, &err), 0);
    assert_int_equal(value.n, 0);
    secret_value_release(&value);
    unsetenv("KILN_TEST_SECRET");
    check_fails(secret_from_env("KILN_TEST_SECRET", &value, &err), &err, ERR_USAGE,
                "the variable KILN_TEST_SECRET is not set; set it for kiln");
}

static void values_come_from_files(void **state)
{
    const char *dir = *state;
    struct secret_value value = {0};
    struct err err = ERR_INIT;
    char *path = put(dir, "key", "a\0b\n", 4, 0600);
    const char *const names[] = {path, "key", "~/key"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(secret_from_file(names[i], dir, NULL, &value, &err), 0);
        assert_int_equal(value.n, 4);
        assert_memory_equal(value.bytes, "a\0b\n", 5);
        secret_value_release(&value);
    }
    free(path);
    check_fails(secret_from_file("none", dir, NULL, &value, &err), &err, ERR_USAGE,
                "/none cannot be read (No such file or directory)");
    check_fails(secret_from_file(".", dir, NULL, &value, &err), &err, ERR_USAGE, "is a directory");
    /* Its size is said to be 0. */
    assert_int_equal(secret_from_file("/proc/sys/kernel/ostype", dir, NULL, &value, &err), 0);
    assert_int_equal(value.n, 6);
    assert_memory_equal(value.bytes, "Linux\n", 7);
    secret_value_release(&value);
    char *big = mem_zalloc(1, SECRET_MAX_BYTES + 1);
    free(put(dir, "big", big, SECRET_MAX_BYTES, 0600));
    assert_int_equal(secret_from_file("big", dir, NULL, &value, &err), 0);
    assert_int_equal(value.n, SECRET_MAX_BYTES);
    secret_value_release(&value);
    free(put(dir, "big", big, SECRET_MAX_BYTES + 1, 0600));
    check_fails(secret_from_file("big", dir, NULL, &value, &err), &err, ERR_USAGE,
                "is larger than 64 KiB");
    free(big);
}

static void the_key_is_made_once(void **state)
{
    struct secret_key a, b;
    struct err err = ERR_INIT;
    struct stat st;
    char *path = path_join(*state, "kiln/secret-key");
    assert_int_equal(secret_key_load(&a, &err), 0);
    assert_int_equal(secret_key_load(&b, &err), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, SECRET_KEY_BYTES);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(secret_key_load(&b, &err), 0);
    assert_memory_not_equal(&a, &b, sizeof a);
    free(path);
}

static void *load(void *key)
{
    struct err err = ERR_INIT;
    return secret_key_load(key, &err) < 0 ? key : NULL;
}

static void many_make_one_key(void **state)
{
    struct secret_key keys[8];
    pthread_t threads[8];
    char *path = path_join(*state, "kiln/secret-key");
    for (int round = 0; round < 10; round++) {
        unlink(path);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load, &keys[i]), 0);
        for (size_t i = 0; i < 8; i++) {
            void *failed;
            pthread_join(threads[i], &failed);
            assert_null(failed);
            assert_memory_equal(&keys[i], &keys[0], sizeof keys[0]);
        }
    }
    free(path);
}

static void a_key_that_is_not_ours_is_refused(void **state)
{
    struct secret_key key;
    struct err err = ERR_INIT;
    char *dir = path_join(*state, "kiln"), *path = path_join(dir, "secret-key");
    assert_int_equal(file_mkdirs(dir, 0700, &err), 0);
    free(put(dir, "secret-key", "short", 5, 0600));
    check_fails(secret_key_load(&key, &err), &err, ERR_SYSTEM,
                "is not the key of 32 bytes that kiln made; remove it");
    free(put(dir, "secret-key", "0123456789abcdef0123456789abcdef", 32, 0640));
    check_fails(secret_key_load(&key, &err), &err, ERR_SYSTEM, "is open to others (mode 0640");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(secret_key_load(&key, &err), 0);
    assert_memory_equal(key.bytes, "0123456789abcdef0123456789abcdef", 32);
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    check_fails(secret_key_load(&key, &err), &err, ERR_SYSTEM, "cannot read the key of secrets");
    free(path);
    free(dir);
}

/* HMAC-SHA256 of "what do ya want for nothing?" with "Jefe" is RFC 4231's second case; a key is
 * padded with zeros up to a block, so 32 bytes with zeros behind "Jefe" is the same key. */
static void hashes_are_keyed(void **state)
{
    struct secret_key key = {.bytes = "Jefe"}, other = {.bytes = "jefe"};
    struct secret_value value;
    char hash[SECRET_HASH_BYTES], again[SECRET_HASH_BYTES];
    static const char text[] = "what do ya want for nothing?";
    (void)state;
    secret_value_make(&value, strlen(text));
    memcpy(value.bytes, text, strlen(text));
    secret_hash(&key, &value, hash);
    assert_string_equal(hash, "kiln-secret:"
                              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    secret_hash(&other, &value, again);
    assert_string_not_equal(hash, again);
    assert_true(secret_is_hash(hash));
    assert_false(secret_is_hash("kiln-secret:5bdc"));
    assert_false(secret_is_hash(text));
    secret_value_release(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_from_the_environment),
        cmocka_unit_test_setup_teardown(values_come_from_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_key_is_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_make_one_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_is_not_ours_is_refused, set_up, tear_down),
        cmocka_unit_test(hashes_are_keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
