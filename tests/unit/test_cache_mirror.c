/* A copy of a directory holds what the original holds, whatever was done to either since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/mirror.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *base, *from, *to, *clock;
    struct mirror_times last;
};

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct place *place = mem_zalloc(1, sizeof *place);
    place->base = mem_printf("%s/kiln-mirror-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->base));
    place->from = path_join(place->base, "from");
    place->to = path_join(place->base, "deep/to");
    place->clock = path_join(place->base, "clock");
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    assert_int_equal(file_remove_tree(AT_FDCWD, place->base, NULL), 0);
    free(place->base);
    free(place->from);
    free(place->to);
    free(place->clock);
    free(place);
    return 0;
}

static int in(const struct place *place, const char *script)
{
    char *command = mem_printf("cd '%s' && { %s; }", place->base, script);
    int status = system(command); /* NOLINT(cert-env33-c) */
    free(command);
    return status;
}

/* Until the clock of files goes on: what is written now is told from what was. */
static void tick(const struct place *place)
{
    struct err err = ERR_INIT;
    int64_t first, now;
    assert_int_equal(mirror_clock(place->clock, "", &first, &err), 0);
    do
        assert_int_equal(mirror_clock(place->clock, "", &now, &err), 0);
    while (now == first);
}

static void copy(struct place *place)
{
    struct err err = ERR_INIT;
    struct mirror_times now;
    assert_int_equal(mirror_clock(place->clock, "", &now.begun_ns, &err), 0);
    int rc = mirror_make(place->from, place->to, &place->last, &err);
    if (rc != 0)
        print_error("%s\n", err_text(&err));
    assert_int_equal(rc, 0);
    assert_int_equal(mirror_clock(place->clock, "", &now.ended_ns, &err), 0);
    place->last = now;
    tick(place);
}

#define LIST(dir)                                                                \
    "(cd " dir " && find . ! -type p -printf '%y %p %l ' \\( ! -type f -printf " \
    "'\\n' -o -printf '%m %s %T@\\n' \\) | sort && find . -type f | sort | xargs cat)"

static void expect_same(const struct place *place)
{
    assert_int_equal(in(place, LIST("from") " >a; " LIST("deep/to") " >b; diff a b"), 0);
}

static void make(const struct place *place)
{
    assert_int_equal(in(place, "mkdir -p from/d/e from/empty && echo one >from/f && echo two "
                               ">from/d/g && chmod 755 from/d/g && ln -s ../f from/d/link && ln -s "
                               "nowhere from/broken && mkfifo from/fifo && chmod 555 from/d/e"),
                     0);
    tick(place);
}

static void test_whole(void **state)
{
    struct place *place = *state;
    make(place);
    copy(place);
    expect_same(place);
    assert_int_equal(in(place, "! test -e deep/to/fifo"), 0);
}

/* What stands is not written again; all else is, whatever its times pretend. */
static void test_again(void **state)
{
    static const char *const changes[] = {
        "echo ONE >from/f",
        "touch -r from/f s; echo eno >from/f; touch -r s from/f",
        "touch -r deep/to/f s; echo xxx >deep/to/f; touch -r s deep/to/f",
        "chmod 700 from/f",
        "chmod 640 deep/to/f",
        "rm deep/to/f",
        "rm from/f",
        "mkdir from/f; echo in >from/f/in",
        "rm -r from/f; ln -s d from/f",
        "rm deep/to/f; mkdir -p deep/to/f/x",
        "rm -r from/d; echo file >from/d",
        "rm from/d; mkdir from/d; echo back >from/d/back",
        "chmod 0 deep/to/d",
        "rm -r deep/to; echo file >deep/to",
        "echo new >deep/to/new; mkdir -p deep/to/empty/full; chmod 0 deep/to/empty",
        "cp -p deep/to/d/back s; mv s deep/to/d/back",
    };
    struct place *place = *state;
    make(place);
    copy(place);
    copy(place);
    assert_int_equal(in(place, "stat -c %i deep/to/d/g >inode"), 0);
    copy(place);
    assert_int_equal(in(place, "stat -c %i deep/to/d/g | cmp - inode"), 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (in(place, changes[i]) != 0)
            fail_msg("%s", changes[i]);
        tick(place);
        copy(place);
        expect_same(place);
    }
}

/* One that did not end has no times: the next goes by those before it. */
static void test_half_made(void **state)
{
    struct place *place = *state;
    make(place);
    copy(place);
    tick(place);
    assert_int_equal(in(place, "touch -r from/f s; echo new >from/f; touch -r s from/f; cp -p "
                               "from/f deep/to/f; echo ONE >deep/to/f; touch -r s deep/to/f"),
                     0);
    copy(place);
    expect_same(place);
}

static void test_trouble(void **state)
{
    struct place *place = *state;
    struct err err = ERR_INIT;
    assert_true(mirror_make(place->from, place->to, &place->last, &err) < 0);
    assert_non_null(strstr(err_text(&err), "/from"));
    err_release(&err);
    assert_int_equal(in(place, "mkfifo from"), 0);
    assert_true(mirror_make(place->from, place->to, &place->last, &err) < 0);
    err_release(&err);
    /* A file is fine, and so is what a link leads to. */
    assert_int_equal(in(place, "rm from; echo text >file; ln -s file from"), 0);
    copy(place);
    assert_int_equal(in(place, "cmp deep/to file && ! test -L deep/to"), 0);
    assert_int_equal(in(place, "rm from; mkdir dir; echo x >dir/x; ln -s dir from"), 0);
    copy(place);
    assert_int_equal(in(place, "cmp deep/to/x dir/x && ! test -L deep/to"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trouble, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
