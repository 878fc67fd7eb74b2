/* Sparse files in layers: what tar writes of them, and what only somebody who means harm would. */
#include "test_unpack.h"

#define KIB 1024

/* A number of a GNU map. */
static void put(char *block, size_t at, uint64_t value)
{
    char text[16];
    tar_octal(text, 12, value);
    memcpy(block + at, text, 12);
}

/* The header of a GNU sparse file: n pairs of numbers, at most 4. */
static void gnu_header(struct buf *tar, const char *path, uint64_t stored, uint64_t real,
                       const uint64_t (*pairs)[2], size_t n, bool extended)
{
    size_t from = tar->len;
    tar_header(tar, 'S', path, "", stored, 0644, 0);
    char *header = tar->data + from;
    memcpy(header + 257, "ustar  ", 8);
    memset(header + 345, 0, 155);
    for (size_t i = 0; i < n; i++) {
        put(header, 386 + 24 * i, pairs[i][0]);
        put(header, 386 + 24 * i + 12, pairs[i][1]);
    }
    header[482] = extended;
    put(header, 483, real);
    tar_checksum(header);
}

/* A pax 1.0 one: map and content together are its content. */
static void pax_file(struct buf *tar, const char *path, const char *real, const char *map,
                     const char *content)
{
    struct buf all = BUF_INIT, records = BUF_INIT;
    buf_addf(&records, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n");
    size_t n = strlen("  GNU.sparse.name=\n") + strlen(path) + 1;
    buf_addf(&records, "%zu GNU.sparse.name=%s\n", n, path);
    n = strlen("  GNU.sparse.realsize=\n") + strlen(real) + 1;
    buf_addf(&records, "%zu GNU.sparse.realsize=%s\n", n, real);
    tar_raw(tar, 'x', "pax", records.data, records.len);
    buf_adds(&all, map);
    tar_pad(&all);
    buf_adds(&all, content);
    tar_raw(tar, '0', "GNUSparseFile.1/x", all.data, all.len);
    buf_release(&all);
    buf_release(&records);
}

/* The file is size bytes, zeros but for the text at that place, and takes less than 64 KiB. */
static void is_sparse(const struct rig *rig, const char *path, off_t size, off_t at,
                      const char *text)
{
    struct stat st = look(rig, path);
    char found[64] = "", before;
    size_t n = strlen(text);
    int fd = openat(last_layer(rig), path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0 && n < sizeof found);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks < 128);
    assert_int_equal(pread(fd, found, n, at), n);
    assert_string_equal(found, text);
    if (at > 0) {
        assert_int_equal(pread(fd, &before, 1, at - 1), 1);
        assert_int_equal(before, 0);
    }
    close(fd);
}

static void test_gnu(void **state)
{
    struct rig *rig = *state;
    const uint64_t pairs[][2] = {{0, 3}, {400 * KIB, 4}, {900 * KIB, 0}};
    gnu_header(&rig->tar, "a", 7, 900 * KIB, pairs, 3, false);
    buf_adds(&rig->tar, "onetwo!");
    tar_pad(&rig->tar);
    gnu_header(&rig->tar, "hole", 0, 900 * KIB, NULL, 0, false);
    tar_file(&rig->tar, "after", "it");
    unpack_good(rig);
    is_sparse(rig, "a", 900 * KIB, 0, "one");
    is_sparse(rig, "a", 900 * KIB, 400 * KIB, "two!");
    is_sparse(rig, "hole", 900 * KIB, 1, "");
    holds(rig, "after", "it");
    assert_int_equal(rig->counts.bytes, 7 + 2); /* holes cost nothing */
}

