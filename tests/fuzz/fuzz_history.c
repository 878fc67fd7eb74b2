/*
 * Any bytes as a history's log: it opens, what it has can be asked for, and what is noted then is
 * found again.
 *
 * The first byte chooses: the rest is the log as it is, or records whose heads are put right, as no
 * mutation hits a checksum.
 */
#include "engine/history_log.c"

#include "base/file.h"
#include "engine/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the data into records: a byte for the type, two for the length, the payload. */
static void make_log(const uint8_t *data, size_t size, struct buf *out)
{
    for (size_t at = 0; at + 3 <= size;) {
        uint32_t type = data[at] % 5;
        size_t length = data[at + 1] | (size_t)data[at + 2] << 8;
        at += 3;
        if (length > size - at)
            length = size - at;
        if (type == LOG_DIR && length < DIGEST_BYTES)
            type = LOG_STEP;
        unsigned char *record = begin(out, type, length);
        memcpy(record + HEAD_BYTES, data + at, length);
        if (type == LOG_DIR) {
            struct digest digest =
                digest_of(record + HEAD_BYTES + DIGEST_BYTES, length - DIGEST_BYTES);
            if (data[at] & 1) /* else a digest that is not the message's */
                memcpy(record + HEAD_BYTES, digest.hash, DIGEST_BYTES);
        }
        finish(out, record);
        at += length;
    }
}

/* Loads the trees of some steps that a mutation may know. */
static void ask(const struct history *history)
{
    struct trees *trees = trees_new();
    char name[2] = "";
    for (int c = 0; c < 128; c++) {
        name[0] = (char)c;
        const struct history_record *last = history_last(history, name);
        const struct history_record *pass = history_last_pass(history, name);
        if (pass && (!last || pass->status != HISTORY_PASSED))
            abort();
        if (last)
            (void)history_load_tree(history, &last->input_root, trees);
    }
    trees_free(trees);
}

static void note(struct history *history, const char *step, const char *dir)
{
    struct trees *trees = trees_new();
    struct tree_entry entry = {.kind = TREE_DIR, .name = dir, .digest = tree_empty()};
    struct history_record record = {.step = step,
                                    .key = digest_of(dir, strlen(dir)),
                                    .input_root = trees_put(trees, &entry, 1),
                                    .salt = "",
                                    .run = "1"};
    if (history_note(history, &record, trees, NULL) < 0)
        abort();
    trees_free(trees);
}

static void check(const struct history *history, const char *step)
{
    struct trees *trees = trees_new();
    const struct history_record *last = history_last(history, step);
    if (!last || strcmp(last->step, step) != 0)
        abort();
    (void)history_load_tree(history, &last->input_root, trees);
    trees_free(trees);
}

static void must_open(const char *path, struct history **history)
{
    if (history_open(path, history, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char path[64];
    snprintf(path, sizeof(path), "/tmp/kiln-fuzz-%ld.log", (long)getpid());
    struct buf log = BUF_INIT;
    if (data[0] % 4 == 0)
        buf_add(&log, data + 1, size - 1);
    else
        make_log(data + 1, size - 1, &log);
    if (file_write_atomic(path, buf_str(&log), log.len, 0600, NULL) < 0)
        abort();

    struct history *one, *two;
    must_open(path, &one);
    must_open(path, &two);
    ask(one);
    note(one, "new", "a");
    note(two, "other", "b");
    if (history_flush(one, NULL) < 0 || history_flush(two, NULL) < 0)
        abort();
    check(two, "new");
    history_close(one);
    history_close(two);
    must_open(path, &one);
    check(one, "new");
    check(one, "other");
    ask(one);
    history_close(one);
    unlink(path);
    buf_release(&log);
    return 0;
}
