/*
 * Any bytes as a bundle, or as one of its parts, so that digests are in nobody's way. The first
 * byte says as what: t a whole bundle, m a manifest, f the record of a failure, e events. What is
 * taken is written, and read back to the same. Checksums of a tar's headers are put right.
 */
#include "engine/bundle_private.h"

#include "base/mem.h"
#include "engine/failure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size, at;
    uint64_t given; /* to the sink */
};

static int pull(void *ctx, const void **bytes, size_t *n, struct err *err)
{
    struct input *input = ctx;
    (void)err;
    *n = input->size - input->at < 700 ? input->size - input->at : 700; /* not a tar's units */
    *bytes = input->data + input->at;
    input->at += *n;
    return 0;
}

static int on_manifest(void *ctx, const struct bundle_manifest *manifest, struct err *err)
{
    (void)ctx;
    (void)err;
    if (!manifest->run || !manifest->files.n)
        abort();
    return 0;
}

/* Nothing is larger than the file that it comes from. */
static int count(struct input *input, size_t n)
{
    input->given += n;
    if (input->given > input->size)
        abort();
    return 0;
}

static int on_file(void *ctx, const struct bundle_file *file, const void *bytes, size_t n,
                   struct err *err)
{
    (void)bytes;
    (void)err;
    if (strncmp(file->path, "run/", 4) != 0 || strstr(file->path, ".."))
        abort();
    return count(ctx, n);
}

static int on_tree(void *ctx, const struct digest *root, const void *message, size_t n,
                   struct err *err)
{
    (void)root;
    (void)message;
    (void)err;
    return count(ctx, n);
}

static int on_blob(void *ctx, const struct digest *digest, const void *bytes, size_t n,
                   struct err *err)
{
    (void)digest;
    (void)bytes;
    (void)err;
    return count(ctx, n);
}

static void mend(uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512) {
        unsigned sum = 0;
        char text[16];
        if (memcmp(bytes + at + 257, "ustar", 5) != 0)
            continue;
        memset(bytes + at + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
            sum += bytes[at + i];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(bytes + at + 148, text, 7);
    }
}

static void whole(const uint8_t *data, size_t size)
{
    uint8_t *bytes = mem_alloc(size + 1);
    memcpy(bytes, data, size);
    mend(bytes, size);
    struct input input = {.data = bytes, .size = size};
    const struct bundle_sink sink = {
        .ctx = &input, .manifest = on_manifest, .file = on_file, .tree = on_tree, .blob = on_blob};
    struct err err = ERR_INIT;
    if (bundle_read(pull, &input, &sink, &err) < 0 && err.kind != ERR_CONFIG)
        abort();
    err_release(&err);
    free(bytes);
}

static void same(const struct buf *first, const struct buf *second)
{
    if (first->len != second->len || memcmp(first->data, second->data, first->len) != 0)
        abort();
}

static void manifest(const uint8_t *data, size_t size)
{
    struct bundle_manifest read, again;
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct err err = ERR_INIT;
    if (bundle_manifest_parse((const char *)data, size, &read, &err) == 0) {
        bundle_manifest_text(&read, &first);
        if (bundle_manifest_parse(first.data, first.len, &again, NULL) < 0)
            abort();
        bundle_manifest_text(&again, &second);
        same(&first, &second);
        bundle_manifest_release(&again);
    }
    bundle_manifest_release(&read);
    err_release(&err);
    buf_release(&first);
    buf_release(&second);
}

static void failure(const uint8_t *data, size_t size)
{
    struct failure read, again;
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct err err = ERR_INIT;
    if (failure_parse((const char *)data, size, &read, &err) == 0) {
        failure_text(&read, &first);
        if (failure_parse(first.data, first.len, &again, NULL) < 0)
            abort();
        failure_text(&again, &second);
        same(&first, &second);
        failure_release(&again);
        /* What a graph takes for granted holds. */
        struct graph *graph = graph_new("past");
        graph_exec(graph, &read.exec);
        graph_free(graph);
        failure_release(&read);
    }
    err_release(&err);
    buf_release(&first);
    buf_release(&second);
}

static void events(const uint8_t *data, size_t size)
{
    struct bundle_events events = {
        .id = "7", .root = "/here", .fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    struct err err = ERR_INIT;
    size_t half = size / 2;
    if (bundle_events_add(&events, data, half, &err) == 0 &&
        bundle_events_add(&events, data + half, size - half, &err) == 0 &&
        bundle_events_end(&events, &err) == 0 && (!events.started || !events.finished))
        abort();
    close(events.fd);
    bundle_events_release(&events);
    err_release(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0]) {
    case 't': whole(data + 1, size - 1); break;
    case 'm': manifest(data + 1, size - 1); break;
    case 'f': failure(data + 1, size - 1); break;
    case 'e': events(data + 1, size - 1); break;
    default: break;
    }
    return 0;
}
