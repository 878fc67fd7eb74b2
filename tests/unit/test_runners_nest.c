/* A nest's ids, and its operations as a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "runners/nest.h"
#include "runners/nest_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char whole[] = "         0          0 4294967295\n";

static struct nest_map map_of(const struct nest_files *files)
{
    struct nest_map map;
    nest_user_map_from(files, &map);
    return map;
}

static void test_ordinary_user(void **state)
{
    (void)state;
    struct nest_files files = {.subuid = "ann:100000:65536\nme:165536:65536\n",
                               .subgid = "me:231072:1000\n",
                               .uid_map = whole,
                               .gid_map = whole,
                               .user = "me",
                               .uid = 1001,
                               .gid = 1002,
                               .helper = true};
    struct nest_map map = map_of(&files);
    assert_true(map.by_helper);
    assert_int_equal(map.uid.first, 1001);
    assert_int_equal(map.uid.rest, 165536);
    assert_int_equal(map.uid.more, 65535);
    assert_int_equal(map.gid.first, 1002);
    assert_int_equal(map.gid.rest, 231072);
    assert_int_equal(map.gid.more, 1000);
    files.helper = false;
    map = map_of(&files);
    assert_false(map.by_helper);
    assert_int_equal(map.uid.more, 0);
    files.helper = true;
    files.subgid = ""; /* half of it is none of it */
    map = map_of(&files);
    assert_int_equal(map.uid.more, 0);
    files.subgid = "me:0:65536\n"; /* root's own is nobody's to give */
    assert_false(map_of(&files).by_helper);
}

/* Another map is another one to whoever keeps what belongs to its ids. */
static void test_owners(void **state)
{
    (void)state;
    struct nest_map map = {{1000, 100000, 65535}, {1000, 100000, 65535}, true};
    struct box_owner owner, other;
    nest_user_owner(&map, &owner);
    assert_int_equal(owner.uid, 1000);
    assert_int_equal(owner.n, 65536);
    uint32_t *const ids[] = {&map.uid.first, &map.uid.rest, &map.uid.more, &map.gid.rest};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        ++*ids[i];
        nest_user_owner(&map, &other);
        assert_true(owner.mapping != other.mapping);
        --*ids[i];
    }
    map.by_helper = false;
    nest_user_owner(&map, &other);
    assert_true(owner.mapping == other.mapping);
}

static void test_root(void **state)
{
    (void)state;
    struct nest_files files = {.subuid = "", .subgid = "", .uid_map = whole, .gid_map = whole};
    struct nest_map map = map_of(&files);
    assert_false(map.by_helper);
    assert_true(map.uid.first > 65535);
    assert_int_equal(map.uid.more, 65535);
    assert_int_equal(map.uid.rest, map.uid.first + 1);
    files.subuid = files.subgid = "root:500000:65536\n";
    map = map_of(&files);
    assert_int_equal(map.uid.first, 500000);
    /* In a container whose namespace has 65536 ids: some of those, but not its root's. */
    files.uid_map = files.gid_map = "0 100000 65536\n";
    files.subuid = files.subgid = "";
    map = map_of(&files);
    assert_int_equal(map.uid.first, 1);
    assert_true(map.uid.more >= 32767);
    assert_true(1 + map.uid.more < 65536);
    /* With one id there is one. */
    files.uid_map = files.gid_map = "0 1000 1\n";
    map = map_of(&files);
    assert_int_equal(map.uid.first, 0);
    assert_int_equal(map.uid.more, 0);
    /* Ranges that lie beside one another are one. */
    files.uid_map = files.gid_map = "0 1000 1\n1 100000 32768\n32769 200000 40000\n";
    map = map_of(&files);
    assert_true(map.uid.more >= 65000);
}

static void check_extents(uint32_t id, const char *expected)
{
    const struct nest_range range = {1000, 100000, 65535};
    struct nest_extent extents[3];
    char text[200] = "";
    size_t n = nest_user_extents(&range, id, extents), at = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%u %u %u;", extents[i].inside,
                               extents[i].outside, extents[i].n);
    assert_string_equal(text, expected);
}

/* Whoever the step is, is the caller outside; the others have the rest, in order. */
static void test_places_changed(void **state)
{
    (void)state;
    check_extents(0, "0 1000 1;1 100000 65535;");
    check_extents(33, "0 100000 33;33 1000 1;34 100033 65502;");
    check_extents(65535, "0 100000 65535;65535 1000 1;");
    check_extents(65536, "0 1000 1;1 100000 65535;");
}

static void describe(const struct buf *block, size_t i, const char *expected)
{
    struct buf text = BUF_INIT;
    nest_describe(block->data, block->len, i, &text);
    assert_string_equal(buf_str(&text), expected);
    buf_release(&text);
}

static void test_block(void **state)
{
    (void)state;
    struct nest nest = NEST_INIT;
    struct buf block = BUF_INIT;
    nest_write(&nest, "/a/procs", "0");
    nest_enter_namespace(&nest, 0, NULL, NULL);
    nest_mkdir(&nest, "rootfs", 0755);
    nest_file(&nest, "config.json", "{\0}", 3, 0400);
    nest_mount(&nest, "overlay", "pro\nject", 0, "lowerdir=a");
    nest_optional(&nest);
    nest_bind(&nest, "/usr", "rootfs/usr", true, 0);
    nest_pack(&nest, &block);
    nest_release(&nest);
    assert_true(nest_check(block.data, block.len));
    describe(&block, 0, "writing /a/procs");
    describe(&block, 1, "entering a mount namespace of its own");
    describe(&block, 3, "making the file config.json");
    describe(&block, 4, "mounting overlay on pro\\nject");
    describe(&block, 5, "mounting /usr on rootfs/usr");
    describe(&block, 6, "setting it up");
    /* Without what is in files it says the same. */
    assert_non_null(memmem(block.data, block.len, "{\0}", 3));
    nest_blank(block.data, block.len);
    assert_null(memmem(block.data, block.len, "{\0}", 3));
    assert_null(memchr(block.data, '}', block.len));
    assert_true(nest_check(block.data, block.len));
    describe(&block, 3, "making the file config.json");
    describe(&block, 4, "mounting overlay on pro\\nject");
    for (size_t n = 0; n < block.len; n++) {
        char *cut = mem_alloc(n + 1);
        memcpy(cut, block.data, n);
        (void)nest_check(cut, n); /* for the sanitizers */
        free(cut);
    }
    /* Offsets that lead out. */
    struct nest_op *op = (struct nest_op *)(void *)(block.data + sizeof(struct nest_head));
    op[0].path = UINT32_MAX;
    assert_false(nest_check(block.data, block.len));
    op[0].path = 1;
    op[3].n = UINT64_MAX;
    assert_false(nest_check(block.data, block.len));
    buf_release(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary_user), cmocka_unit_test(test_owners),
        cmocka_unit_test(test_root),          cmocka_unit_test(test_places_changed),
        cmocka_unit_test(test_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
