/*
 * history_log.c - the format of a project's steps.log, written and read here only.
 *
 * The file is a sequence of records, numbers little-endian:
 *
 *     u32 magic "KLH1"   u32 type   u32 length of the payload   u64 checksum   payload
 *
 *     DIR   32 bytes SHA-256, then the Directory message of that digest. Whatever it names stands
 * earlier in the log. STEP  u32 status, u32 lengths of step, salt, run, command; the key and the
 * input root, each 32 bytes SHA-256 and u64 size; u64 duration in ms, u64 time in ns; then step,
 * salt and run with a NUL each, and the command BASE  u64 how many bytes of the log were in use
 * when it was last looked at, for deciding when to look again
 *
 * The checksum covers the record's first 12 bytes and its payload; of a DIR only the hash, as the
 * message is proved by that hash when it is used, and need not be read to load the log. A record
 * that is not whole, or whose checksum is wrong, ends the log: a crash left it. Records of an
 * unknown type are passed over.
 */
#include "engine/history_log.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC      0x31484c4bu
#define HEAD_BYTES ((size_t)20)
#define SUM_AT     ((size_t)12)
#define STEP_BYTES ((size_t)116) /* of a STEP's payload before the strings */
#define DIGEST_AT  ((size_t)20)
/* Directory messages, most of a log, are passed over: after one, little is read, and much where
 * record follows record. */
#define WINDOW_MORE  ((size_t)64 << 10)
#define WINDOW_AFTER ((size_t)2 << 10)

/* -- numbers ----------------------------------------------------------------------------------- */

static void put_u32(unsigned char *p, uint32_t number)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (unsigned char)(number >> (8 * i));
}

static void put_u64(unsigned char *p, uint64_t number)
{
    put_u32(p, (uint32_t)number);
    put_u32(p + 4, (uint32_t)(number >> 32));
}

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const unsigned char *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static uint64_t mix(uint64_t sum, const unsigned char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        sum = (sum ^ get_u64(p)) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    unsigned char rest[8] = {0};
    memcpy(rest, p, n);
    sum = (sum ^ get_u64(rest) ^ (uint64_t)n << 56) * 0xc4ceb9fe1a85ec53u;
    return sum ^ sum >> 29;
}

/* How much of a payload the checksum covers. */
static size_t checked(uint32_t type, size_t length)
{
    return type == LOG_DIR ? DIGEST_BYTES : length;
}

static uint64_t checksum(const unsigned char *record, uint32_t type, size_t length)
{
    uint64_t sum = mix(0x6b696c6eu, record, SUM_AT);
    return mix(sum, record + HEAD_BYTES, checked(type, length));
}

/* -- writing ----------------------------------------------------------------------------------- */

/* Makes room for a record; its payload is to be filled in before finish(). */
static unsigned char *begin(struct buf *out, uint32_t type, size_t length)
{
    assert(length <= UINT32_MAX);
    unsigned char *record = (unsigned char *)buf_reserve(out, HEAD_BYTES + length);
    put_u32(record, MAGIC);
    put_u32(record + 4, type);
    put_u32(record + 8, (uint32_t)length);
    return record;
}

static void finish(struct buf *out, unsigned char *record)
{
    size_t length = get_u32(record + 8);
    put_u64(record + SUM_AT, checksum(record, get_u32(record + 4), length));
    out->len += HEAD_BYTES + length;
    out->data[out->len] = '\0';
}

size_t history_log_add_dir(struct buf *out, const struct digest *digest, const void *message)
{
    size_t n = (size_t)digest->size;
    unsigned char *record = begin(out, LOG_DIR, DIGEST_BYTES + n);
    memcpy(record + HEAD_BYTES, digest->hash, DIGEST_BYTES);
    if (n)
        memcpy(record + HEAD_BYTES + DIGEST_BYTES, message, n);
    finish(out, record);
    return out->len - n;
}

