/* Directory messages byte for byte, the store, and the operations on trees against a plain model of
 * paths. */
#include "test_cache.h"

#include "cache/tree.h"
#include "reapi.pb-c.h"

#define MESSAGE(type)     Build__Bazel__Remote__Execution__V2__##type
#define DESCRIPTOR(lower) (&build__bazel__remote__execution__v2__##lower##__descriptor)

static int entry_cmp(const void *a, const void *b)
{
    return strcmp(((const struct tree_entry *)a)->name, ((const struct tree_entry *)b)->name);
}

static struct tree_entry file(const char *name, struct digest digest, bool executable)
{
    return (struct tree_entry){
        .kind = TREE_FILE, .name = name, .digest = digest, .executable = executable};
}

static struct tree_entry dir(const char *name, struct digest digest)
{
    return (struct tree_entry){.kind = TREE_DIR, .name = name, .digest = digest};
}

static struct tree_entry symlink_to(const char *name, const char *target)
{
    return (struct tree_entry){.kind = TREE_SYMLINK, .name = name, .target = target};
}

/* Sorts, encodes, compares with the golden message, and decodes it back. */
static void check_directory(const char *name, struct tree_entry *entries, size_t n)
{
    struct buf buf = BUF_INIT, again = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct tree_dir decoded;
    if (n > 0)
        qsort(entries, n, sizeof(*entries), entry_cmp);
    tree_encode(entries, n, &buf);
    assert_golden(name, "Directory", &buf);

    assert_ok(tree_decode(buf_str(&buf), buf.len, &arena, &decoded, &err), &err);
    assert_int_equal(decoded.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(decoded.entries[i].kind, entries[i].kind);
        assert_string_equal(decoded.entries[i].name, entries[i].name);
        assert_int_equal(decoded.entries[i].executable, entries[i].executable);
        assert_true(digest_eq(&decoded.entries[i].digest, &entries[i].digest));
        if (entries[i].kind == TREE_SYMLINK)
            assert_string_equal(decoded.entries[i].target, entries[i].target);
    }
    tree_encode(decoded.entries, decoded.n, &again);
    assert_bytes("encoded again", &again, &buf);
    buf_release(&buf);
    buf_release(&again);
    arena_release(&arena);
}

static void test_golden_directories(void **state)
{
    struct digest hello = digest_str("hello\n"), nil = tree_empty();
    (void)state;
    check_directory("directory_empty", NULL, 0);
    struct tree_entry mixed[] = {
        dir("src", digest_fake('1', 300)),
        symlink_to("link", "Makefile"),
        file("z", digest_fake('f', 127), false),
        file("run.sh", hello, true),
        symlink_to("dangling", "../no/where"),
        file("Makefile", hello, false),
        file("empty", nil, false),
        dir("a-dir", nil),
    };
    check_directory("directory_mixed", mixed, sizeof(mixed) / sizeof(mixed[0]));
    char longest[201];
    memset(longest, 'n', 200);
    longest[200] = '\0';
    struct tree_entry names[] = {
        file("日本", hello, false),        file("🔥", hello, true),
        file("-dash", hello, false),       file(".hidden", hello, false),
        file("a b", hello, false),         file("a\nb", hello, false),
        file("a\"b\\c", hello, false),     file(longest, hello, false),
        file("\u00e9", hello, false),      dir("e\u0301", nil),
        symlink_to("→", "\u00fcber/日本"),
    };
    check_directory("directory_names", names, sizeof(names) / sizeof(names[0]));
    struct tree_entry sizes[] = {
        file("s0", digest_fake('0', 0), false),
        file("s1", digest_fake('1', 1), false),
        file("s127", digest_fake('2', 127), false),
        file("s128", digest_fake('3', 128), false),
        file("s16383", digest_fake('4', 16383), false),
        file("s16384", digest_fake('5', 16384), false),
        file("s2g", digest_fake('6', UINT64_C(1) << 31), false),
        file("smax", digest_fake('7', INT64_MAX), false),
    };
    check_directory("directory_sizes", sizes, sizeof(sizes) / sizeof(sizes[0]));
}

