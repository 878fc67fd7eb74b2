/*
 * test_cache_cas.h - a disk cache in a scratch directory, and ways to damage what it stores.
 */
#ifndef KILN_TEST_CACHE_CAS_H
#define KILN_TEST_CACHE_CAS_H

#include "test_cache.h"

#include "cache/action.h"
#include "cache/cache_gc.h"

#include <dirent.h>
#include <time.h>

struct fixture {
    char *dir, *path; /* scratch; the cache inside it */
    struct cache *cache;
};

static inline struct cache *open_cache(const char *path)
{
    struct err err = ERR_INIT;
    struct cache *cache;
    bool read_only;
    assert_ok(cache_open(path, &cache, &read_only, &err), &err);
    assert_false(read_only);
    return cache;
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    f->dir = scratch_make();
    f->path = path_join(f->dir, "deep/er/cache");
    f->cache = open_cache(f->path);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(f->cache);
    scratch_remove(f->dir);
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

static inline size_t count_files(const struct fixture *f, const char *sub)
{
    char *path = mem_printf("%s/v1/%s", f->path, sub);
    DIR *dir = opendir(path);
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.' ? 1 : 0;
    if (dir)
        closedir(dir);
    free(path);
    return n;
}

static inline struct digest put(struct fixture *f, const char *text)
{
    struct err err = ERR_INIT;
    struct digest digest;
    assert_ok(cache_put(f->cache, text, strlen(text), &digest, &err), &err);
    return digest;
}

static inline enum cache_answer get(struct fixture *f, const struct digest *digest, struct buf *buf)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    buf_reset(buf);
    assert_ok(cache_get(f->cache, digest, 1 << 24, buf, &answer, &err), &err);
    return answer;
}

enum damage { FLIP, SHORTER, EMPTY, LONGER, OTHER, IS_DIR, IS_LINK, IS_FIFO, DAMAGES };

static inline void rewrite(const char *path, const void *bytes, size_t n)
{
    assert_int_equal(unlink(path), 0);
    write_text("", path, bytes, n, 0444);
}

static inline void damage(const char *path, enum damage how)
{
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    assert_ok(file_read(path, 1 << 20, &buf, &err), &err);
    assert_true(buf.len > 2);
    switch (how) {
    case FLIP:
        buf.data[buf.len / 2] ^= 0x10;
        rewrite(path, buf.data, buf.len);
        break;
    case SHORTER: rewrite(path, buf.data, buf.len - 1); break;
    case EMPTY: rewrite(path, "", 0); break;
    case LONGER:
        buf_addc(&buf, '\0');
        rewrite(path, buf.data, buf.len);
        break;
    case OTHER:
        memset(buf.data, 0, buf.len);
        rewrite(path, buf.data, buf.len);
        break;
    case IS_DIR:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0);
        break;
    case IS_LINK: {
        char *other = mem_printf("%s.moved", path);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(symlink(other, path), 0);
        free(other);
        break;
    }
    case IS_FIFO:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0644), 0);
        break;
    case DAMAGES: break;
    }
    buf_release(&buf);
}

static inline void encode_result(struct buf *buf)
{
    struct action_output outputs[] = {{.kind = OUTPUT_FILE, .path = "a", .digest = digest_str("1")},
                                      {.kind = OUTPUT_FILE, .path = "b", .digest = digest_str("2")},
                                      {.kind = OUTPUT_SYMLINK, .path = "c", .target = "b"}};
    struct action_result result = {
        .outputs = outputs, .n_outputs = 3, .stdout_digest = digest_str("log"), .start_ns = 5};
    action_result_encode(&result, buf);
}

static inline enum cache_answer get_action(struct fixture *f, const struct digest *key,
                                           struct buf *buf)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    buf_reset(buf);
    assert_ok(cache_get_action(f->cache, key, buf, &answer, &err), &err);
    assert_true(answer == CACHE_HIT || buf->len == 0);
    return answer;
}

#define with_cache(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
