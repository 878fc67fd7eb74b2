/* The logs of cached results: woven together again with what is known of their pieces, found in a
 * run on record when the cache has them no more, and else why not. */
#include "test_engine_record.h"

#include "cache/action.h"
#include "cache/cache.h"
#include "engine/answers.h"

#include <utime.h>

#define MS UINT64_C(1000000)

struct stage {
    struct fixture *f;
    struct cache *cache;
    char *cache_dir;
    char hex[DIGEST_HEX + 1];
};

static int set_up_stage(void **state)
{
    struct stage *s = mem_zalloc(1, sizeof *s);
    void *f = NULL;
    bool read_only;
    if (set_up(&f) != 0)
        return -1;
    s->f = f;
    s->cache_dir = path_join(s->f->dir, "cache");
    *state = s;
    return cache_open(s->cache_dir, &s->cache, &read_only, NULL);
}

static int tear_down_stage(void **state)
{
    struct stage *s = *state;
    void *f = s->f;
    cache_close(s->cache);
    free(s->cache_dir);
    free(s);
    return tear_down(&f);
}

/* A result whose step wrote that, and when. */
static void put(struct stage *s, const char *out, const char *errors, struct action_chunk *chunks,
                size_t n, const struct buf *times)
{
    struct action_result result = {.chunks = chunks, .n_chunks = n, .start_ns = 1000 * MS};
    struct digest key = digest_of("key", 3);
    struct buf bytes = BUF_INIT;
    result.end_ns = 5000 * MS + strlen(out);
    if (*out)
        assert_int_equal(cache_put(s->cache, out, strlen(out), &result.stdout_digest, NULL), 0);
    if (*errors)
        assert_int_equal(cache_put(s->cache, errors, strlen(errors), &result.stderr_digest, NULL),
                         0);
    result.times = times ? times->data : NULL;
    result.n_times = times ? times->len : 0;
    action_result_encode(&result, &bytes);
    assert_int_equal(cache_put_action(s->cache, &key, bytes.data, bytes.len, NULL), 0);
    digest_hex(&key, s->hex);
    buf_release(&bytes);
}

static struct question ask(struct stage *s, bool with_cache)
{
    struct question q = {.kind = QUESTION_LOG, .key = s->hex, .step = "build"};
    answer_log(with_cache ? s->cache : NULL, s->f->records, &q);
    return q;
}

static void expect(struct question *q, const char *text)
{
    struct buf log = BUF_INIT;
    assert_true(q->found);
    assert_non_null(q->log);
    assert_int_equal(file_read(q->log, 1 << 20, &log, NULL), 0);
    assert_string_equal(buf_str(&log), text);
    buf_release(&log);
}

static void end_question(struct question *q)
{
    arena_release(&q->arena);
    chunks_release(&q->chunks);
}

static void test_woven(void **state)
{
    struct stage *s = *state;
    struct action_chunk chunks[] = {{1, 4}, {2, 4}, {1, 6}};
    struct buf times = BUF_INIT;
    action_times_add(&times, 6, 100); /* into the second piece */
    action_times_add(&times, 0, 7);
    action_times_add(&times, 8, 1000);
    put(s, "one\nthree\n", "two\n", chunks, 3, &times);
    struct question q = ask(s, true);
    expect(&q, "one\ntwo\nthree\n");
    assert_true(chunks_mixed(&q.chunks));
    assert_int_equal(q.start_ns, 1000 * MS);
    assert_int_equal(chunks_at(&q.chunks, 0).stream, 1);
    assert_int_equal(chunks_at(&q.chunks, 4).stream, 2);
    assert_int_equal(chunks_at(&q.chunks, 7).stream, 2);
    assert_int_equal(chunks_at(&q.chunks, 8).stream, 1);
    assert_int_equal(chunks_at(&q.chunks, 5).time_ns, 1100 * MS);
    assert_int_equal(chunks_at(&q.chunks, 6).time_ns, 2107 * MS);
    assert_int_equal(chunks_at(&q.chunks, 13).time_ns, 2107 * MS);
    end_question(&q);
    /* Another result of the same key is another log. */
    put(s, "four\n", "", NULL, 0, NULL);
    q = ask(s, true);
    expect(&q, "four\n");
    assert_false(chunks_mixed(&q.chunks));
    assert_int_equal(chunks_at(&q.chunks, 0).stream, 1);
    assert_int_equal(chunks_at(&q.chunks, 0).time_ns, 0); /* nobody has told */
    end_question(&q);
    put(s, "", "bad\n", NULL, 0, NULL);
    q = ask(s, true);
    expect(&q, "bad\n");
    assert_int_equal(chunks_at(&q.chunks, 0).stream, 2);
    end_question(&q);
    put(s, "", "", NULL, 0, NULL);
    q = ask(s, true);
    assert_true(q.found);
    assert_null(q.log);
    end_question(&q);
    buf_release(&times);
}

