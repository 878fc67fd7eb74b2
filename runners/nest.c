/* nest.c - making and describing a nest's operations; see nest.h. nest_enter.c carries them out. */
#include "runners/nest.h"

#include <string.h>

static struct nest_op *add(struct nest *nest, enum nest_kind kind)
{
    if (!nest->strings.len)
        buf_addc(&nest->strings, '\0'); /* so that no string is at 0 */
    vec_push(&nest->ops, (struct nest_op){.kind = kind});
    return &vec_last(&nest->ops);
}

static uint32_t string(struct nest *nest, const char *text)
{
    uint32_t at = (uint32_t)nest->strings.len;
    if (!text)
        return 0;
    buf_add(&nest->strings, text, strlen(text) + 1);
    return at;
}

void nest_release(struct nest *nest)
{
    /* What is written may be secret. */
    if (nest->strings.data)
        explicit_bzero(nest->strings.data, nest->strings.len);
    vec_release(&nest->ops);
    buf_release(&nest->strings);
}

void nest_write(struct nest *nest, const char *path, const char *text)
{
    struct nest_op *op = add(nest, NEST_WRITE);
    op->path = string(nest, path);
    op->content = string(nest, text);
    op->n = strlen(text);
}

void nest_enter_namespace(struct nest *nest, gid_t group, const char *anchor, const char *veil)
{
    struct nest_op *op = add(nest, NEST_ENTER);
    op->mode = group;
    op->path = string(nest, veil ? anchor : NULL);
    op->source = string(nest, veil);
}

void nest_chdir(struct nest *nest, const char *path)
{
    add(nest, NEST_CHDIR)->path = string(nest, path);
}

void nest_mkdir(struct nest *nest, const char *path, mode_t mode)
{
    struct nest_op *op = add(nest, NEST_MKDIR);
    op->path = string(nest, path);
    op->mode = mode;
}

void nest_file(struct nest *nest, const char *path, const void *bytes, size_t n, mode_t mode)
{
    struct nest_op *op = add(nest, NEST_FILE);
    op->path = string(nest, path);
    op->mode = mode;
    op->content = (uint32_t)nest->strings.len;
    op->n = n;
    buf_add(&nest->strings, bytes, n);
    buf_addc(&nest->strings, '\0');
}

void nest_symlink(struct nest *nest, const char *target, const char *path)
{
    struct nest_op *op = add(nest, NEST_SYMLINK);
    op->source = string(nest, target);
    op->path = string(nest, path);
}

void nest_hide(struct nest *nest, const char *path)
{
    add(nest, NEST_HIDE)->path = string(nest, path);
}

void nest_remove(struct nest *nest, const char *path)
{
    add(nest, NEST_REMOVE)->path = string(nest, path);
}

void nest_mount(struct nest *nest, const char *type, const char *path, unsigned long flags,
                const char *options)
{
    struct nest_op *op = add(nest, NEST_MOUNT);
    op->type = string(nest, type);
    op->path = string(nest, path);
    op->flags = flags;
    op->content = string(nest, options);
}

void nest_bind(struct nest *nest, const char *source, const char *path, bool read_only,
               uint64_t attributes)
{
    struct nest_op *op = add(nest, NEST_BIND);
    op->source = string(nest, source);
    op->path = string(nest, path);
    op->read_only = read_only;
    op->flags = attributes;
}

void nest_optional(struct nest *nest)
{
    vec_last(&nest->ops).optional = true;
}

void nest_pack(const struct nest *nest, struct buf *out)
{
    struct nest_head head = {.n_ops = nest->ops.n};
    buf_add(out, &head, sizeof head);
    buf_add(out, nest->ops.v, nest->ops.n * sizeof *nest->ops.v);
    buf_add(out, nest->strings.data, nest->strings.len);
}

bool nest_check(const void *block, size_t size)
{
    const struct nest_head *head = block;
    if (size < sizeof *head || head->n_ops > (size - sizeof *head) / sizeof(struct nest_op))
        return false;
    const struct nest_op *ops = (const struct nest_op *)(head + 1);
    const char *strings = (const char *)(ops + head->n_ops);
    size_t n = size - (size_t)(strings - (const char *)block);
    if (n && strings[n - 1])
        return false;
    for (size_t i = 0; i < head->n_ops; i++) {
        const struct nest_op *op = &ops[i];
        if (op->path && op->path >= n)
            return false;
        if ((op->source && op->source >= n) || (op->type && op->type >= n))
            return false;
        if ((op->content && op->content >= n) || op->n > n - op->content)
            return false;
    }
    return true;
}

void nest_blank(void *block, size_t size)
{
    const struct nest_head *head = block;
    if (!nest_check(block, size))
        return;
    const struct nest_op *ops = (const struct nest_op *)(head + 1);
    size_t strings = sizeof *head + head->n_ops * sizeof *ops;
    for (size_t i = 0; i < head->n_ops; i++)
        if (ops[i].kind == NEST_FILE)
            explicit_bzero((char *)block + strings + ops[i].content, ops[i].n);
}

void nest_describe(const void *block, size_t size, size_t index, struct buf *out)
{
    const struct nest_head *head = block;
    if (!nest_check(block, size) || index >= head->n_ops) {
        buf_adds(out, "setting it up");
        return;
    }
    const struct nest_op *op = (const struct nest_op *)(head + 1) + index;
    const char *strings = (const char *)((const struct nest_op *)(head + 1) + head->n_ops);
    const char *path = op->path ? strings + op->path : "";
    switch ((enum nest_kind)op->kind) {
    case NEST_WRITE: buf_adds(out, "writing "); break;
    case NEST_ENTER: buf_adds(out, "entering a mount namespace of its own"); return;
    case NEST_CHDIR: buf_adds(out, "entering "); break;
    case NEST_MKDIR: buf_adds(out, "making the directory "); break;
    case NEST_FILE: buf_adds(out, "making the file "); break;
    case NEST_SYMLINK: buf_adds(out, "making the link "); break;
    case NEST_HIDE: buf_adds(out, "hiding "); break;
    case NEST_REMOVE: buf_adds(out, "removing "); break;
    case NEST_MOUNT: buf_addf(out, "mounting %s on ", strings + op->type); break;
    case NEST_BIND: buf_addf(out, "mounting %s on ", strings + op->source); break;
    default: buf_adds(out, "setting up ");
    }
    buf_add_shown(out, path, strlen(path));
}
