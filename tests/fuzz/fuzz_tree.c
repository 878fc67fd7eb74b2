/*
 * Directory and Tree messages. The first byte chooses: the rest is a Directory, or a Tree, or says
 * what trees to make and lay over one another, as no mutation hits a digest.
 */
#include "cache/tree.h"

#include "tests/fuzz/fuzz.h"

static void check_directory(const uint8_t *bytes, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct tree_dir dir;
    struct err err = ERR_INIT;
    if (tree_decode(bytes, n, &arena, &dir, &err) == 0) {
        struct buf again = BUF_INIT;
        tree_encode(dir.entries, dir.n, &again);
        CLAIM(again.len == n && (n == 0 || memcmp(again.data, bytes, n) == 0));
        for (size_t i = 0; i < dir.n; i++) {
            const char *name = dir.entries[i].name;
            CLAIM(*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
            CLAIM(i == 0 || strcmp(dir.entries[i - 1].name, name) < 0);
        }
        buf_release(&again);
    } else {
        CLAIM(err.kind == ERR_CORRUPT && *err_text(&err));
    }
    err_release(&err);
    arena_release(&arena);
}

static bool count(void *ctx, const char *path, const struct tree_entry *entry)
{
    size_t *n = ctx;
    CLAIM(*path && *path != '/' && entry->name);
    return ++*n < 5000;
}

static bool no_change(void *ctx, const char *path, const struct tree_entry *old,
                      const struct tree_entry *now)
{
    (void)ctx, (void)path;
    CLAIM(!old && !now); /* never: a tree does not differ from itself */
    return false;
}

static void must(int rc)
{
    CLAIM(rc == 0);
}

static void check_same_after_wire(const struct trees *trees, const struct digest *root)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct trees *fresh = trees_new();
    struct digest again;
    size_t n = 0;
    must(trees_encode_tree(trees, root, &first, NULL));
    must(trees_decode_tree(fresh, first.data, first.len, &again, NULL));
    CLAIM(digest_eq(root, &again));
    must(trees_encode_tree(fresh, &again, &second, NULL));
    CLAIM(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    must(trees_walk(fresh, &again, count, &n, NULL));
    must(trees_compare(fresh, &again, &again, no_change, NULL, NULL));
    trees_free(fresh);
    buf_release(&first);
    buf_release(&second);
}

static void check_tree(const uint8_t *bytes, size_t n)
{
    struct trees *trees = trees_new();
    struct digest root;
    struct err err = ERR_INIT;
    if (trees_decode_tree(trees, bytes, n, &root, &err) == 0)
        check_same_after_wire(trees, &root);
    else
        CLAIM(err.kind == ERR_CORRUPT && *err_text(&err));
    err_release(&err);
    trees_free(trees);
}

#define DIRS 6 /* few, as each may be in each above it many times */

/* Puts a directory, then those that may hold it: a byte for how many entries, two for each. */
static struct digest make_tree(struct trees *trees, struct input *input)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct digest made[DIRS + 1] = {tree_empty()};
    for (size_t i = 1; i <= DIRS; i++) {
        struct tree_entry entries[4];
        size_t n = 0;
        unsigned which = input_byte(input);
        for (unsigned k = 0; k < 4; k++) {
            if (!(which >> k & 1))
                continue;
            unsigned kind = input_byte(input), what = input_byte(input);
            struct tree_entry entry = {.kind = (enum tree_kind)(kind % 3), .name = names[k]};
            if (entry.kind == TREE_DIR)
                entry.digest = made[what % i];
            else if (entry.kind == TREE_SYMLINK)
                entry.target = names[what % 4];
            else
                entry.digest = digest_of(&what, 1 + what % 3 % sizeof(what));
            entry.executable = entry.kind == TREE_FILE && kind >= 128;
            entries[n++] = entry;
        }
        made[i] = trees_put(trees, entries, n);
    }
    return made[DIRS];
}

static void check_operations(struct input input)
{
    struct trees *trees = trees_new();
    struct digest root[2], both, diff, again, spoilt;
    root[0] = make_tree(trees, &input);
    root[1] = make_tree(trees, &input);
    check_same_after_wire(trees, &root[0]);
    must(trees_diff(trees, &root[0], &root[0], &diff, NULL));
    CLAIM(digest_eq(&diff, &(struct digest){0}) || diff.size == 0);
    must(trees_merge(trees, (struct digest[]){root[0], root[0]}, 2, &again, NULL));
    CLAIM(digest_eq(&again, &root[0]));
    must(trees_merge(trees, root, 2, &both, NULL));
    must(trees_diff(trees, &root[0], &root[1], &diff, NULL));
    must(trees_merge(trees, (struct digest[]){root[0], diff}, 2, &again, NULL));
    CLAIM(digest_eq(&again, &both));

    struct buf wire = BUF_INIT;
    must(trees_encode_tree(trees, &both, &wire, NULL));
    if (wire.len) {
        wire.data[(input_byte(&input) << 8 | input_byte(&input)) % wire.len] ^=
            (char)input_byte(&input);
        struct trees *fresh = trees_new();
        (void)!trees_decode_tree(fresh, wire.data, wire.len, &spoilt, NULL);
        trees_free(fresh);
    }
    buf_release(&wire);
    trees_free(trees);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0] % 3) {
    case 0: check_directory(data + 1, size - 1); break;
    case 1: check_tree(data + 1, size - 1); break;
    default: check_operations((struct input){data + 1, size - 1}); break;
    }
    return 0;
}
