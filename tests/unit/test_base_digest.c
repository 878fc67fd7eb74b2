/* SHA-256 by the examples of FIPS 180-4, and the digest as a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *text;
    const char *hex;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
     "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};
static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void assert_hex(struct digest digest, const char *expected)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(&digest, hex);
    assert_string_equal(hex, expected);
}

static void fips_vectors(void **state)
{
    (void)state;
    struct hasher *hasher = hasher_new();
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t n = strlen(vectors[i].text);
        struct digest digest = digest_of(vectors[i].text, n);
        assert_hex(digest, vectors[i].hex);
        assert_int_equal(digest.size, n);
        hasher_start(hasher);
        for (size_t at = 0; at < n; at++)
            hasher_add(hasher, vectors[i].text + at, 1);
        struct digest again = hasher_end(hasher);
        assert_true(digest_eq(&digest, &again));
    }
    /* A start throws away what was begun. */
    hasher_start(hasher);
    hasher_add(hasher, "junk", 4);
    hasher_start(hasher);
    hasher_add(hasher, NULL, 0);
    assert_hex(hasher_end(hasher), vectors[0].hex);
    assert_hex(digest_of(NULL, 0), vectors[0].hex);
    hasher_free(hasher);
    hasher_free(NULL);
}

static void files(void **state)
{
    (void)state;
    struct hasher *hasher = hasher_new();
    struct digest digest;
    struct err err = ERR_INIT;
    char name[] = "/tmp/kiln-test-digest-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(digest_of_fd(hasher, fd, &digest, &err), 0);
    assert_hex(digest, vectors[0].hex);
    char block[1000];
    memset(block, 'a', sizeof(block));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
    /* From the start, wherever the descriptor stands, and it is left there. */
    assert_int_equal(digest_of_fd(hasher, fd, &digest, &err), 0);
    assert_hex(digest, million_a);
    assert_int_equal(digest.size, 1000000);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 1000000);
    close(fd);

    fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(digest_of_fd(hasher, fd, &digest, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, EISDIR);
    close(fd);
    assert_int_equal(digest_of_fd(hasher, -1, &digest, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, EBADF);
    /* It is usable after a failure. */
    hasher_start(hasher);
    hasher_add(hasher, "abc", 3);
    assert_hex(hasher_end(hasher), vectors[1].hex);
    err_release(&err);
    unlink(name);
    hasher_free(hasher);
}

static void parsing(void **state)
{
    (void)state;
    struct digest digest = digest_of("abc", 3), parsed;
    assert_true(digest_parse(vectors[1].hex, 3, &parsed));
    assert_true(digest_eq(&digest, &parsed));
    assert_true(digest_parse(vectors[1].hex, 4, &parsed));
    assert_false(digest_eq(&digest, &parsed));

    char hex[DIGEST_HEX + 2];
    for (size_t cut = 0; cut < DIGEST_HEX; cut++) {
        char *exact = malloc(cut + 1); /* so that reading past the end is seen */
        memcpy(exact, vectors[1].hex, cut);
        exact[cut] = '\0';
        assert_false(digest_parse(exact, 3, &parsed));
        free(exact);
    }
    for (size_t at = 0; at < DIGEST_HEX; at++) {
        for (const char *bad = "gG/:`A F-\n"; *bad; bad++) {
            strcpy(hex, vectors[1].hex);
            hex[at] = *bad;
            assert_false(digest_parse(hex, 3, &parsed));
        }
    }
    strcpy(hex, vectors[1].hex);
    strcat(hex, "0");
    assert_false(digest_parse(hex, 3, &parsed));
    assert_int_equal(parsed.size, 4); /* untouched by the failures */
}

static void comparing(void **state)
{
    (void)state;
    struct digest null = {.size = 0}, empty = digest_of("", 0), abc = digest_of("abc", 3);
    struct digest longer = abc;
    longer.size = 4;
    assert_true(digest_is_null(&null));
    assert_false(digest_is_null(&empty));
    assert_int_equal(digest_cmp(&abc, &abc), 0);
    assert_true(digest_cmp(&abc, &longer) < 0);
    assert_true(digest_cmp(&longer, &abc) > 0);
    assert_true(digest_cmp(&abc, &empty) < 0); /* ba… before e3… */
    assert_true(digest_cmp(&empty, &longer) > 0);
    struct digest large = abc;
    large.size = UINT64_MAX;
    assert_true(digest_cmp(&abc, &large) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fips_vectors),
        cmocka_unit_test(files),
        cmocka_unit_test(parsing),
        cmocka_unit_test(comparing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
