/*
 * Decompression is libarchive's. It brings a dozen other libraries along, which would take longer
 * to load than most commands of kiln take, so it is loaded when a layer is there to be unpacked.
 */
#include "runners/unpack_blob.h"

#include "base/mem.h"

#include <archive.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER ((size_t)256 * 1024)

#define LIBRARY "libarchive.so.13" /* of all versions since 3.0 */
#define LIBRARY_CALLS(call)                                                               \
    call(read_new) call(read_free) call(read_append_filter) call(read_support_format_raw) \
        call(read_open) call(read_next_header) call(read_data_block) call(set_error)      \
            call(error_string)

/* Its functions: archive_NAME is library.NAME. */
struct library {
#define LIBRARY_MEMBER(name) __typeof__(archive_##name) *name;
    LIBRARY_CALLS(LIBRARY_MEMBER)
#undef LIBRARY_MEMBER
};

struct blob {
    int fd;
    void (*progress)(void *ctx, uint64_t bytes);
    void *ctx;
    struct hasher *file, *content;
    struct library library;  /* loaded with archive */
    struct archive *archive; /* NULL: plain */
    char *buffer;
    size_t held; /* bytes in the buffer that have been read to look at and not been given */
    uint64_t in, out;
    int errnum;        /* of a read that failed */
    bool ended, wrong; /* nothing more comes out, and that is not how it should end */
};

/* The next bytes of the file in the buffer: their number, or -1 with errnum set. */
static ssize_t next_bytes(struct blob *blob)
{
    ssize_t n;
    if (blob->held) {
        n = (ssize_t)blob->held;
        blob->held = 0;
        return n;
    }
    do
        n = read(blob->fd, blob->buffer, BUFFER);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        blob->errnum = errno;
    if (n > 0) {
        hasher_add(blob->file, blob->buffer, (size_t)n);
        blob->in += (uint64_t)n;
        if (blob->progress)
            blob->progress(blob->ctx, blob->in);
    }
    return n;
}

static int load(struct library *library, struct err *err)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE), *found;
    if (!handle)
        goto missing;
#define LIBRARY_FIND(name)                                    \
    do {                                                      \
        found = dlsym(handle, "archive_" #name);              \
        if (!found)                                           \
            goto missing;                                     \
        memcpy((void *)&library->name, &found, sizeof found); \
    } while (0);
    LIBRARY_CALLS(LIBRARY_FIND)
#undef LIBRARY_FIND
    dlclose(handle); /* it stays; this only ends our claim */
    return 0;
missing:;
    const char *why = dlerror();
    return err_set(err, ERR_SYSTEM,
                   "cannot load " LIBRARY ", which kiln needs to unpack images: %s; install it",
                   why ? why : "it lacks a function");
}

static la_ssize_t on_read(struct archive *archive, void *ctx, const void **bytes)
{
    struct blob *blob = ctx;
    ssize_t n = next_bytes(blob);
    *bytes = blob->buffer;
    if (n < 0)
        blob->library.set_error(archive, blob->errnum, "cannot read it");
    return n;
}

static int read_failed(const struct blob *blob, struct err *err)
{
    return err_sys(err, blob->errnum, "cannot read it");
}

static int undecodable(struct blob *blob, struct err *err)
{
    const char *words = blob->library.error_string(blob->archive);
    blob->ended = blob->wrong = true;
    if (blob->errnum)
        return read_failed(blob, err);
    return err_set(err, ERR_CONFIG, "it cannot be decompressed: %s", words ? words : "unknown why");
}

/* The filter that the first bytes ask for; 0 for none, and for zstd and gzip libarchive's. */
static int filter_of(const char *bytes, size_t n)
{
    if (n >= 3 && memcmp(bytes, "\x1f\x8b\x08", 3) == 0)
        return ARCHIVE_FILTER_GZIP;
    if (n >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0)
        return ARCHIVE_FILTER_ZSTD;
    return ARCHIVE_FILTER_NONE;
}

