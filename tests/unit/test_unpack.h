/*
 * test_unpack.h - tars made here, byte by byte, and layers unpacked from them into directories.
 *
 * What must not be touched lies in "outside", beside the layers, and in the files that links lead
 * to; every teardown looks whether it is as it was.
 */
#ifndef KILN_TEST_UNPACK_H
#define KILN_TEST_UNPACK_H

#include "test_cache.h"

#include "runners/unpack.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define MOST_LAYERS 8

struct tar_source {
    const char *bytes;
    size_t n, piece, in;
    uint64_t packed; /* as if so many bytes had been one */
};

struct rig {
    char *dir, *outside;
    int layers[MOST_LAYERS]; /* of those unpacked so far, the lowest first */
    size_t n;
    struct buf tar;
    struct unpack_counts counts;
    struct unpack_limits limits;
    uint64_t packed;
    struct err err;
};

/* --- making --- */

static inline void tar_octal(char *field, size_t width, uint64_t value)
{
    snprintf(field, width, "%0*llo", (int)width - 1, (unsigned long long)value);
}

static inline void tar_pad(struct buf *tar)
{
    static const char zeros[512];
    buf_add(tar, zeros, (512 - tar->len % 512) % 512);
}

static inline void tar_checksum(char header[512])
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
}

static inline void tar_header(struct buf *tar, char type, const char *path, const char *link,
                              size_t size, unsigned mode, uint64_t uid)
{
    char header[512] = {0};
    memcpy(header, path, strlen(path) < 100 ? strlen(path) : 100);
    tar_octal(header + 100, 8, mode);
    tar_octal(header + 108, 8, uid);
    tar_octal(header + 116, 8, uid);
    tar_octal(header + 124, 12, size);
    tar_octal(header + 136, 12, 1000000000);
    header[156] = type;
    memcpy(header + 157, link, strlen(link) < 100 ? strlen(link) : 100);
    memcpy(header + 257, "ustar\00000", 8);
    tar_checksum(header);
    buf_add(tar, header, sizeof header);
}

static inline void tar_raw(struct buf *tar, char type, const char *path, const void *bytes,
                           size_t n)
{
    tar_header(tar, type, path, "", n, 0644, 0);
    buf_add(tar, bytes, n);
    tar_pad(tar);
}

static inline void tar_file(struct buf *tar, const char *path, const char *text)
{
    tar_raw(tar, '0', path, text, strlen(text));
}

static inline void tar_dir(struct buf *tar, const char *path)
{
    tar_header(tar, '5', path, "", 0, 0755, 0);
}

static inline void tar_link(struct buf *tar, char type, const char *path, const char *target)
{
    tar_header(tar, type, path, target, 0, 0777, 0);
}

/* A pax record for the entry that follows. */
static inline void tar_pax(struct buf *tar, const char *key, const void *value, size_t n)
{
    struct buf record = BUF_INIT;
    size_t rest = strlen(key) + n + 3, length = rest;
    while (length != rest + (size_t)snprintf(NULL, 0, "%zu", length))
        length = rest + (size_t)snprintf(NULL, 0, "%zu", length);
    buf_addf(&record, "%zu %s=", length, key);
    buf_add(&record, value, n);
    buf_addc(&record, '\n');
    tar_raw(tar, 'x', "pax", record.data, record.len);
    buf_release(&record);
}

static inline void tar_end(struct buf *tar)
{
    static const char zeros[1024];
    buf_add(tar, zeros, sizeof zeros);
}

/* --- unpacking --- */

static inline int source_pull(void *ctx, const void **bytes, size_t *n, struct err *err)
{
    struct tar_source *source = ctx;
    (void)err;
    *bytes = source->bytes + source->in;
    *n = source->n - source->in < source->piece ? source->n - source->in : source->piece;
    source->in += *n;
    return 0;
}

static inline uint64_t source_in(void *ctx)
{
    const struct tar_source *source = ctx;
    return source->in / source->packed;
}

