#include "engine/kept_mask.h"

#include "base/crypt.h"
#include "base/mask.h"
#include "base/mem.h"
#include "cache/take.h"
#include "engine/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

struct kept_mask {
    struct arena arena;
    struct graph_secret *secrets; /* target and argv are not copied */
    size_t n;
    char *root;
    bool fetched, blind; /* blind: not all values are known */
    struct mask *mask;
};

struct kept_mask *kept_mask_new(const struct op_exec *exec, const char *root)
{
    struct kept_mask *self = mem_zalloc(1, sizeof *self);
    self->root = mem_strdup(root);
    self->n = exec->n_secrets;
    self->secrets = arena_zalloc(&self->arena, self->n + 1, sizeof *self->secrets);
    for (size_t i = 0; i < self->n; i++) {
        const char *from = exec->secrets[i].from;
        self->secrets[i].source = exec->secrets[i].source;
        self->secrets[i].from = from ? arena_strdup(&self->arena, from) : NULL;
    }
    return self;
}

void kept_mask_free(struct kept_mask *self)
{
    if (!self)
        return;
    if (self->mask)
        mask_free(self->mask);
    free(self->root);
    arena_release(&self->arena);
    free(self);
}

static void fetch(struct kept_mask *self)
{
    self->fetched = true;
    self->mask = mask_new();
    crypt_leave_no_core();
    for (size_t i = 0; i < self->n; i++) {
        const struct graph_secret *from = &self->secrets[i];
        struct secret_value value = {0};
        int rc = -1;
        if (from->source == GRAPH_SECRET_ENV)
            rc = secret_from_env(from->from, &value, NULL);
        else if (from->source == GRAPH_SECRET_FILE)
            rc = secret_from_file(from->from, self->root, NULL, &value, NULL);
        if (rc == 0)
            mask_add_secret(self->mask, value.bytes, value.n);
        self->blind |= rc != 0;
        secret_value_release(&value);
    }
    mask_close(self->mask);
}

static bool may_hide(struct kept_mask *self)
{
    if (self->n > 0 && !self->fetched)
        fetch(self);
    return self->n > 0;
}

/* What is hidden is longer than what stands for it. */
bool kept_mask_hides(struct kept_mask *self, const struct buf *text)
{
    if (!may_hide(self) || text->len == 0)
        return false;
    if (self->blind || mask_is_empty(self->mask))
        return self->blind;
    struct mask_stream *stream = mask_stream_new(self->mask);
    struct buf out = BUF_INIT;
    mask_feed(stream, text->data, text->len, &out);
    mask_end(stream, &out);
    bool hides = out.len != text->len;
    mask_stream_free(stream);
    buf_release(&out);
    return hides;
}

bool kept_mask_hides_file(struct kept_mask *self, int fd, const char *path)
{
    if (!may_hide(self))
        return false;
    if (self->blind || mask_is_empty(self->mask))
        return self->blind;
    int file = take_open(fd, path, NULL);
    if (file < 0)
        return true;
    struct mask_stream *stream = mask_stream_new(self->mask);
    struct buf out = BUF_INIT;
    uint64_t in = 0, came = 0;
    char *bytes = mem_alloc(BLOCK);
    ssize_t n;
    while ((n = read(file, bytes, BLOCK)) > 0 || (n < 0 && errno == EINTR)) {
        if (n <= 0)
            continue;
        mask_feed(stream, bytes, (size_t)n, &out);
        in += (size_t)n;
        came += out.len;
        buf_reset(&out);
    }
    mask_end(stream, &out);
    bool hides = n < 0 || came + out.len != in;
    mask_stream_free(stream);
    buf_release(&out);
    crypt_wipe(bytes, BLOCK);
    free(bytes);
    close(file);
    return hides;
}
