/*
 * hook_passes.c - what passed in the hook's checkout (see hook.h). It counts once all steps have
 * ended and left every file as it was; for the hook after one that was killed it is noted in a file
 * beside the checkout as it comes:
 *
 *     <boot of the machine>\n<tree that is tested>\n, then for each pass
 *     struct record, the action result
 *
 * The file is of one boot: after a power cut it may be there, and what a step had done to files
 * before may not. A pass that is cut short or damaged ends it.
 */
#include "cli/hook.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/git_checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MOST_BYTES ((size_t)1 << 30)

struct record {
    uint64_t n; /* bytes of the result */
    uint8_t key[DIGEST_BYTES];
    uint8_t check[DIGEST_BYTES]; /* SHA-256 of head, key and result */
};

/* False where nothing can tell one boot from the other. */
static bool make_head(const char *tree, struct buf *out)
{
    char boot[BOOT_ID_SIZE];
    file_boot_id(boot);
    buf_reset(out);
    buf_addf(out, "%s\n%s\n", boot, tree);
    return *boot;
}

static struct record make_record(const struct buf *head, const uint8_t key[DIGEST_BYTES],
                                 const void *result, size_t n)
{
    struct record record = {.n = n};
    struct buf all = BUF_INIT;
    buf_add(&all, head->data, head->len);
    buf_add(&all, key, DIGEST_BYTES);
    buf_add(&all, result, n);
    struct digest check = digest_of(all.data, all.len);
    memcpy(record.key, key, DIGEST_BYTES);
    memcpy(record.check, check.hash, DIGEST_BYTES);
    buf_release(&all);
    return record;
}

static void add_pass(struct hook_passes *passes, const struct digest *key, const void *result,
                     size_t n)
{
    struct hook_pass pass = {.key = *key, .result = BUF_INIT};
    buf_add(&pass.result, result, n);
    vec_push(&passes->list, pass);
}

static void close_file(struct hook_passes *passes)
{
    if (passes->fd >= 0)
        close(passes->fd);
    passes->fd = -1;
}

void hook_passes_begin(struct hook_passes *passes, const char *path, const char *tree)
{
    *passes = (struct hook_passes){.fd = -1};
    if (!path || !make_head(tree, &passes->head))
        return;
    passes->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (passes->fd >= 0 && file_write_all(passes->fd, passes->head.data, passes->head.len) != 0)
        close_file(passes);
}

void hook_passes_add(struct hook_passes *passes, const struct digest *key, const struct buf *result)
{
    struct buf out = BUF_INIT;
    add_pass(passes, key, result->data, result->len);
    if (passes->fd < 0)
        return;
    struct record record = make_record(&passes->head, key->hash, result->data, result->len);
    buf_add(&out, &record, sizeof record);
    buf_add(&out, result->data, result->len);
    if (file_write_all(passes->fd, out.data, out.len) != 0)
        close_file(passes); /* a full disk: what follows a piece would not be found */
    buf_release(&out);
}

int hook_passes_put(const struct hook_passes *passes, struct cache *cache, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < passes->list.n; i++) {
        const struct hook_pass *pass = &passes->list.v[i];
        rc = cache_put_action(cache, &pass->key, pass->result.data, pass->result.len, err);
    }
    return rc;
}

void hook_passes_release(struct hook_passes *passes)
{
    close_file(passes);
    vec_each (struct hook_pass, pass, &passes->list)
        buf_release(&pass->result);
    vec_release(&passes->list);
    buf_release(&passes->head);
}

/* -- of a hook that was killed ------------------------------------------------------------------
 */

/* The tree on the second line. */
static bool tree_of(const struct buf *text, char tree[GIT_TREE_HEX + 1])
{
    const char *line = strchr(buf_str(text), '\n');
    size_t n = line ? strspn(line + 1, "0123456789abcdef") : 0;
    if (n == 0 || n > GIT_TREE_HEX || line[1 + n] != '\n')
        return false;
    memcpy(tree, line + 1, n);
    tree[n] = '\0';
    return true;
}

static void read_passes(const struct buf *text, const struct buf *head, struct hook_passes *out)
{
    struct record record;
    size_t at = head->len;
    while (text->len - at >= sizeof record) {
        memcpy(&record, text->data + at, sizeof record);
        at += sizeof record;
        if (record.n > text->len - at)
            return;
        struct record right = make_record(head, record.key, text->data + at, record.n);
        if (memcmp(&right, &record, sizeof record) != 0)
            return;
        struct digest key = {.size = 0};
        memcpy(key.hash, record.key, DIGEST_BYTES);
        add_pass(out, &key, text->data + at, record.n);
        at += record.n;
    }
}

static void put_if_as_it_was(const struct hook_commit *commit, const struct hook_checkout *checkout,
                             const char *tree, const struct hook_passes *passes)
{
    struct buf changed = BUF_INIT;
    struct err err = ERR_INIT;
    if (passes->list.n &&
        git_checkout_changed(&commit->place, tree, checkout->dir, NULL, &changed, NULL) == 0 &&
        !changed.len && hook_passes_put(passes, checkout->cache, &err) != 0)
        err_release(&err); /* they run again */
    buf_release(&changed);
}

int hook_passes_recover(const struct hook_commit *commit, const struct hook_checkout *checkout,
                        struct err *err)
{
    struct buf text = BUF_INIT, head = BUF_INIT;
    struct hook_passes passes = {.fd = -1};
    char tree[GIT_TREE_HEX + 1] = "";
    int rc = 0;
    if (file_read(checkout->passed, MOST_BYTES, &text, NULL) == 0 && tree_of(&text, tree) &&
        make_head(tree, &head) && head.len <= text.len &&
        memcmp(text.data, head.data, head.len) == 0)
        read_passes(&text, &head, &passes);
    put_if_as_it_was(commit, checkout, tree, &passes);
    if (unlink(checkout->passed) != 0 && errno != ENOENT)
        rc = err_sys(err, errno, "cannot remove %s", checkout->passed);
    hook_passes_release(&passes);
    buf_release(&head);
    buf_release(&text);
    return rc;
}