/* Unpacks what is in rig->tar as the next layer, and empties that. */
static inline int unpack_next(struct rig *rig)
{
    char name[32], *path;
    struct err err = ERR_INIT;
    struct tar_source source = {buf_str(&rig->tar), rig->tar.len, 1000, 0, rig->packed};
    assert_true(rig->n < MOST_LAYERS);
    snprintf(name, sizeof name, "layer%zu", rig->n);
    path = path_join(rig->dir, name);
    assert_ok(file_mkdirs(path, 0700, &err), &err);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    err_release(&rig->err);
    memset(&rig->counts, 0, sizeof rig->counts);
    int rc = unpack_tree(fd, rig->layers, rig->n, source_pull, &source, source_in, &rig->limits,
                         &rig->counts, &rig->err);
    rig->layers[rig->n++] = fd;
    buf_reset(&rig->tar);
    free(path);
    return rc;
}

static inline void unpack_good(struct rig *rig)
{
    tar_end(&rig->tar);
    assert_ok(unpack_next(rig), &rig->err);
}

/* The layer is refused in words that have this part. */
static inline void unpack_refused(struct rig *rig, const char *part)
{
    tar_end(&rig->tar);
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    assert_has(err_text(&rig->err), part);
}

/* --- looking, in the last layer --- */

static inline int last_layer(const struct rig *rig)
{
    return rig->layers[rig->n - 1];
}

static inline struct stat look(const struct rig *rig, const char *path)
{
    struct stat st;
    if (fstatat(last_layer(rig), path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s is not there", path);
    return st;
}

static inline bool is_there(const struct rig *rig, const char *path)
{
    struct stat st;
    return fstatat(last_layer(rig), path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline bool is_whiteout(const struct rig *rig, const char *path)
{
    struct stat st = look(rig, path);
    return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static inline bool is_opaque(const struct rig *rig, const char *path)
{
    char value[4];
    int fd = openat(last_layer(rig), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool opaque = fgetxattr(fd, UNPACK_OPAQUE_XATTR, value, sizeof value) == 1 && *value == 'y';
    close(fd);
    return opaque;
}

static inline void holds(const struct rig *rig, const char *path, const char *text)
{
    struct buf now = BUF_INIT;
    struct err err = ERR_INIT;
    int fd = openat(last_layer(rig), path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s cannot be opened", path);
    assert_ok(file_read_fd(fd, path, 1 << 20, &now, &err), &err);
    assert_string_equal(buf_str(&now), text);
    buf_release(&now);
    close(fd);
}

static inline void leads_to(const struct rig *rig, const char *path, const char *target)
{
    char now[256];
    ssize_t n = readlinkat(last_layer(rig), path, now, sizeof now - 1);
    assert_true(n >= 0);
    now[n] = '\0';
    assert_string_equal(now, target);
}

/* --- the rig --- */

static inline int rig_setup(void **state)
{
    struct rig *rig = mem_zalloc(1, sizeof *rig);
    struct err err = ERR_INIT;
    rig->dir = scratch_make();
    rig->outside = path_join(rig->dir, "outside");
    rig->limits = unpack_usual;
    rig->packed = 1;
    assert_ok(file_mkdirs(rig->outside, 0755, &err), &err);
    write_text(rig->outside, "file", "outside", 7, 0644);
    *state = rig;
    return 0;
}

static inline int rig_teardown(void **state)
{
    struct rig *rig = *state;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char *file = path_join(rig->outside, "file");
    struct stat st;
    assert_ok(file_read(file, 100, &text, &err), &err);
    assert_string_equal(buf_str(&text), "outside");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(rig->outside), 0); /* nothing else came into it */
    for (size_t i = 0; i < rig->n; i++)
        close(rig->layers[i]);
    buf_release(&text);
    buf_release(&rig->tar);
    err_release(&rig->err);
    scratch_remove(rig->dir);
    free(file);
    free(rig->outside);
    free(rig);
    return 0;
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
