/* The arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

#include <stdio.h>
#include <string.h>

/* Nothing overlaps, everything is aligned, whatever the sizes. */
static void pieces_stay_apart(void **state)
{
    (void)state;
    enum { N = 3000 };
    static const size_t sizes[] = {0, 1, 3, 16, 17, 100, 1500, 5000, 70000, 8, 24};
    struct arena arena = ARENA_INIT;
    unsigned char *pieces[N];
    size_t total = 0;
    for (size_t i = 0; i < N; i++) {
        size_t size = sizes[i * 7 % (sizeof(sizes) / sizeof(sizes[0]))];
        if (size > 10000 && i % 50)
            size = 64;
        pieces[i] = arena_alloc(&arena, size + 1);
        total += size + 1;
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), size);
        pieces[i][size] = 255;
    }
    assert_int_equal(arena.bytes, total);
    for (size_t i = 0; i < N; i++) {
        size_t at = 0;
        for (; pieces[i][at] != 255; at++)
            assert_int_equal(pieces[i][at], i % 251);
    }
    arena_release(&arena);
    assert_null(arena.block);
    assert_int_equal(arena.bytes, 0);
}

static void kinds(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    assert_ptr_not_equal(arena_alloc(&arena, 0), arena_alloc(&arena, 0));
    int *zeros = arena_zalloc(&arena, 1000, sizeof(int));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
    assert_string_equal(arena_strdup(&arena, "name"), "name");
    assert_string_equal(arena_strndup(&arena, "name", 2), "na");
    assert_string_equal(arena_strndup(&arena, NULL, 0), "");
    assert_memory_equal(arena_memdup(&arena, "a\0b", 3), "a\0b", 3);
    arena_memdup(&arena, NULL, 0);
    assert_string_equal(arena_printf(&arena, "%s:%d", "x", 5), "x:5");
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    assert_int_equal(strlen(arena_printf(&arena, "%010000d", 1)), 10000);
    arena_release(&arena);
    assert_string_equal(arena_strdup(&arena, "usable again"), "usable again");
    arena_release(&arena);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_stay_apart),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