static void test_gnu_extended(void **state)
{
    struct rig *rig = *state;
    uint64_t pairs[4][2];
    char block[512] = {0};
    for (size_t i = 0; i < 4; i++) {
        pairs[i][0] = i * 8;
        pairs[i][1] = 1;
    }
    gnu_header(&rig->tar, "a", 4 + 21 + 1, 300 * KIB, pairs, 4, true);
    for (size_t i = 0; i < 21; i++) {
        put(block, i * 24, (4 + i) * 8);
        put(block, i * 24 + 12, 1);
    }
    block[504] = 1;
    buf_add(&rig->tar, block, sizeof block);
    memset(block, 0, sizeof block);
    put(block, 0, 300 * KIB - 1);
    put(block, 12, 1);
    buf_add(&rig->tar, block, sizeof block);
    buf_adds(&rig->tar, "abcdefghijklmnopqrstuvwxyz");
    tar_pad(&rig->tar);
    tar_file(&rig->tar, "after", "it");
    unpack_good(rig);
    is_sparse(rig, "a", 300 * KIB, 0, "a");
    is_sparse(rig, "a", 300 * KIB, 24 * 8, "y");
    is_sparse(rig, "a", 300 * KIB, 300 * KIB - 1, "z");
    holds(rig, "after", "it");
}

static void test_pax(void **state)
{
    struct rig *rig = *state;
    pax_file(&rig->tar, "dir/a", "500000", "3\n0\n3\n100000\n4\n500000\n0\n", "onetwo!");
    pax_file(&rig->tar, "hole", "1000000000000", "1\n1000000000000\n0\n", "");
    pax_file(&rig->tar, "nothing", "0", "0\n", "");
    tar_file(&rig->tar, "after", "it");
    unpack_good(rig);
    is_sparse(rig, "dir/a", 500000, 0, "one");
    is_sparse(rig, "dir/a", 500000, 100000, "two!");
    is_sparse(rig, "hole", 1000000000000, 4096, "");
    assert_int_equal(look(rig, "nothing").st_size, 0);
    holds(rig, "after", "it");
    assert_false(is_there(rig, "GNUSparseFile.1"));
    /* One that is passed over. */
    pax_file(&rig->tar, ".wh.no", "500", "1\n7\n5\n", "hello");
    tar_file(&rig->tar, "last", "it");
    unpack_good(rig);
    holds(rig, "last", "it");
}

/* A map over several blocks, and a hard link that copies a lower layer's file. */
static void test_long_map_and_copy(void **state)
{
    struct rig *rig = *state;
    struct buf map = BUF_INIT, content = BUF_INIT;
    buf_adds(&map, "501\n");
    for (size_t i = 0; i < 500; i++) {
        buf_addf(&map, "%zu\n1\n", i * 100);
        buf_addc(&content, (char)('a' + i % 26));
    }
    buf_adds(&map, "80000000000\n2\n");
    buf_adds(&content, "!?");
    pax_file(&rig->tar, "a", "90000000000", buf_str(&map), buf_str(&content));
    unpack_good(rig);
    is_sparse(rig, "a", 90000000000, 49900, "f");
    is_sparse(rig, "a", 90000000000, 80000000000, "!?");
    tar_link(&rig->tar, '1', "b", "a");
    unpack_good(rig);
    is_sparse(rig, "b", 90000000000, 49900, "f");
    is_sparse(rig, "b", 90000000000, 80000000000, "!?");
    buf_release(&map);
    buf_release(&content);
}

static void test_maps_that_lie(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *real, *map, *content;
    } bad[] = {
        {"10", "1\n0\n5\n", "hell"},               /* less is there */
        {"10", "1\n0\n5\n", "hello!"},             /* more */
        {"10", "1\n8\n5\n", "hello"},              /* beyond its end */
        {"10", "1\n11\n0\n", ""},                  /* the same, with nothing */
        {"10", "2\n5\n3\n0\n2\n", "hello"},        /* not in order */
        {"10", "2\n0\n3\n2\n2\n", "hello"},        /* one in the other */
        {"10", "1\n9223372036854775807\n9\n", ""}, /* around the corner */
        {"10", "1\n-1\n5\n", "hello"},
        {"10", "1\n0\n", "hello"},
        {"10", "99999999\n0\n1\n", "h"}, /* fewer than it says */
        {"10", "", "hello"},
        {"10", "1\n\n0\n5\n", "hello"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pax_file(&rig->tar, "a", bad[i].real, bad[i].map, bad[i].content);
        unpack_refused(rig, "map of a sparse file");
        if (rig->n == MOST_LAYERS)
            while (rig->n > 0)
                close(rig->layers[--rig->n]);
    }
}