/* The empty directory's digest is the well-known one of empty content. */
static void test_empty(void **state)
{
    char hex[DIGEST_HEX + 1];
    struct digest empty = tree_empty();
    (void)state;
    digest_hex(&empty, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(empty.size, 0);
}

/* -- against protobuf-c ------------------------------------------------------------------------ */

static void *pb_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    void *message = arena_zalloc(arena, 1, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    return message;
}

static MESSAGE(Digest) * pb_digest(struct arena *arena, const struct digest *digest)
{
    MESSAGE(Digest) *message = pb_new(arena, DESCRIPTOR(digest));
    message->hash = arena_alloc(arena, DIGEST_HEX + 1);
    digest_hex(digest, message->hash);
    message->size_bytes = (int64_t)digest->size;
    return message;
}

static void encode_by_library(const struct tree_entry *entries, size_t n, struct buf *out)
{
    struct arena arena = ARENA_INIT;
    MESSAGE(Directory) *message = pb_new(&arena, DESCRIPTOR(directory));
    message->files = arena_zalloc(&arena, n, sizeof(*message->files));
    message->directories = arena_zalloc(&arena, n, sizeof(*message->directories));
    message->symlinks = arena_zalloc(&arena, n, sizeof(*message->symlinks));
    for (size_t i = 0; i < n; i++) {
        char *name = arena_strdup(&arena, entries[i].name);
        if (entries[i].kind == TREE_FILE) {
            MESSAGE(FileNode) *node = pb_new(&arena, DESCRIPTOR(file_node));
            node->name = name;
            node->digest = pb_digest(&arena, &entries[i].digest);
            node->is_executable = entries[i].executable;
            message->files[message->n_files++] = node;
        } else if (entries[i].kind == TREE_DIR) {
            MESSAGE(DirectoryNode) *node = pb_new(&arena, DESCRIPTOR(directory_node));
            node->name = name;
            node->digest = pb_digest(&arena, &entries[i].digest);
            message->directories[message->n_directories++] = node;
        } else {
            MESSAGE(SymlinkNode) *node = pb_new(&arena, DESCRIPTOR(symlink_node));
            node->name = name;
            node->target = arena_strdup(&arena, entries[i].target);
            message->symlinks[message->n_symlinks++] = node;
        }
    }
    size_t size = protobuf_c_message_get_packed_size(&message->base);
    protobuf_c_message_pack(&message->base, (uint8_t *)buf_reserve(out, size));
    out->len += size;
    arena_release(&arena);
}

static void test_same_as_library(void **state)
{
    uint32_t seed = 7;
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct arena arena = ARENA_INIT;
        struct buf ours = BUF_INIT, theirs = BUF_INIT;
        struct tree_entry entries[40];
        size_t n = roll(&seed, 40);
        for (size_t i = 0; i < n; i++) {
            size_t len = 1 + roll(&seed, roll(&seed, 4) ? 12 : 220);
            char *name = arena_printf(&arena, "%02zu", i);
            char *more = arena_alloc(&arena, len + 3);
            memset(more, 'a' + (int)roll(&seed, 26), len + 2);
            memcpy(more, name, 2);
            more[len + 2] = '\0';
            struct digest digest = digest_of(more, len);
            digest.size = (uint64_t)roll(&seed, 0x7fffffff) >> roll(&seed, 31);
            uint32_t kind = roll(&seed, 3);
            entries[i] = kind == 0   ? file(more, digest, roll(&seed, 2))
                         : kind == 1 ? dir(more, digest)
                                     : symlink_to(more, more);
        }
        tree_encode(entries, n, &ours);
        encode_by_library(entries, n, &theirs);
        assert_bytes("hand-written and protobuf-c's", &ours, &theirs);
        buf_release(&ours);
        buf_release(&theirs);
        arena_release(&arena);
    }
}

/* -- bad input --------------------------------------------------------------------------------- */

/* Whatever is accepted must encode to the very same bytes; whatever is refused is ERR_CORRUPT. */
static bool decode_strictly(const unsigned char *bytes, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct tree_dir decoded;
    unsigned char *exact = mem_alloc(n); /* so that a read past the end is seen */
    if (n > 0)
        memcpy(exact, bytes, n);
    int rc = tree_decode(exact, n, &arena, &decoded, &err);
    if (rc == 0) {
        struct buf again = BUF_INIT;
        tree_encode(decoded.entries, decoded.n, &again);
        assert_int_equal(again.len, n);
        if (n > 0)
            assert_memory_equal(again.data, bytes, n);
        buf_release(&again);
    } else {
        assert_int_equal(rc, -(int)ERR_CORRUPT);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
    err_release(&err);
    arena_release(&arena);
    free(exact);
    return rc == 0;
}

static void test_damaged_directories(void **state)
{
    struct buf buf = BUF_INIT;
    uint32_t seed = 99;
    (void)state;
    golden_file("directory_mixed", ".bin", &buf);
    unsigned char *bytes = (unsigned char *)buf.data;
    assert_true(decode_strictly(bytes, buf.len));
    size_t whole = 0;
    for (size_t n = 0; n < buf.len; n++)
        whole += decode_strictly(bytes, n) ? 1 : 0;
    assert_int_equal(whole, 8); /* cut exactly between entries, it is another directory */
    for (size_t i = 0; i < buf.len; i++) {
        unsigned char old = bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (unsigned char)(old ^ (1u << bit));
            decode_strictly(bytes, buf.len);
        }
        bytes[i] = old;
    }
    for (int round = 0; round < 5000; round++) {
        unsigned char junk[64];
        size_t n = roll(&seed, sizeof(junk));
        for (size_t i = 0; i < n; i++)
            junk[i] = (unsigned char)(roll(&seed, 4) ? bytes[roll(&seed, 32)] : roll(&seed, 256));
        decode_strictly(junk, n);
    }
    buf_release(&buf);
}

