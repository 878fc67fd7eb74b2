/*
 * test_cache_care.h - what the tests of gc and verify share: a cache with results in it, and a hand
 * on the clock of its files.
 */
#ifndef KILN_TEST_CACHE_CARE_H
#define KILN_TEST_CACHE_CARE_H

#include "test_cache.h"

#include "cache/action.h"
#include "cache/cache_gc.h"
#include "cache/cache_verify.h"
#include "cache/outputs.h"

#include <sys/stat.h>
#include <time.h>

struct fixture {
    char *dir, *path;
    struct cache *cache;
    struct arena arena;
};

static inline struct cache *open_cache(const char *path)
{
    struct err err = ERR_INIT;
    struct cache *cache;
    bool read_only;
    assert_ok(cache_open(path, &cache, &read_only, &err), &err);
    return cache;
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    f->dir = scratch_make();
    f->path = path_join(f->dir, "cache");
    f->cache = open_cache(f->path);
    unsetenv("KILN_CACHE_SIZE");
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(f->cache);
    scratch_remove(f->dir);
    arena_release(&f->arena);
    free(f->path);
    free(f);
    return 0;
}

static inline char *stored_path(const struct fixture *f, const char *sub,
                                const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return mem_printf("%s/v1/%s/%.2s/%s", f->path, sub, hex, hex);
}

static inline bool stored(const struct fixture *f, const char *sub, const struct digest *digest)
{
    struct stat st;
    char *path = stored_path(f, sub, digest);
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

static inline void set_age(const char *path, time_t seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static inline void age(const struct fixture *f, const char *sub, const struct digest *digest,
                       time_t seconds)
{
    char *path = stored_path(f, sub, digest);
    set_age(path, seconds);
    free(path);
}

static inline struct digest put(struct fixture *f, const char *text)
{
    struct err err = ERR_INIT;
    struct digest digest;
    assert_ok(cache_put(f->cache, text, strlen(text), &digest, &err), &err);
    return digest;
}

/* A result with one output of that content and a log, both and it so old; its key is that of name.
 */
static inline struct digest put_result(struct fixture *f, const char *name, const char *output,
                                       const char *log, time_t seconds)
{
    struct err err = ERR_INIT;
    struct buf blob = BUF_INIT;
    struct action_output out = {.kind = OUTPUT_FILE, .path = "out", .digest = put(f, output)};
    struct action_result result = {.outputs = &out, .n_outputs = 1, .step = name, .root = "/p"};
    struct digest key = digest_str(name);
    if (log)
        result.stdout_digest = put(f, log);
    action_result_encode(&result, &blob);
    assert_ok(cache_put_action(f->cache, &key, blob.data, blob.len, &err), &err);
    age(f, "ac", &key, seconds);
    age(f, "cas", &out.digest, seconds);
    if (log)
        age(f, "cas", &result.stdout_digest, seconds);
    buf_release(&blob);
    return key;
}

/* A result with a directory output: d/one and d/sub/two, of those contents. */
static inline struct digest put_tree_result(struct fixture *f, const char *name, const char *one,
                                            const char *two, time_t seconds, struct digest *tree)
{
    struct err err = ERR_INIT;
    struct buf blob = BUF_INIT;
    struct action_output *outputs;
    const char *const paths[] = {"d"};
    char *work = path_join(f->dir, name), *sub = path_join(work, "d/sub");
    assert_ok(file_mkdirs(sub, 0755, &err), &err);
    write_text(work, "d/one", one, strlen(one), 0644);
    write_text(sub, "two", two, strlen(two), 0644);
    assert_ok(outputs_capture(f->cache, work, paths, 1, &f->arena, &outputs, NULL, &err), &err);
    struct action_result result = {.outputs = outputs, .n_outputs = 1};
    struct digest key = digest_str(name), d1 = digest_str(one), d2 = digest_str(two);
    action_result_encode(&result, &blob);
    assert_ok(cache_put_action(f->cache, &key, blob.data, blob.len, &err), &err);
    *tree = outputs[0].digest;
    age(f, "ac", &key, seconds);
    age(f, "cas", tree, seconds);
    age(f, "cas", &d1, seconds);
    age(f, "cas", &d2, seconds);
    buf_release(&blob);
    free(work);
    free(sub);
    return key;
}

#endif