static void test_gnu_maps_that_lie(void **state)
{
    struct rig *rig = *state;
    const uint64_t beyond[][2] = {{8, 5}}, backwards[][2] = {{5, 3}, {0, 2}};
    gnu_header(&rig->tar, "a", 5, 10, beyond, 1, false);
    buf_adds(&rig->tar, "hello");
    tar_pad(&rig->tar);
    unpack_refused(rig, "map of a sparse file");
    gnu_header(&rig->tar, "a", 5, 10, backwards, 2, false);
    buf_adds(&rig->tar, "hello");
    tar_pad(&rig->tar);
    unpack_refused(rig, "map of a sparse file");
    /* Maps without end. */
    char *block = mem_zalloc(1, 512);
    gnu_header(&rig->tar, "a", 0, 10, NULL, 0, true);
    block[504] = 1;
    for (size_t i = 0; i < 5000; i++)
        buf_add(&rig->tar, block, 512);
    free(block);
    unpack_refused(rig, "map of a sparse file");
    gnu_header(&rig->tar, "a", 0, 10, NULL, 0, true);
    assert_fails(unpack_next(rig), ERR_CONFIG, &rig->err);
    assert_has(err_text(&rig->err), "middle of the map");
    /* Not from GNU tar. */
    tar_header(&rig->tar, 'S', "a", "", 0, 0644, 0);
    unpack_refused(rig, "map of a sparse file");
}

static void test_bombs(void **state)
{
    struct rig *rig = *state;
    struct buf map = BUF_INIT;
    /* Larger than most file systems' files can be. */
    pax_file(&rig->tar, "a", "2000000000000000000", "1\n2000000000000000000\n0\n", "");
    tar_end(&rig->tar);
    if (unpack_next(rig) < 0) {
        assert_int_equal(rig->err.kind, ERR_CONFIG);
        assert_has(err_text(&rig->err), "larger than a file can be");
    }
    /* A map that is larger than any that is of use. */
    buf_adds(&map, "200000\n");
    for (size_t i = 0; i < 200000; i++)
        buf_addf(&map, "%zu\n0\n", i + 1000000);
    pax_file(&rig->tar, "a", "4000000", buf_str(&map), "");
    unpack_refused(rig, "map of a sparse file");
    buf_release(&map);
    /* What is written counts as ever. */
    rig->limits.bytes = 10;
    rig->limits.ratio = 1;
    rig->packed = 100000;
    pax_file(&rig->tar, "a", "1000", "1\n100\n20\n", "01234567890123456789");
    unpack_refused(rig, "as a bomb does");
}

static void test_other_kinds(void **state)
{
    struct rig *rig = *state;
    tar_pax(&rig->tar, "GNU.sparse.map", "0,1", 3);
    tar_file(&rig->tar, "a", "x");
    unpack_refused(rig, "tar without --sparse");
    pax_file(&rig->tar, "a", "1", "1\n0\n1\n", "x");
    rig->tar.data[rig->tar.len - 1024 + 156 - 512] = '5';
    tar_checksum(rig->tar.data + rig->tar.len - 1024 - 512);
    unpack_refused(rig, "no file is sparse");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_gnu),           rig_test(test_gnu_extended),
        rig_test(test_pax),           rig_test(test_long_map_and_copy),
        rig_test(test_maps_that_lie), rig_test(test_gnu_maps_that_lie),
        rig_test(test_bombs),         rig_test(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