static unsigned char *put_digest(unsigned char *p, const struct digest *digest)
{
    memcpy(p, digest->hash, DIGEST_BYTES);
    put_u64(p + DIGEST_BYTES, digest->size);
    return p + DIGEST_BYTES + 8;
}

static unsigned char *put_bytes(unsigned char *p, const void *bytes, size_t n)
{
    if (n)
        memcpy(p, bytes, n);
    return p + n;
}

void history_log_add_step(struct buf *out, const struct history_record *record)
{
    size_t step = strlen(record->step), salt = strlen(record->salt), run = strlen(record->run);
    size_t length = STEP_BYTES + step + salt + run + 3 + record->n_command;
    unsigned char *head = begin(out, LOG_STEP, length);
    unsigned char *p = head + HEAD_BYTES;
    put_u32(p, (uint32_t)record->status);
    put_u32(p + 4, (uint32_t)step);
    put_u32(p + 8, (uint32_t)salt);
    put_u32(p + 12, (uint32_t)run);
    put_u32(p + 16, (uint32_t)record->n_command);
    p = put_digest(p + DIGEST_AT, &record->key);
    p = put_digest(p, &record->input_root);
    put_u64(p, record->duration_ms);
    put_u64(p + 8, record->time_ns);
    p = put_bytes(p + 16, record->step, step + 1);
    p = put_bytes(p, record->salt, salt + 1);
    p = put_bytes(p, record->run, run + 1);
    put_bytes(p, record->command, record->n_command);
    finish(out, head);
}

void history_log_add_base(struct buf *out, uint64_t live)
{
    unsigned char *record = begin(out, LOG_BASE, 8);
    put_u64(record + HEAD_BYTES, live);
    finish(out, record);
}

/* -- reading ----------------------------------------------------------------------------------- */

static const unsigned char *get_digest(const unsigned char *p, struct digest *out)
{
    memcpy(out->hash, p, DIGEST_BYTES);
    out->size = get_u64(p + DIGEST_BYTES);
    return p + DIGEST_BYTES + 8;
}

/* The NUL-terminated string of that length at *at, which moves behind it; NULL when it is not one.
 */
static const char *take_string(const char **at, const char *end, size_t length)
{
    const char *string = *at;
    if ((size_t)(end - string) <= length || strnlen(string, length + 1) != length)
        return NULL;
    *at = string + length + 1;
    return string;
}

/* Makes a record of a STEP's payload; NULL when it is malformed. */
static struct history_record *read_step(const unsigned char *payload, size_t length)
{
    if (length < STEP_BYTES || get_u32(payload) > HISTORY_TAINTED)
        return NULL;
    size_t strings = length - STEP_BYTES;
    struct history_record *record = mem_alloc(sizeof(*record) + strings);
    char *copy = (char *)(record + 1);
    if (strings)
        memcpy(copy, payload + STEP_BYTES, strings);

    *record = (struct history_record){.status = (enum history_status)get_u32(payload)};
    const unsigned char *p = get_digest(payload + DIGEST_AT, &record->key);
    p = get_digest(p, &record->input_root);
    record->duration_ms = get_u64(p);
    record->time_ns = get_u64(p + 8);
    const char *at = copy, *end = copy + strings;
    record->step = take_string(&at, end, get_u32(payload + 4));
    record->salt = record->step ? take_string(&at, end, get_u32(payload + 8)) : NULL;
    record->run = record->salt ? take_string(&at, end, get_u32(payload + 12)) : NULL;
    record->command = at;
    record->n_command = get_u32(payload + 16);
    if (!record->run || (size_t)(end - at) != record->n_command) {
        free(record);
        return NULL;
    }
    return record;
}

struct history_record *history_log_copy_step(const struct history_record *record)
{
    struct buf bytes = BUF_INIT;
    history_log_add_step(&bytes, record);
    const unsigned char *payload = (const unsigned char *)bytes.data + HEAD_BYTES;
    struct history_record *copy = read_step(payload, bytes.len - HEAD_BYTES);
    buf_release(&bytes);
    return copy;
}