static bool encodes_to_valid(const struct tree_entry *entries, size_t n)
{
    struct buf buf = BUF_INIT;
    encode_by_library(entries, n, &buf);
    bool ok = decode_strictly((const unsigned char *)buf_str(&buf), buf.len);
    buf_release(&buf);
    return ok;
}

static void test_refused_directories(void **state)
{
    struct digest d = digest_str("x");
    (void)state;
    const char *bad[] = {"", ".", "..", "a/b", "/", "a/", "\xff", "a\xc0\xaf", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(encodes_to_valid((struct tree_entry[]){file(bad[i], d, false)}, 1));
        assert_false(encodes_to_valid((struct tree_entry[]){dir(bad[i], d)}, 1));
        assert_false(encodes_to_valid((struct tree_entry[]){symlink_to(bad[i], "t")}, 1));
    }
    assert_true(encodes_to_valid((struct tree_entry[]){file("...", d, false)}, 1));
    assert_false(encodes_to_valid((struct tree_entry[]){symlink_to("a", "")}, 1));
    assert_false(encodes_to_valid((struct tree_entry[]){symlink_to("a", "\xfe")}, 1));
    /* unsorted, twice, and the same name in two lists */
    assert_false(
        encodes_to_valid((struct tree_entry[]){file("b", d, false), file("a", d, false)}, 2));
    assert_false(
        encodes_to_valid((struct tree_entry[]){file("a", d, false), file("a", d, true)}, 2));
    assert_false(encodes_to_valid((struct tree_entry[]){file("a", d, false), dir("a", d)}, 2));
    assert_false(encodes_to_valid((struct tree_entry[]){dir("a", d), symlink_to("a", "t")}, 2));

    static const struct {
        size_t n;
        unsigned char bytes[16];
    } raw[] = {
        {1, {0x0a}},             /* no length */
        {2, {0x0a, 0x05}},       /* past the end */
        {2, {0x0a, 0x00}},       /* a file without a name */
        {3, {0x0a, 0x80, 0x00}}, /* a length that is not minimal */
        {11, {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
        {12, {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
        {2, {0x2a, 0x00}},                                    /* node properties */
        {2, {0x08, 0x01}},                                    /* wrong wire type */
        {5, {0x0a, 0x03, 0x0a, 0x01, 'a'}},                   /* a file without a digest */
        {7, {0x0a, 0x05, 0x0a, 0x01, 'a', 0x12, 0x00}},       /* an empty digest */
        {8, {0x1a, 0x06, 0x0a, 0x01, 0x00, 0x12, 0x01, 'b'}}, /* NUL in a name */
    };
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
        assert_false(decode_strictly(raw[i].bytes, raw[i].n));
}

/* -- the store --------------------------------------------------------------------------------- */

static void test_store(void **state)
{
    struct trees *trees = trees_new();
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct tree_dir opened;
    size_t n = 99;
    (void)state;
    struct digest empty = tree_empty();
    assert_non_null(trees_get(trees, &empty, &n));
    assert_int_equal(n, 0);
    struct digest put = trees_put(
        trees, (struct tree_entry[]){file("a", digest_str("1"), true), dir("b", empty)}, 2);
    const void *bytes = trees_get(trees, &put, &n);
    assert_non_null(bytes);
    assert_int_equal(n, put.size);
    struct digest same = trees_put_encoded(trees, bytes, n);
    assert_true(digest_eq(&same, &put));
    assert_ptr_equal(trees_get(trees, &put, &n), bytes);
    assert_ok(trees_open(trees, &put, &arena, &opened, &err), &err);
    assert_int_equal(opened.n, 2);
    assert_string_equal(opened.entries[1].name, "b");

    struct digest other = put;
    other.size++;
    assert_null(trees_get(trees, &other, &n));
    assert_fails(trees_open(trees, &other, &arena, &opened, &err), ERR_CORRUPT, &err);
    struct digest junk = trees_put_encoded(trees, "\x2a", 1);
    assert_fails(trees_open(trees, &junk, &arena, &opened, &err), ERR_CORRUPT, &err);
    assert_int_equal(trees_open(trees, &junk, &arena, &opened, NULL), -(int)ERR_CORRUPT);
    err_release(&err);
    arena_release(&arena);
    trees_free(trees);
    trees_free(NULL);
}

/* -- Tree messages ----------------------------------------------------------------------------- */

static void test_tree_message(void **state)
{
    struct trees *trees = trees_new(), *other = trees_new();
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT, again = BUF_INIT;
    struct digest hello = digest_str("hello\n"), root, read;
    (void)state;
    struct digest shared = trees_put(trees, (struct tree_entry[]){symlink_to("up", "../x")}, 1);
    struct digest a =
        trees_put(trees, (struct tree_entry[]){dir("shared", shared), file("x", hello, false)}, 2);
    struct digest b = trees_put(trees, (struct tree_entry[]){dir("shared", shared)}, 1);
    root = trees_put(trees,
                     (struct tree_entry[]){file("README", hello, false), dir("a", a), dir("b", b),
                                           dir("empty", tree_empty())},
                     4);
    assert_ok(trees_encode_tree(trees, &root, &buf, &err), &err);
    assert_golden("tree", "Tree", &buf);
    assert_ok(trees_decode_tree(other, buf_str(&buf), buf.len, &read, &err), &err);
    assert_true(digest_eq(&read, &root));
    assert_ok(trees_encode_tree(other, &root, &again, &err), &err);
    assert_bytes("read and written", &again, &buf);

    struct trees *fresh = trees_new();
    for (size_t n = 0; n < buf.len; n++) /* a child is missing, whatever is cut off */
        if (trees_decode_tree(fresh, buf_str(&buf), n, &read, &err) == 0)
            assert_int_equal(n, buf.len - 2); /* the empty directory is always known */
    for (size_t i = 0; i < buf.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct trees *victim = trees_new();
            buf.data[i] = (char)(buf.data[i] ^ (1 << bit));
            if (trees_decode_tree(victim, buf_str(&buf), buf.len, &read, &err) == 0) {
                buf_reset(&again);
                assert_ok(trees_encode_tree(victim, &read, &again, &err), &err);
            }
            buf.data[i] = (char)(buf.data[i] ^ (1 << bit));
            trees_free(victim);
        }
    struct digest absent = digest_fake('a', 5);
    assert_fails(trees_encode_tree(trees, &absent, &again, &err), ERR_CORRUPT, &err);
    assert_fails(trees_decode_tree(fresh, "", 0, &read, &err), ERR_CORRUPT, &err);
    buf_reset(&again);
    struct digest empty = tree_empty();
    assert_ok(trees_encode_tree(fresh, &empty, &again, &err), &err);
    assert_int_equal(again.len, 2);
    assert_ok(trees_decode_tree(fresh, again.data, again.len, &read, &err), &err);
    assert_true(digest_eq(&read, &empty));

    err_release(&err);
    buf_release(&buf);
    buf_release(&again);
    trees_free(fresh);
    trees_free(trees);
    trees_free(other);
}

static bool count_cb(void *ctx, const char *path, const struct tree_entry *entry)
{
    (void)path;
    (void)entry;
    return ++*(size_t *)ctx < 1000;
}

static bool any_change_cb(void *ctx, const char *path, const struct tree_entry *old,
                          const struct tree_entry *now)
{
    (void)path;
    (void)old;
    (void)now;
    return ++*(size_t *)ctx < 1000;
}

/* Few messages that stand for a huge tree, and one nested too deep: an error, no hang and no crash.
 */
static void test_bombs(void **state)
{
    struct trees *trees = trees_new();
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest at = tree_empty(), out, empty = tree_empty();
    size_t count = 0;
    (void)state;
    for (int i = 0; i < 60; i++)
        at = trees_put(trees, (struct tree_entry[]){dir("a", at), dir("b", at)}, 2);
    assert_fails(trees_encode_tree(trees, &at, &buf, &err), ERR_CORRUPT, &err);
    assert_ok(trees_walk(trees, &at, count_cb, &count, &err), &err);
    assert_int_equal(count, 1000);

    at = trees_put(trees, (struct tree_entry[]){file("f", digest_str("x"), false)}, 1);
    for (int i = 0; i < TREE_DEPTH_MAX + 5; i++)
        at = trees_put(trees, (struct tree_entry[]){dir("d", at)}, 1);
    struct digest beside =
        trees_put(trees, (struct tree_entry[]){file("z", digest_str("y"), false)}, 1);
    struct digest both[] = {at, beside};
    count = 0;
    assert_fails(trees_encode_tree(trees, &at, &buf, &err), ERR_CORRUPT, &err);
    assert_fails(trees_compare(trees, &empty, &at, any_change_cb, &count, &err), ERR_CONFIG, &err);
    count = 0;
    int rc = trees_walk(trees, &at, count_cb, &count, &err);
    assert_true(rc == 0 || rc == -(int)ERR_CONFIG);
    assert_ok(trees_merge(trees, both, 2, &out, &err), &err); /* nothing deep to look into */

    char path[2 * TREE_DEPTH_MAX + 64];
    size_t n = 0;
    while (n < sizeof(path) - 3) {
        path[n++] = 'd';
        path[n++] = '/';
    }
    path[n++] = 'f';
    path[n] = '\0';
    struct tree_entry entry = file("", digest_str("q"), false);
    assert_fails(trees_make(trees, &empty, path, &entry, &out, &err), ERR_CONFIG, &err);
    err_release(&err);
    buf_release(&buf);
    trees_free(trees);
}

/* -- a model: a flat list of paths ------------------------------------------------------------- */

#define MODEL_MAX 400

struct item {
    char path[48];
    enum tree_kind kind;
    char value; /* content of a file, target of a link */
    bool executable;
};

struct model {
    struct item items[MODEL_MAX];
    size_t n;
};

static struct item *model_find(struct model *model, const char *path)
{
    for (size_t i = 0; i < model->n; i++)
        if (strcmp(model->items[i].path, path) == 0)
            return &model->items[i];
    return NULL;
}

static void model_remove(struct model *model, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->n; i++)
        if (!path_is_below(model->items[i].path, path))
            model->items[kept++] = model->items[i];
    model->n = kept;
}

static void model_put(struct model *model, const struct item *item)
{
    struct item parent = {.kind = TREE_DIR};
    for (const char *slash = item->path; (slash = strchr(slash, '/')); slash++) {
        size_t n = (size_t)(slash - item->path);
        memcpy(parent.path, item->path, n);
        parent.path[n] = '\0';
        struct item *there = model_find(model, parent.path);
        if (!there || there->kind != TREE_DIR) {
            model_remove(model, parent.path);
            model->items[model->n++] = parent;
        }
    }
    struct item copy = *item;
    struct item *there = model_find(model, copy.path);
    if (there && there->kind == TREE_DIR && copy.kind == TREE_DIR)
        return;
    model_remove(model, copy.path);
    assert_true(model->n < MODEL_MAX);
    model->items[model->n++] = copy;
}

static void model_lay(struct model *model, const struct model *over, const char *from,
                      const char *to)
{
    for (size_t i = 0; i < over->n; i++) { /* parents stand before what they hold */
        struct item item = over->items[i];
        if (!path_is_below(item.path, from))
            continue;
        const char *rest = item.path + strlen(from);
        char *path = path_join(to, *rest == '/' ? rest + 1 : rest);
        if (*path && path[strlen(path) - 1] == '/')
            path[strlen(path) - 1] = '\0';
        snprintf(item.path, sizeof(item.path), "%s", path);
        free(path);
        if (*item.path)
            model_put(model, &item);
    }
}

/* Component by component: a directory's contents come before "a-b", although '-' sorts before '/'.
 */
static int path_order(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    int ca = *a == '/' ? 1 : (unsigned char)*a, cb = *b == '/' ? 1 : (unsigned char)*b;
    return ca - cb;
}

static int item_cmp(const void *a, const void *b)
{
    return path_order(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static void model_sort(struct model *model)
{
    if (model->n > 0)
        qsort(model->items, model->n, sizeof(*model->items), item_cmp);
}

static struct tree_entry item_entry(const struct item *item, char target[2])
{
    target[0] = item->value;
    target[1] = '\0';
    return item->kind == TREE_FILE  ? file("", digest_of(&item->value, 1), item->executable)
           : item->kind == TREE_DIR ? dir("", tree_empty())
                                    : symlink_to("", target);
}

static struct digest model_tree(struct trees *trees, struct model *model)
{
    struct err err = ERR_INIT;
    struct digest root = tree_empty();
    model_sort(model);
    for (size_t i = 0; i < model->n; i++) {
        char target[2];
        struct tree_entry entry = item_entry(&model->items[i], target);
        assert_ok(trees_make(trees, &root, model->items[i].path, &entry, &root, &err), &err);
    }
    return root;
}

struct model_walk {
    const struct model *model;
    size_t at;
};

static bool model_walk_cb(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct model_walk *walk = ctx;
    assert_true(walk->at < walk->model->n);
    const struct item *item = &walk->model->items[walk->at++];
    char target[2];
    struct tree_entry wanted = item_entry(item, target);
    assert_string_equal(path, item->path);
    assert_int_equal(entry->kind, wanted.kind);
    if (entry->kind == TREE_FILE) {
        assert_true(digest_eq(&entry->digest, &wanted.digest));
        assert_int_equal(entry->executable, wanted.executable);
    } else if (entry->kind == TREE_SYMLINK) {
        assert_string_equal(entry->target, target);
    }
    return true;
}

static void assert_model(struct trees *trees, const struct digest *root, struct model *model)
{
    struct err err = ERR_INIT;
    struct model_walk walk = {model, 0};
    model_sort(model);
    assert_ok(trees_walk(trees, root, model_walk_cb, &walk, &err), &err);
    assert_int_equal(walk.at, model->n);
    struct digest built = model_tree(trees, model);
    assert_true(digest_eq(&built, root));
}

static void random_path(uint32_t *seed, char *out, size_t n)
{
    static const char *const parts[] = {"a", "b", "a-b", "c", "日"};
    size_t len = 0;
    uint32_t depth = 1 + roll(seed, 4);
    for (uint32_t i = 0; i < depth; i++)
        len += (size_t)snprintf(out + len, n - len, "%s%s", i ? "/" : "", parts[roll(seed, 5)]);
}

static struct item random_item(uint32_t *seed)
{
    struct item item = {.kind = (enum tree_kind)(roll(seed, 5) < 3 ? 0 : roll(seed, 3)),
                        .value = (char)('a' + roll(seed, 3)),
                        .executable = roll(seed, 4) == 0};
    if (item.kind != TREE_FILE)
        item.executable = false;
    random_path(seed, item.path, sizeof(item.path));
    return item;
}

static void random_model(uint32_t *seed, struct model *model)
{
    model->n = 0;
    for (uint32_t i = roll(seed, 20); i > 0; i--) {
        struct item item = random_item(seed);
        model_put(model, &item);
    }
    model_sort(model);
}

static void test_operations_model(void **state)
{
    static struct model a, b, c, sum;
    uint32_t seed = 12345;
    struct err err = ERR_INIT;
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct trees *trees = trees_new();
        struct arena arena = ARENA_INIT;
        struct digest out;
        char path[48], to[48];
        random_model(&seed, &a);
        random_model(&seed, &b);
        random_model(&seed, &c);
        struct digest roots[] = {model_tree(trees, &a), model_tree(trees, &b),
                                 model_tree(trees, &c)};
        assert_model(trees, &roots[0], &a);

        assert_ok(trees_merge(trees, roots, 3, &out, &err), &err);
        sum = a;
        model_lay(&sum, &b, "", "");
        model_lay(&sum, &c, "", "");
        assert_model(trees, &out, &sum);
        struct digest step[] = {roots[0], roots[1]}, folded; /* the same two at a time */
        assert_ok(trees_merge(trees, step, 2, &folded, &err), &err);
        assert_ok(trees_merge(trees, (struct digest[]){folded, roots[2]}, 2, &folded, &err), &err);
        assert_true(digest_eq(&folded, &out));

        /* What the upper one adds is exactly what has to be laid over the lower one, where nothing
         * was removed. */
        struct digest added, both;
        assert_ok(trees_merge(trees, step, 2, &both, &err), &err);
        assert_ok(trees_diff(trees, &roots[0], &both, &added, &err), &err);
        assert_ok(trees_merge(trees, (struct digest[]){roots[0], added}, 2, &folded, &err), &err);
        assert_true(digest_eq(&folded, &both));
        assert_ok(trees_diff(trees, &out, &out, &added, &err), &err);
        struct digest empty = tree_empty();
        assert_true(digest_eq(&added, &empty));

        struct item item = random_item(&seed);
        char target[2];
        struct tree_entry entry = item_entry(&item, target);
        sum = a;
        if (item.kind == TREE_DIR) /* make replaces where laying over would keep */
            model_remove(&sum, item.path);
        model_put(&sum, &item);
        assert_ok(trees_make(trees, &roots[0], item.path, &entry, &out, &err), &err);
        assert_model(trees, &out, &sum);

        random_path(&seed, path, sizeof(path));
        sum = a;
        model_remove(&sum, path);
        assert_ok(trees_remove(trees, &roots[0], path, &out, &err), &err);
        assert_model(trees, &out, &sum);

        random_path(&seed, path, sizeof(path));
        path[strcspn(path, "/")] = '\0';
        random_path(&seed, to, sizeof(to));
        to[8] = '\0';
        if (to[strlen(to) - 1] == '/')
            to[strlen(to) - 1] = '\0';
        bool found;
        struct tree_entry at;
        assert_ok(trees_find(trees, &roots[1], path, &arena, &at, &found, &err), &err);
        assert_int_equal(found, model_find(&b, path) != NULL);
        if (!strstr(to, "\xe6")) { /* a character may have been cut */
            bool copied;
            assert_ok(trees_copy(trees, &roots[1], path, &roots[0], to, &copied, &out, &err), &err);
            assert_int_equal(copied, found);
            sum = a;
            model_lay(&sum, &b, path, to);
            assert_model(trees, &out, &sum);
        }
        arena_release(&arena);
        trees_free(trees);
    }
    err_release(&err);
}

/* Changes as they are told, applied to the old model, must give the new one. */
struct changes {
    struct model *model;
    char last[48];
    size_t n;
};

static bool changes_cb(void *ctx, const char *path, const struct tree_entry *old,
                       const struct tree_entry *now)
{
    struct changes *changes = ctx;
    assert_true(old || now);
    assert_true(changes->n == 0 || path_order(changes->last, path) < 0);
    snprintf(changes->last, sizeof(changes->last), "%s", path);
    changes->n++;
    struct item *there = model_find(changes->model, path);
    if (old) {
        /* What stood below a directory that is a file now went when the file came. */
        assert_true(there || !now);
        assert_true(!there || there->kind == old->kind);
        if (now)
            model_remove(changes->model, path);
        else if (there)
            there->value = '-'; /* taken out at the end; its directory stays for now */
    }
    if (now) {
        struct item item = {.kind = now->kind, .executable = now->executable};
        snprintf(item.path, sizeof(item.path), "%s", path);
        if (now->kind == TREE_SYMLINK)
            item.value = now->target[0];
        for (char value = 'a'; now->kind == TREE_FILE && value <= 'c'; value++) {
            struct digest digest = digest_of(&value, 1);
            if (digest_eq(&digest, &now->digest))
                item.value = value;
        }
        if (there && there->value == '-')
            model_remove(changes->model, path);
        model_put(changes->model, &item);
    }
    return true;
}

static void leaves_of(struct model *model)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->n; i++)
        if (model->items[i].kind != TREE_DIR && model->items[i].value != '-')
            model->items[kept++] = model->items[i];
    model->n = kept;
    model_sort(model);
}

static void test_compare_model(void **state)
{
    static struct model a, b, result;
    uint32_t seed = 4711;
    struct err err = ERR_INIT;
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct trees *trees = trees_new();
        random_model(&seed, &a);
        if (round % 2) {
            random_model(&seed, &b);
        } else {
            struct item item = random_item(&seed);
            b = a;
            model_put(&b, &item);
        }
        struct digest old = model_tree(trees, &a), now = model_tree(trees, &b);
        result = a;
        struct changes changes = {.model = &result};
        assert_ok(trees_compare(trees, &old, &now, changes_cb, &changes, &err), &err);
        assert_int_equal(changes.n == 0 && digest_eq(&old, &now), digest_eq(&old, &now));
        leaves_of(&result);
        leaves_of(&b);
        assert_int_equal(result.n, b.n);
        for (size_t i = 0; i < b.n; i++) {
            assert_string_equal(result.items[i].path, b.items[i].path);
            assert_int_equal(result.items[i].kind, b.items[i].kind);
            assert_int_equal(result.items[i].value, b.items[i].value);
        }
        trees_free(trees);
    }
    err_release(&err);
}

static bool text_cb(void *ctx, const char *path, const struct tree_entry *old,
                    const struct tree_entry *now)
{
    static const char kinds[] = "fdl";
    buf_addf(ctx, "%s:%c%c ", path, old ? kinds[old->kind] : '-', now ? kinds[now->kind] : '-');
    return true;
}

static bool stop_cb(void *ctx, const char *path, const struct tree_entry *old,
                    const struct tree_entry *now)
{
    text_cb(ctx, path, old, now);
    return false;
}

static void test_compare_kinds(void **state)
{
    struct trees *trees = trees_new();
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest x = digest_str("x"), y = digest_str("y"), nil = tree_empty();
    (void)state;
    struct digest full = trees_put(trees, (struct tree_entry[]){file("k", x, false)}, 1);
    struct tree_entry old_entries[] = {
        dir("a", full),         file("a-b", x, false),    dir("emptied", full),
        file("exec", x, false), dir("gone", nil),         symlink_to("link", "1"),
        dir("tofile", full),    file("tofull", x, false), file("tonil", x, false)};
    struct tree_entry now_entries[] = {
        dir("a", full),           file("a-b", y, false),   dir("emptied", nil),
        file("exec", x, true),    symlink_to("link", "2"), dir("new", nil),
        file("tofile", x, false), dir("tofull", full),     dir("tonil", nil)};
    struct digest old = trees_put(trees, old_entries, 9), now = trees_put(trees, now_entries, 9);
    assert_ok(trees_compare(trees, &old, &now, text_cb, &buf, &err), &err);
    assert_string_equal(buf_str(&buf), "a-b:ff emptied/k:f- exec:ff gone:d- link:ll new:-d "
                                       "tofile:-f tofile/k:f- tofull:f- tofull/k:-f tonil:fd ");
    buf_reset(&buf);
    assert_ok(trees_compare(trees, &old, &now, stop_cb, &buf, &err), &err);
    assert_string_equal(buf_str(&buf), "a-b:ff ");
    struct digest absent = digest_fake('b', 9);
    assert_fails(trees_compare(trees, &old, &absent, text_cb, &buf, &err), ERR_CORRUPT, &err);
    err_release(&err);
    buf_release(&buf);
    trees_free(trees);
}

static void test_operation_edges(void **state)
{
    struct trees *trees = trees_new();
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct digest nil = tree_empty(), out, absent = digest_fake('c', 3);
    struct tree_entry entry = file("ignored", digest_str("x"), true), found_entry;
    bool found;
    (void)state;
    assert_ok(trees_merge(trees, NULL, 0, &out, &err), &err);
    assert_true(digest_eq(&out, &nil));
    assert_fails(trees_make(trees, &nil, "", &entry, &out, &err), ERR_CONFIG, &err);
    assert_ok(trees_make(trees, &nil, "a/b/c", &entry, &out, &err), &err);
    struct digest root = out;
    assert_ok(trees_find(trees, &root, "a/b/c", &arena, &found_entry, &found, &err), &err);
    assert_true(found && found_entry.executable);
    assert_string_equal(found_entry.name, "c");
    assert_ok(trees_find(trees, &root, "a/b/c/d", &arena, &found_entry, &found, &err), &err);
    assert_false(found);
    assert_ok(trees_find(trees, &root, "a/bb", &arena, &found_entry, &found, &err), &err);
    assert_false(found);
    assert_ok(trees_find(trees, &root, "", &arena, &found_entry, &found, &err), &err);
    assert_true(found && found_entry.kind == TREE_DIR && digest_eq(&found_entry.digest, &root));

    assert_ok(trees_remove(trees, &root, "a/b/c", &out, &err), &err);
    assert_ok(trees_find(trees, &out, "a/b", &arena, &found_entry, &found, &err), &err);
    assert_true(found && digest_eq(&found_entry.digest, &nil));
    assert_ok(trees_remove(trees, &root, "a/b/c/d", &out, &err), &err);
    assert_true(digest_eq(&out, &root));
    assert_ok(trees_remove(trees, &root, "", &out, &err), &err);
    assert_true(digest_eq(&out, &nil));

    assert_ok(trees_copy(trees, &root, "nothing", &nil, "x", &found, &out, &err), &err);
    assert_true(!found && digest_eq(&out, &nil));
    assert_ok(trees_copy(trees, &root, "a/b", &nil, "", &found, &out, &err), &err);
    assert_true(found);
    assert_ok(trees_find(trees, &out, "c", &arena, &found_entry, &found, &err), &err);
    assert_true(found);
    assert_fails(trees_copy(trees, &root, "a/b/c", &nil, "", &found, &out, &err), ERR_CONFIG, &err);
    assert_fails(trees_make(trees, &absent, "x", &entry, &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_remove(trees, &absent, "x", &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_diff(trees, &absent, &root, &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_merge(trees, (struct digest[]){absent, root}, 2, &out, &err), ERR_CORRUPT,
                 &err);
    err_release(&err);
    arena_release(&arena);
    trees_free(trees);
}

/* Ten thousand edits, swept whenever it is worth it: what is kept can be opened, and the rest does
 * not grow. */
static void test_sweep(void **state)
{
    struct trees *trees = trees_new();
    struct err err = ERR_INIT;
    struct digest root = tree_empty(), kept, other = digest_fake('d', 3);
    size_t most = 0, sweeps = 0;
    char path[64];
    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof(path), "dir%d/sub/file%d", i % 10, i);
        struct tree_entry entry = file("", digest_str(path), false);
        assert_ok(trees_make(trees, &root, path, &entry, &root, &err), &err);
    }
    kept = root;
    for (int i = 0; i < 10000; i++) {
        snprintf(path, sizeof(path), "edit %d", i);
        struct tree_entry entry = file("", digest_str(path), false);
        snprintf(path, sizeof(path), "dir%d/sub/file%d", i % 10, i % 200);
        assert_ok(trees_make(trees, &root, path, &entry, &root, &err), &err);
        if (trees_grown(trees)) {
            trees_keep(trees, &root);
            trees_keep(trees, &kept);
            trees_keep(trees, &other); /* nobody knows it */
            trees_sweep(trees);
            assert_false(trees_grown(trees));
            sweeps++;
        }
        most = trees_bytes(trees) > most ? trees_bytes(trees) : most;
    }
    assert_true(sweeps > 5);
    assert_true(most < (size_t)2 << 20);
    struct buf message = BUF_INIT;
    assert_ok(trees_encode_tree(trees, &root, &message, &err), &err);
    assert_ok(trees_encode_tree(trees, &kept, &message, &err), &err);
    trees_sweep(trees);
    assert_fails(trees_encode_tree(trees, &root, &message, &err), ERR_CORRUPT, &err);
    buf_release(&message);
    err_release(&err);
    trees_free(trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_directories),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_same_as_library),
        cmocka_unit_test(test_damaged_directories),
        cmocka_unit_test(test_refused_directories),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_tree_message),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_operations_model),
        cmocka_unit_test(test_compare_model),
        cmocka_unit_test(test_compare_kinds),
        cmocka_unit_test(test_operation_edges),
        cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
