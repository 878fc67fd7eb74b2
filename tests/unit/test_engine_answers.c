/* Questions and their answers: what changed in a file, wherever its content is to be had; runs; the
 * cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "cache/cache.h"
#include "engine/answers.h"
#include "engine/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[32];
    char *root;
    struct cache *cache;
    struct records *records;
    uv_loop_t loop;
    struct answers *answers;
    int done;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    bool read_only = false;
    strcpy(place->dir, "/tmp/kiln-answers.XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    char *path = path_join(place->dir, "cache");
    place->root = path_join(place->dir, "root");
    assert_int_equal(mkdir(place->root, 0700), 0);
    assert_int_equal(cache_open(path, &place->cache, &read_only, NULL), 0);
    assert_int_equal(records_open(place->dir, place->root, &place->records, NULL), 0);
    uv_loop_init(&place->loop);
    struct answers_options options = {.loop = &place->loop,
                                      .root = place->root,
                                      .cache = place->cache,
                                      .records = place->records};
    place->answers = answers_new(&options);
    free(path);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    answers_free(place->answers);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&place->loop), 0);
    records_close(place->records);
    cache_close(place->cache);
    assert_int_equal(file_remove_tree(AT_FDCWD, place->dir, NULL), 0);
    free(place->root);
    free(place);
    return 0;
}

static void on_done(struct question *question)
{
    struct place *place = question->ctx;
    place->done++;
}

static void ask(struct place *place, struct question *question)
{
    place->done = 0;
    question->ctx = place;
    question->done = on_done;
    answers_ask(place->answers, question);
    assert_int_equal(place->done, 0); /* never from within */
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(place->done, 1);
}

static void put_file(const struct place *place, const char *name, const void *bytes, size_t n)
{
    char *path = path_join(place->root, name);
    assert_int_equal(file_write_atomic(path, bytes, n, 0600, NULL), 0);
    free(path);
}

/* The digest as a reason has it: without a size. */
static struct digest bare(const void *bytes, size_t n)
{
    struct digest digest = digest_of(bytes, n);
    digest.size = 0;
    return digest;
}

static void expect_diff(struct place *place, struct digest old, struct digest now, const char *want)
{
    struct question question = {.kind = QUESTION_DIFF, .path = "f", .old = old, .now = now};
    ask(place, &question);
    assert_true(question.found);
    assert_string_equal(question.text, want);
    arena_release(&question.arena);
}

#define A "one\ntwo\nthree\nfour\nfive\n"
#define B "one\ntwo\n3\nfour\nfive\n"

static const struct digest none;

static void test_diff_of_kept(void **state)
{
    struct place *place = *state;
    put_file(place, "f", A, strlen(A));
    answers_keep(place->answers, "f");
    uv_run(&place->loop, UV_RUN_DEFAULT);
    put_file(place, "f", B, strlen(B));
    expect_diff(place, bare(A, strlen(A)), bare(B, strlen(B)), "@ 2\n two\n-three\n+3\n four\n");
    /* What was shown is kept, too. */
    put_file(place, "f", A, strlen(A));
    expect_diff(place, bare(B, strlen(B)), bare(A, strlen(A)), "@ 2\n two\n-3\n+three\n four\n");
    /* It goes on to change: what it was "now" is not to be had any more. */
    put_file(place, "f", "x", 1);
    expect_diff(place, bare(A, strlen(A)), bare("y", 1),
                "#it is large, or has changed again since\n");
}

static void test_diff_of_one_side(void **state)
{
    struct place *place = *state;
    put_file(place, "f", "new\n", 4);
    expect_diff(place, none, bare("new\n", 4), "@ 1\n+new\n");
    expect_diff(place, bare("gone\n", 5), bare("new\n", 4), "#what it held before is not kept\n");
    put_file(place, "f", "a\0b", 3);
    expect_diff(place, none, bare("a\0b", 3), "#binary, 0 bytes before, 3 now\n");
    /* A pipe is not waited for, a link not followed. */
    char *path = path_join(place->root, "f");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_diff(place, none, bare("fifo\n", 5), "#it is large, or has changed again since\n");
    free(path);
}

