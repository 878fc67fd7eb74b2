/* Errors, and the allocation under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_and_wrap(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_string_equal(err_text(&err), "");
    assert_int_equal(err_set(&err, ERR_CONFIG, "unknown key %s", "inptus"), -ERR_CONFIG);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_int_equal(err.errnum, 0);
    assert_int_equal(err_wrap(&err, "kiln.json:%d", 3), -ERR_CONFIG);
    assert_string_equal(err_text(&err), "kiln.json:3: unknown key inptus");
    err_release(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_null(err.text);
    err_release(&err);
}

static void system_errors(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(err_sys(&err, ENOSPC, "cannot write %s", "x"), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOSPC);
    assert_string_equal(err_text(&err), "cannot write x: No space left on device");
    assert_int_equal(err_wrap(&err, "cache"), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOSPC);
    /* An errno that nobody knows still gives words. */
    err_sys(&err, 99999, "odd");
    assert_non_null(strstr(err_text(&err), "99999"));
    err_release(&err);
}

static void replacing_may_use_the_old_text(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_USAGE, "inner");
    err_set(&err, ERR_CORRUPT, "[%s]", err_text(&err));
    assert_string_equal(err_text(&err), "[inner]");
    err_wrap(&err, "%s", err_text(&err));
    assert_string_equal(err_text(&err), "[inner]: [inner]");
    err_sys(&err, EIO, "%s", err_text(&err));
    assert_non_null(strstr(err_text(&err), "[inner]: [inner]: "));
    err_release(&err);
}

static void moving(void **state)
{
    (void)state;
    struct err from = ERR_INIT, to = ERR_INIT;
    err_set(&to, ERR_USAGE, "old");
    err_sys(&from, EIO, "new");
    assert_int_equal(err_move(&to, &from), -ERR_SYSTEM);
    assert_int_equal(to.errnum, EIO);
    assert_int_equal(from.kind, ERR_NONE);
    assert_null(from.text);
    assert_int_equal(err_move(&to, &to), -ERR_SYSTEM);
    assert_int_equal(to.errnum, EIO);
    assert_int_equal(err_move(NULL, &to), -ERR_SYSTEM);
    assert_null(to.text);
    assert_int_equal(err_move(&to, &from), 0);
}

static void nowhere_to_put_it(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_CONFIG, "x"), -ERR_CONFIG);
    assert_int_equal(err_sys(NULL, EIO, "x"), -ERR_SYSTEM);
    assert_true(err_wrap(NULL, "x") < 0);
    assert_true(err_move(NULL, NULL) < 0);
    assert_string_equal(err_text(NULL), "");
    err_release(NULL);
    struct err none = ERR_INIT;
    assert_int_equal(err_wrap(&none, "x"), 0);
    assert_null(none.text);
}

static void memory(void **state)
{
    (void)state;
    free(mem_alloc(0));
    unsigned char *zeros = mem_zalloc(3, 5);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(zeros[i], 0);
    free(zeros);
    char *text = mem_strndup("a\0b", 3);
    assert_memory_equal(text, "a\0b\0", 4);
    text = mem_realloc(text, 2, 4);
    free(text);
    text = mem_strndup(NULL, 0);
    assert_string_equal(text, "");
    free(text);
    text = mem_printf("%s-%d", "n", 7);
    assert_string_equal(text, "n-7");
    free(text);
}

static void vectors(void **state)
{
    (void)state;
    VEC(int) numbers = VEC_INIT;
    vec_each (int, number, &numbers)
        fail();
    for (int i = 0; i < 100; i++)
        vec_push(&numbers, i);
    int expected = 0;
    vec_each (int, number, &numbers)
        assert_int_equal(*number, expected++);
    assert_int_equal(expected, 100);
    assert_int_equal(vec_pop(&numbers), 99);
    assert_int_equal(vec_last(&numbers), 98);
    vec_clear(&numbers);
    assert_int_equal(numbers.n, 0);
    vec_release(&numbers);
    assert_null(numbers.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_and_wrap),
        cmocka_unit_test(system_errors),
        cmocka_unit_test(replacing_may_use_the_old_text),
        cmocka_unit_test(moving),
        cmocka_unit_test(nowhere_to_put_it),
        cmocka_unit_test(memory),
        cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