/* Times that say more or less than the log has. */
static void test_odd_times(void **state)
{
    static const uint64_t bytes[] = {UINT64_MAX, 1, 0}, ms[] = {UINT64_MAX, 3, UINT64_MAX / 2};
    struct stage *s = *state;
    for (size_t i = 0; i < 3; i++) {
        struct buf times = BUF_INIT;
        action_times_add(&times, bytes[i], ms[i]);
        put(s, "abc\n", "", NULL, 0, &times);
        struct question q = ask(s, true);
        expect(&q, "abc\n");
        assert_int_equal(q.chunks.end, 4);
        end_question(&q);
        buf_release(&times);
    }
}

static void test_gone(void **state)
{
    struct stage *s = *state;
    digest_hex(&(struct digest){.hash = {1}}, s->hex);
    struct question q = ask(s, true);
    assert_false(q.found);
    assert_string_equal(q.error, "the cache no longer has its result: it was collected or cleared");
    end_question(&q);
    q = ask(s, false);
    assert_false(q.found);
    assert_string_equal(q.error, "there is no cache");
    end_question(&q);
    put(s, "one\n", "", NULL, 0, NULL);
    char hex[DIGEST_HEX + 1];
    struct digest digest = digest_of("one\n", 4);
    digest_hex(&digest, hex);
    char *blob = mem_printf("%s/v1/cas/%.2s/%s", s->cache_dir, hex, hex);
    assert_int_equal(unlink(blob), 0);
    free(blob);
    q = ask(s, true);
    assert_false(q.found);
    assert_string_equal(q.error, "the cache no longer has it, though it has the result");
    end_question(&q);
}

/* The run that made the result still has what the cache has lost. */
static void test_of_a_run(void **state)
{
    struct stage *s = *state;
    char *path;
    int fd;
    digest_hex(&(struct digest){.hash = {2}}, s->hex);
    for (int run = 0; run < 3; run++) { /* the last one had another key */
        struct record *record = new_run(s->f->records);
        begin(record);
        assert_int_equal(record_spool(record, "build", &path, &fd, NULL), 0);
        add(record, (struct event){.type = EVENT_STEP_STARTED,
                                   .step = "build",
                                   .u.started = {.runner = "host", .attempt = 1, .log = path}});
        assert_int_equal(file_write_all(fd, run ? "second\n" : "first\n", 6), 0);
        add(record,
            (struct event){.type = EVENT_STEP_LOG, .step = "build", .u.log = {2, 0, 6, path}});
        add(record, (struct event){.type = EVENT_STEP_FINISHED,
                                   .step = "build",
                                   .u.finished = {.status = run == 2 ? STEP_FAILED : STEP_PASSED,
                                                  .key = s->hex}});
        end(record);
        record_free(record);
        close(fd);
        free(path);
    }
    struct question q = ask(s, true);
    expect(&q, "second");
    assert_int_equal(chunks_at(&q.chunks, 0).stream, 2);
    end_question(&q);
    s->hex[0] = 'f';
    q = ask(s, false);
    assert_false(q.found);
    end_question(&q);
}

/* What nobody has looked at for long is taken away. */
static void test_swept(void **state)
{
    struct stage *s = *state;
    put(s, "one\n", "", NULL, 0, NULL);
    struct question q = ask(s, true);
    struct utimbuf old = {1000, 1000};
    assert_int_equal(utime(q.log, &old), 0);
    put(s, "other\n", "", NULL, 0, NULL);
    struct question other = ask(s, true);
    assert_int_not_equal(access(q.log, F_OK), 0);
    expect(&other, "other\n");
    end_question(&q);
    end_question(&other);
}

int main(void)
{
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up_stage, tear_down_stage)
    const struct CMUnitTest tests[] = {
        ON_STAGE(test_woven),    ON_STAGE(test_odd_times), ON_STAGE(test_gone),
        ON_STAGE(test_of_a_run), ON_STAGE(test_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
