/*
 * Any bytes as git's index: an answer, and a name that ends. The first byte says how long ids are,
 * and whether the hash is left out as git leaves it out when told to, so that what lies before it
 * is read at all.
 */
#include "cache/git_index.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

static void each(void *ctx, const struct git_index_file *file)
{
    size_t *n = ctx;
    CLAIM(file->len && strlen(file->path) == file->len);
    ++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t none[GIT_ID_MAX];
    if (!size)
        return 0;
    size_t id_size = data[0] & 2 ? GIT_ID_MAX : 20;
    struct buf bytes = BUF_INIT;
    struct git_index_tree tree = {.path = ""};
    buf_add(&bytes, data + 1, size - 1);
    if (data[0] & 1)
        buf_add(&bytes, none, id_size);
    /* A copy of exactly that size: what reads on is seen. */
    void *exact = mem_alloc(bytes.len ? bytes.len : 1);
    memcpy(exact, buf_str(&bytes), bytes.len);
    enum git_index_answer answer = git_index_tree(exact, bytes.len, id_size, &tree);
    size_t n = 0;
    CLAIM(answer <= GIT_INDEX_STRANGE);
    CLAIM(git_index_each(exact, bytes.len, id_size, each, &n, &tree) >= answer);
    CLAIM(n <= bytes.len);
    if (answer == GIT_INDEX_UNMERGED)
        CLAIM(*tree.path && strnlen(tree.path, sizeof(tree.path)) < sizeof(tree.path));
    free(exact);
    buf_release(&bytes);
    return 0;
}
