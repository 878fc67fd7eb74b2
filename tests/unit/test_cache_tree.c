/* Directory messages byte for byte, the store, and Tree messages. */
#include "test_cache_tree.h"

#include "reapi.pb-c.h"

#define MESSAGE(type)     Build__Bazel__Remote__Execution__V2__##type
#define DESCRIPTOR(lower) (&build__bazel__remote__execution__v2__##lower##__descriptor)

static int entry_cmp(const void *a, const void *b)
{
    return strcmp(((const struct tree_entry *)a)->name, ((const struct tree_entry *)b)->name);
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
        cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
