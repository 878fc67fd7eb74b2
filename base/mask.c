/*
 * mask.c - Aho and Corasick's automaton: a tree of all patterns, in which each node knows the
 * longest other beginning of a pattern that ends with it. Its depth is what a stream has to hold
 * back, and nothing before that can be part of an occurrence still to come.
 */
#include "base/mask.h"

#include "base/crypt.h"
#include "base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Nodes are few at each level but the first, whose children have a table of their own. */
struct node {
    uint32_t child, sibling; /* 0 = none */
    uint32_t back;           /* the longest proper suffix that is a node, too */
    uint32_t depth;
    uint32_t match; /* bytes of the longest pattern that ends here; 0 = none */
    uint8_t byte;
};

struct mask {
    struct node *nodes; /* 0 is the root */
    size_t n, cap;
    uint32_t first[256]; /* the root's children by their bytes */
    uint32_t deepest;
    bool closed;
};

struct mask *mask_new(void)
{
    struct mask *mask = mem_zalloc(1, sizeof *mask);
    mask->n = 1;
    mask->cap = 1024;
    mask->nodes = crypt_alloc(mask->cap * sizeof *mask->nodes);
    return mask;
}

void mask_free(struct mask *mask)
{
    if (!mask)
        return;
    crypt_free(mask->nodes, mask->cap * sizeof *mask->nodes);
    crypt_wipe(mask, sizeof *mask);
    free(mask);
}

bool mask_is_empty(const struct mask *mask)
{
    return mask->n == 1;
}

static uint32_t child_of(const struct mask *mask, uint32_t node, uint8_t byte)
{
    if (node == 0)
        return mask->first[byte];
    uint32_t child = mask->nodes[node].child;
    while (child && mask->nodes[child].byte != byte)
        child = mask->nodes[child].sibling;
    return child;
}

static uint32_t add_child(struct mask *mask, uint32_t node, uint8_t byte)
{
    if (mask->n == mask->cap) {
        struct node *more = crypt_alloc(2 * mask->cap * sizeof *more);
        memcpy(more, mask->nodes, mask->n * sizeof *more);
        crypt_free(mask->nodes, mask->cap * sizeof *more);
        mask->nodes = more;
        mask->cap *= 2;
    }
    uint32_t child = (uint32_t)mask->n++, depth = mask->nodes[node].depth + 1;
    mask->nodes[child] =
        (struct node){.sibling = mask->nodes[node].child, .depth = depth, .byte = byte};
    mask->nodes[node].child = child;
    if (node == 0)
        mask->first[byte] = child;
    if (depth > mask->deepest)
        mask->deepest = depth;
    return child;
}

void mask_add(struct mask *mask, const char *bytes, size_t n)
{
    assert(!mask->closed);
    if (n < MASK_LEAST)
        return;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t child = child_of(mask, node, (uint8_t)bytes[i]);
        node = child ? child : add_child(mask, node, (uint8_t)bytes[i]);
    }
    mask->nodes[node].match = mask->nodes[node].depth;
}

/* The node for what has been read when byte follows node. */
static uint32_t next_of(const struct mask *mask, uint32_t node, uint8_t byte)
{
    uint32_t next;
    while (!(next = child_of(mask, node, byte)) && node)
        node = mask->nodes[node].back;
    return next;
}

/* By depth: a node's suffixes are all less deep. */
void mask_close(struct mask *mask)
{
    uint32_t *queue = mem_alloc(mask->n * sizeof *queue);
    size_t n = 1;
    queue[0] = 0;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t child = mask->nodes[queue[i]].child; child;
             child = mask->nodes[child].sibling) {
            struct node *node = &mask->nodes[child];
            node->back = i ? next_of(mask, mask->nodes[queue[i]].back, node->byte) : 0;
            if (!node->match)
                node->match = mask->nodes[node->back].match;
            queue[n++] = child;
        }
    }
    free(queue);
    mask->closed = true;
}

/* -- streams ----------------------------------------------------------------------------------- */

/* The bytes held back are those of node, which is as deep as they are many. */
struct mask_stream {
    const struct mask *mask;
    uint32_t node;
    char *held;      /* from start on */
    uint8_t *hidden; /* which of them belong to an occurrence */
    size_t start, n, cap;
    bool hiding; /* the last byte given out belonged to one */
    bool has_hidden;
};

struct mask_stream *mask_stream_new(const struct mask *mask)
{
    assert(mask->closed);
    struct mask_stream *stream = mem_zalloc(1, sizeof *stream);
    stream->mask = mask;
    stream->cap = 2 * ((size_t)mask->deepest + 1);
    stream->held = crypt_alloc(stream->cap);
    stream->hidden = mem_zalloc(stream->cap, 1);
    return stream;
}

void mask_stream_free(struct mask_stream *stream)
{
    if (!stream)
        return;
    crypt_free(stream->held, stream->cap);
    free(stream->hidden);
    free(stream);
}

static void give_out(struct mask_stream *stream, size_t n, struct buf *out)
{
    for (size_t end = stream->start + n; stream->start < end; stream->start++) {
        bool hidden = stream->hidden[stream->start];
        if (!hidden)
            buf_addc(out, stream->held[stream->start]);
        else if (!stream->hiding)
            buf_adds(out, MASK_WORD);
        stream->hiding = hidden;
    }
    stream->n -= n;
}

static void hold(struct mask_stream *stream, char byte)
{
    if (stream->start + stream->n == stream->cap) {
        memmove(stream->held, stream->held + stream->start, stream->n);
        memmove(stream->hidden, stream->hidden + stream->start, stream->n);
        stream->start = 0;
    }
    stream->held[stream->start + stream->n] = byte;
    stream->hidden[stream->start + stream->n] = false;
    stream->n++;
}

void mask_feed(struct mask_stream *stream, const char *bytes, size_t n, struct buf *out)
{
    const struct mask *mask = stream->mask;
    for (size_t i = 0; i < n; i++) {
        if (!stream->node) {
            size_t plain = 0;
            while (i + plain < n && !mask->first[(uint8_t)bytes[i + plain]])
                plain++;
            buf_add(out, bytes + i, plain);
            stream->hiding &= plain == 0;
            i += plain;
            if (i == n)
                break;
        }
        hold(stream, bytes[i]);
        stream->node = next_of(mask, stream->node, (uint8_t)bytes[i]);
        const struct node *node = &mask->nodes[stream->node];
        stream->has_hidden |= node->match > 0;
        memset(stream->hidden + stream->start + stream->n - node->match, true, node->match);
        give_out(stream, stream->n - node->depth, out);
    }
}

void mask_end(struct mask_stream *stream, struct buf *out)
{
    give_out(stream, stream->n, out);
    stream->node = 0;
    stream->start = 0;
    stream->hiding = stream->has_hidden = false;
}

bool mask_has_hidden(const struct mask_stream *stream)
{
    return stream->has_hidden;
}
