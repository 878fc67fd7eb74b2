/*
 * test_cache.h - what the tests of the cache share: golden messages, scratch directories, damage.
 *
 * tests/golden/reapi holds each message twice: NAME.txtpb, the text format, and NAME.bin, made by
 *
 *     protoc --encode=TYPE --proto_path=cache reapi.proto < NAME.txtpb > NAME.bin
 *
 * Where protoc is installed the test makes the binary afresh and compares that too.
 */
#ifndef KILN_TEST_CACHE_H
#define KILN_TEST_CACHE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN_DIR SOURCE_DIR "/tests/golden/reapi/"

#define assert_ok(call, err)                                          \
    do {                                                              \
        int assert_rc_ = (call);                                      \
        if (assert_rc_ != 0)                                          \
            fail_msg("%s: %d: %s", #call, assert_rc_, err_text(err)); \
    } while (0)

#define assert_fails(call, wanted, err)                               \
    do {                                                              \
        int assert_rc_ = (call);                                      \
        if (assert_rc_ != -(int)(wanted))                             \
            fail_msg("%s: %d: %s", #call, assert_rc_, err_text(err)); \
        assert_int_equal((err)->kind, (wanted));                      \
        assert_true(*err_text(err));                                  \
    } while (0)

#define assert_has(text, part)                                  \
    do {                                                        \
        if (!strstr(text, part))                                \
            fail_msg("\"%s\" does not say \"%s\"", text, part); \
    } while (0)

static inline void golden_file(const char *name, const char *suffix, struct buf *out)
{
    struct err err = ERR_INIT;
    char *path = mem_printf("%s%s%s", GOLDEN_DIR, name, suffix);
    assert_ok(file_read(path, 1 << 20, out, &err), &err);
    free(path);
}

static inline void assert_bytes(const char *what, const struct buf *is, const struct buf *wanted)
{
    if (is->len == wanted->len && (is->len == 0 || memcmp(is->data, wanted->data, is->len) == 0))
        return;
    size_t at = 0;
    while (at < is->len && at < wanted->len && is->data[at] == wanted->data[at])
        at++;
    fail_msg("%s: %zu bytes, should be %zu; they part at byte %zu", what, is->len, wanted->len, at);
}

/* What protoc makes of the text; false when there is no protoc. */
static inline bool golden_protoc(const char *name, const char *type, struct buf *out)
{
    if (system("command -v protoc >/dev/null 2>&1") != 0)
        return false;
    char *command = mem_printf("protoc --encode=build.bazel.remote.execution.v2.%s "
                               "--proto_path='%s/cache' reapi.proto < '%s%s.txtpb'",
                               type, SOURCE_DIR, GOLDEN_DIR, name);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (int c; (c = fgetc(pipe)) != EOF;)
        buf_addc(out, (char)c);
    assert_int_equal(pclose(pipe), 0);
    free(command);
    return true;
}

/* The message must be the committed one, and the one that protoc makes today. */
static inline void assert_golden(const char *name, const char *type, const struct buf *is)
{
    struct buf wanted = BUF_INIT, fresh = BUF_INIT;
    golden_file(name, ".bin", &wanted);
    assert_bytes(name, is, &wanted);
    if (golden_protoc(name, type, &fresh))
        assert_bytes("protoc --encode", &fresh, &wanted);
    buf_release(&wanted);
    buf_release(&fresh);
}

/* The digest made of one repeated hexadecimal digit, and of a text. */
static inline struct digest digest_fake(char digit, uint64_t size)
{
    char hex[DIGEST_HEX + 1];
    struct digest digest;
    memset(hex, digit, DIGEST_HEX);
    hex[DIGEST_HEX] = '\0';
    assert_true(digest_parse(hex, size, &digest));
    return digest;
}

static inline struct digest digest_str(const char *text)
{
    return digest_of(text, strlen(text));
}

/* A small generator, so that a failure repeats: xorshift. */
static inline uint32_t roll(uint32_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % below;
}

/* A fresh directory; scratch_remove() frees the path too. */
static inline char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = mem_printf("%s/kiln-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void scratch_remove(char *path)
{
    struct err err = ERR_INIT;
    assert_ok(file_remove_tree(AT_FDCWD, path, &err), &err);
    free(path);
}

static inline void write_text(const char *dir, const char *name, const void *bytes, size_t n,
                              mode_t mode)
{
    char *path = path_join(dir, name);
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, n), 0);
    assert_int_equal(close(fd), 0);
    free(path);
}

static inline void assert_file(const char *dir, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    char *path = path_join(dir, name);
    assert_ok(file_read(path, 1 << 24, &buf, &err), &err);
    assert_string_equal(buf_str(&buf), text);
    buf_release(&buf);
    free(path);
}

static inline bool exists(const char *dir, const char *name)
{
    struct stat st;
    char *path = path_join(dir, name);
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

#endif
