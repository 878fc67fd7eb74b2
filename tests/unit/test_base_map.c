/* The hash table, against a plain list that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int things[512];

static void basics(void **state)
{
    (void)state;
    struct map map = MAP_INIT;
    assert_null(map_get(&map, "a", 1));
    assert_null(map_get_str(&map, "a"));
    assert_null(map_del_str(&map, "a"));
    assert_null(map_next(&map, NULL));
    bool existed = true;
    void **place = map_put(&map, "a", 1, &things[0], &existed);
    assert_false(existed);
    assert_ptr_equal(*place, &things[0]);
    place = map_put(&map, "a", 1, &things[1], &existed);
    assert_true(existed);
    assert_ptr_equal(map_get_str(&map, "a"), &things[1]);
    *place = &things[2];
    assert_ptr_equal(map_get_str(&map, "a"), &things[2]);
    /* A key with no bytes, keys with NULs, a key with a NULL value. */
    map_put(&map, "", 0, &things[3], NULL);
    map_put(&map, NULL, 0, &things[4], &existed);
    assert_true(existed);
    map_put(&map, "a\0", 2, &things[5], NULL);
    map_put(&map, "a\0\0", 3, NULL, NULL);
    assert_int_equal(map.count, 4);
    assert_ptr_equal(map_get_str(&map, ""), &things[4]);
    assert_ptr_equal(*map_get(&map, "a\0", 2), &things[5]);
    assert_non_null(map_get(&map, "a\0\0", 3));
    assert_null(*map_get(&map, "a\0\0", 3));
    assert_null(map_get(&map, "a\0\0\0", 4));
    assert_ptr_equal(map_del(&map, "a\0", 2), &things[5]);
    assert_null(map_get(&map, "a\0", 2));
    assert_int_equal(map.count, 3);
    map_release(&map);
    assert_int_equal(map.count, 0);
    map_release(&map);
}

static void keys_are_copies(void **state)
{
    (void)state;
    struct map map = MAP_INIT;
    char key[16] = "key";
    map_put_str(&map, key, &things[0]);
    memset(key, 'x', 3);
    assert_ptr_equal(map_get_str(&map, "key"), &things[0]);
    assert_null(map_get_str(&map, "xxx"));
    struct map_entry *entry = map_next(&map, NULL);
    assert_string_equal(entry->key, "key");
    /* Neither growing nor closing holes moves a key. */
    const void *stays = entry->key;
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%x", i);
        map_put_str(&map, key, NULL);
        if (i % 3)
            map_del_str(&map, key);
    }
    assert_ptr_equal(map_next(&map, NULL)->key, stays);
    /* A key may be deleted by its own bytes. */
    entry = map_next(&map, NULL);
    assert_ptr_equal(map_del(&map, entry->key, entry->key_len), &things[0]);
    map_release(&map);
}

static void deleting_while_iterating(void **state)
{
    (void)state;
    struct map map = MAP_INIT;
    char key[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        map_put_str(&map, key, &things[i]);
    }
    int seen = 0;
    map_each (entry, &map) {
        assert_ptr_equal(entry->value, &things[seen]);
        if (seen++ % 2)
            map_del(&map, entry->key, entry->key_len);
    }
    assert_int_equal(seen, 300);
    assert_int_equal(map.count, 150);
    seen = 0;
    map_each (entry, &map)
        assert_ptr_equal(entry->value, &things[2 * seen++]);
    assert_int_equal(seen, 150);
    map_each (entry, &map)
        map_del(&map, entry->key, entry->key_len);
    assert_int_equal(map.count, 0);
    assert_null(map_next(&map, NULL));
    map_put_str(&map, "again", &things[7]);
    assert_ptr_equal(map_get_str(&map, "again"), &things[7]);
    map_release(&map);
}

/* The same few keys put and deleted for ever must not need more and more. */
static void churn_is_bounded(void **state)
{
    (void)state;
    struct map map = MAP_INIT;
    map_put_str(&map, "first", NULL);
    for (int i = 0; i < 200000; i++) {
        char key[16], old[16];
        snprintf(key, sizeof(key), "%d", i);
        snprintf(old, sizeof(old), "%d", i - 10);
        map_put_str(&map, key, NULL);
        map_del_str(&map, old);
    }
    assert_int_equal(map.count, 11);
    assert_true(map.cap_entries <= 64);
    assert_string_equal(map_next(&map, NULL)->key, "first");
    map_release(&map);
}

#define MODEL_KEYS 400

struct model {
    int key;
    void *value;
};

static size_t model_find(const struct model *model, size_t n, int key)
{
    size_t i = 0;
    while (i < n && model[i].key != key)
        i++;
    return i;
}

/* Short keys, long keys, keys that differ in the last byte only. */
static size_t make_key(int number, char out[64])
{
    int n = number % 3 == 0   ? snprintf(out, 64, "%d", number)
            : number % 3 == 1 ? snprintf(out, 64, "a/rather/long/common/prefix/of/it/%d", number)
                              : snprintf(out, 64, "%08d", number);
    return (size_t)n;
}

static void check_model(const struct map *map, const struct model *model, size_t n)
{
    size_t i = 0;
    assert_int_equal(map->count, n);
    map_each (entry, map) {
        char key[64];
        size_t key_len = make_key(model[i].key, key);
        assert_int_equal(entry->key_len, key_len);
        assert_int_equal(memcmp(entry->key, key, key_len), 0);
        assert_ptr_equal(entry->value, model[i].value);
        i++;
    }
    assert_int_equal(i, n);
}

static void random_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct map map = MAP_INIT;
        static struct model model[MODEL_KEYS];
        size_t n = 0;
        uint64_t random = seed;
        /* The share of deletions changes, so that it grows, shrinks and stands still. */
        for (int op = 0; op < 6000; op++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int number = (int)(random >> 33) % MODEL_KEYS;
            unsigned kind = (unsigned)(random >> 20) % 100;
            unsigned deletions = op / 1000 % 2 ? 60 : 25;
            char key[64];
            size_t key_len = make_key(number, key);
            size_t at = model_find(model, n, number);
            if (kind < deletions) {
                void *value = map_del(&map, key, key_len);
                assert_ptr_equal(value, at < n ? model[at].value : NULL);
                if (at < n) {
                    memmove(model + at, model + at + 1, (n - at - 1) * sizeof(*model));
                    n--;
                }
            } else if (kind < 80) {
                bool existed;
                void *value = &things[op % 512];
                map_put(&map, key, key_len, value, &existed);
                assert_int_equal(existed, at < n);
                n += at == n;
                model[at] = (struct model){number, value};
            } else {
                void **place = map_get(&map, key, key_len);
                assert_int_equal(place != NULL, at < n);
                if (place)
                    assert_ptr_equal(*place, model[at].value);
            }
            if (op % 97 == 0)
                check_model(&map, model, n);
        }
        check_model(&map, model, n);
        map_release(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basics),
        cmocka_unit_test(keys_are_copies),
        cmocka_unit_test(deleting_while_iterating),
        cmocka_unit_test(churn_is_bounded),
        cmocka_unit_test(random_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