static int open_filter(struct blob *blob, int filter, struct err *err)
{
    struct archive_entry *entry;
    int rc = load(&blob->library, err);
    if (rc < 0) {
        blob->ended = blob->wrong = true;
        return rc;
    }
    blob->archive = blob->library.read_new();
    if (!blob->archive)
        return err_set(err, ERR_SYSTEM, "cannot decompress it: there is not enough memory");
    if (blob->library.read_append_filter(blob->archive, filter) != ARCHIVE_OK ||
        blob->library.read_support_format_raw(blob->archive) != ARCHIVE_OK ||
        blob->library.read_open(blob->archive, blob, NULL, on_read, NULL) != ARCHIVE_OK)
        return undecodable(blob, err);
    int got = blob->library.read_next_header(blob->archive, &entry);
    if (got == ARCHIVE_EOF)
        blob->ended = true;
    else if (got != ARCHIVE_OK)
        return undecodable(blob, err);
    return 0;
}

int blob_open(int fd, void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct blob **out,
              struct err *err)
{
    struct blob *blob = mem_zalloc(1, sizeof *blob);
    blob->fd = fd;
    blob->progress = progress;
    blob->ctx = ctx;
    blob->file = hasher_new();
    blob->content = hasher_new();
    blob->buffer = mem_alloc(BUFFER);
    hasher_start(blob->file);
    hasher_start(blob->content);
    *out = blob;
    ssize_t n = next_bytes(blob);
    if (n < 0) {
        blob->ended = blob->wrong = true;
        return read_failed(blob, err);
    }
    int filter = filter_of(blob->buffer, (size_t)n);
    blob->held = (size_t)n;
    return filter == ARCHIVE_FILTER_NONE ? 0 : open_filter(blob, filter, err);
}

int blob_pull(void *ctx, const void **bytes, size_t *n, struct err *err)
{
    struct blob *blob = ctx;
    *n = 0;
    if (blob->wrong)
        return blob->errnum ? read_failed(blob, err)
                            : err_set(err, ERR_CONFIG, "it cannot be decompressed");
    while (!blob->ended && !*n) {
        if (blob->archive) {
            la_int64_t offset;
            int got = blob->library.read_data_block(blob->archive, bytes, n, &offset);
            if (got == ARCHIVE_EOF) {
                blob->ended = true;
                *n = 0;
            } else if (got != ARCHIVE_OK) {
                *n = 0;
                return undecodable(blob, err);
            }
        } else {
            ssize_t some = next_bytes(blob);
            if (some < 0) {
                blob->ended = blob->wrong = true;
                return read_failed(blob, err);
            }
            blob->ended = some == 0;
            *bytes = blob->buffer;
            *n = (size_t)some;
        }
    }
    hasher_add(blob->content, *n ? *bytes : "", *n);
    blob->out += *n;
    return 0;
}

uint64_t blob_bytes_in(const struct blob *blob)
{
    return blob->in;
}

uint64_t blob_bytes_out(const struct blob *blob)
{
    return blob->out;
}

int blob_end(struct blob *blob, struct digest *file, struct digest *content, struct err *err)
{
    struct err ignored = ERR_INIT;
    const void *bytes;
    size_t n;
    memset(content, 0, sizeof *content);
    while (!blob->ended && blob_pull(blob, &bytes, &n, &ignored) == 0)
        continue;
    err_release(&ignored);
    blob->held = 0; /* it has been hashed */
    while (!blob->errnum && next_bytes(blob) > 0)
        continue;
    if (blob->errnum)
        return read_failed(blob, err);
    *file = hasher_end(blob->file);
    if (!blob->wrong)
        *content = hasher_end(blob->content);
    return 0;
}

void blob_close(struct blob *blob)
{
    if (!blob)
        return;
    if (blob->archive)
        blob->library.read_free(blob->archive);
    hasher_free(blob->file);
    hasher_free(blob->content);
    free(blob->buffer);
    free(blob);
}