/* Hands out one whole record, whose checked part stands at record; at is its offset in the log. */
static void give(const unsigned char *record, uint64_t at, log_cb *cb, void *ctx)
{
    const unsigned char *payload = record + HEAD_BYTES;
    uint32_t type = get_u32(record + 4);
    size_t length = get_u32(record + 8);
    struct log_item item = {.type = (enum log_type)type};
    if (type == LOG_DIR) {
        memcpy(item.dir.hash, payload, DIGEST_BYTES);
        item.dir.size = length - DIGEST_BYTES;
        item.offset = at + HEAD_BYTES + DIGEST_BYTES;
    } else if (type == LOG_STEP) {
        item.step = read_step(payload, length);
        if (!item.step)
            return;
    } else if (type == LOG_BASE && length == 8) {
        item.base = get_u64(payload);
    } else {
        return;
    }
    cb(ctx, &item);
}

/* A part of the file in memory. */
struct window {
    int fd;
    uint64_t size; /* up to where the file may be read */
    uint64_t at;   /* of data in the file */
    struct buf data;
};

/* The n bytes at offset; *out is NULL when the file ends before. */
static int window_get(struct window *window, uint64_t offset, size_t n, const unsigned char **out,
                      struct err *err)
{
    *out = NULL;
    if (offset > window->size || window->size - offset < n)
        return 0;
    if (offset < window->at || offset + n > window->at + window->data.len) {
        bool follows = offset <= window->at + window->data.len;
        size_t want = follows ? WINDOW_MORE : WINDOW_AFTER;
        want = n > want ? n : want;
        if (window->size - offset < want)
            want = (size_t)(window->size - offset);
        buf_reset(&window->data);
        char *to = buf_reserve(&window->data, want);
        window->at = offset;
        while (window->data.len < want) {
            ssize_t got = pread(window->fd, to + window->data.len, want - window->data.len,
                                (off_t)(offset + window->data.len));
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return err_sys(err, errno, "cannot read the history");
            if (got == 0)
                break;
            window->data.len += (size_t)got;
        }
        to[window->data.len] = '\0';
        if (window->data.len < n)
            return 0;
    }
    *out = (const unsigned char *)window->data.data + (offset - window->at);
    return 0;
}

/* The record at offset with as much of its payload as is checked; NULL when there is no whole one.
 */
static int window_record(struct window *window, uint64_t offset, const unsigned char **out,
                         struct err *err)
{
    int code = window_get(window, offset, HEAD_BYTES, out, err);
    if (code < 0 || !*out)
        return code;
    uint32_t type = get_u32(*out + 4);
    size_t length = get_u32(*out + 8);
    bool whole = get_u32(*out) == MAGIC && window->size - offset - HEAD_BYTES >= length &&
                 length >= checked(type, length);
    *out = NULL;
    if (!whole)
        return 0;
    code = window_get(window, offset, HEAD_BYTES + checked(type, length), out, err);
    if (!code && *out && checksum(*out, type, length) != get_u64(*out + SUM_AT))
        *out = NULL;
    return code;
}

int history_log_scan(int fd, uint64_t from, uint64_t size, log_cb *cb, void *ctx, uint64_t *end,
                     struct err *err)
{
    struct window window = {.fd = fd, .size = size, .data = BUF_INIT};
    int code = 0;
    *end = from;
    for (;;) {
        const unsigned char *record;
        code = window_record(&window, *end, &record, err);
        if (code < 0 || !record)
            break;
        uint64_t next = *end + HEAD_BYTES + get_u32(record + 8);
        give(record, *end, cb, ctx);
        *end = next;
    }
    buf_release(&window.data);
    return code;
}

void history_log_scan_bytes(const struct buf *bytes, log_cb *cb, void *ctx)
{
    for (size_t at = 0; at < bytes->len;) {
        const unsigned char *record = (const unsigned char *)bytes->data + at;
        give(record, at, cb, ctx);
        at += HEAD_BYTES + get_u32(record + 8);
    }
}