static void test_diff_is_bounded(void **state)
{
    struct place *place = *state;
    struct buf text = BUF_INIT;
    struct question question = {.kind = QUESTION_DIFF, .path = "f"};
    for (int i = 0; i < 1000; i++)
        buf_addf(&text, "line %d\n", i);
    put_file(place, "f", text.data, text.len);
    question.now = bare(text.data, text.len);
    ask(place, &question);
    size_t lines = 0;
    for (const char *p = question.text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 22); /* with where it is, and how much more */
    assert_non_null(strstr(question.text, "#and 980 more lines\n"));
    arena_release(&question.arena);
    buf_release(&text);
}

static void test_diff_from_git(void **state)
{
    struct place *place = *state;
    char *command = NULL;
    put_file(place, "f", A, strlen(A));
    assert_true(asprintf(&command,
                         "cd %s && git init -q . && git add f && git -c user.name=a -c "
                         "user.email=a@b commit -qm x >/dev/null 2>&1",
                         place->root) > 0);
    if (system(command) != 0)
        skip(); /* there is no git to make a repository with */
    free(command);
    put_file(place, "f", B, strlen(B));
    expect_diff(place, bare(A, strlen(A)), bare(B, strlen(B)), "@ 2\n two\n-three\n+3\n four\n");
}

static void count(void *ctx, const struct event *event)
{
    struct place *place = ctx;
    (void)event;
    place->done += 100;
}

static void test_runs(void **state)
{
    static const char *const steps[] = {"a"};
    struct place *place = *state;
    struct record *record = NULL;
    struct question question = {.kind = QUESTION_RUNS};
    ask(place, &question);
    assert_true(question.found);
    assert_int_equal(question.n_runs, 0);
    arena_release(&question.arena);
    assert_int_equal(record_new(place->records, &record, NULL), 0);
    struct event event = {.type = EVENT_RUN_STARTED, .time_ns = 5, .run = "1"};
    event.u.run_started.trigger = "watch";
    event.u.run_started.version = event.u.run_started.pipeline = event.u.run_started.root = "x";
    event.u.run_started.steps = steps;
    event.u.run_started.n_steps = 1;
    record_event(record, &event, NULL);
    event = (struct event){.type = EVENT_RUN_FINISHED, .run = "1"};
    event.u.run_finished.status = RUN_FAILED;
    event.u.run_finished.failed = 1;
    record_event(record, &event, NULL);
    record_free(record);
    question = (struct question){.kind = QUESTION_RUNS};
    ask(place, &question);
    assert_int_equal(question.n_runs, 1);
    assert_string_equal(question.runs[0].id, "1");
    assert_string_equal(question.runs[0].trigger, "watch");
    assert_int_equal(question.runs[0].status, RUN_FAILED);
    arena_release(&question.arena);
    question = (struct question){.kind = QUESTION_RUN, .run = "1", .event = count};
    question.ctx = place;
    question.done = on_done;
    place->done = 0;
    answers_ask(place->answers, &question);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(place->done, 201);
    assert_true(question.found);
    arena_release(&question.arena);
    question = (struct question){.kind = QUESTION_RUN, .run = "2", .event = count};
    ask(place, &question);
    assert_false(question.found);
    assert_string_equal(question.error, "that run is no longer on record");
    arena_release(&question.arena);
}

static void test_cache(void **state)
{
    struct place *place = *state;
    struct digest digest;
    struct question question = {.kind = QUESTION_CACHE};
    assert_int_equal(cache_put(place->cache, A, strlen(A), &digest, NULL), 0);
    ask(place, &question);
    assert_true(question.found);
    assert_int_equal(question.cache.blobs, 1);
    assert_int_equal(question.cache.gc_results, 0);
    assert_true(question.cache.disk_bytes > 0);
    assert_string_equal(question.cache.path, cache_path(place->cache));
    arena_release(&question.arena);
}

/* Who asks at the very end is answered, too. */
static void test_asked_at_the_end(void **state)
{
    struct place *place = *state;
    struct question questions[20];
    place->done = 0;
    for (size_t i = 0; i < 20; i++) {
        questions[i] = (struct question){.kind = QUESTION_CACHE, .ctx = place, .done = on_done};
        answers_ask(place->answers, &questions[i]);
    }
    answers_free(place->answers);
    place->answers = NULL;
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(place->done, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_true(questions[i].found || questions[i].error);
        arena_release(&questions[i].arena);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_diff_of_kept),
        TEST(test_diff_of_one_side),
        TEST(test_diff_is_bounded),
        TEST(test_diff_from_git),
        TEST(test_runs),
        TEST(test_cache),
        TEST(test_asked_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
