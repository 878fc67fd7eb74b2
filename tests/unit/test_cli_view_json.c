/* The NDJSON view on scripted events: every line parses, and the logs come through whole. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/cli.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stream {
    char *text;
    size_t n;
    FILE *out;
    struct view_json *view;
    char log[64];
    int fd;
    uint64_t spooled;
};

static void stream_open(struct stream *s)
{
    *s = (struct stream){0};
    s->out = open_memstream(&s->text, &s->n);
    s->view = view_json_new(s->out);
    strcpy(s->log, "/tmp/kiln-test-XXXXXX");
    s->fd = mkstemp(s->log);
    assert_true(s->fd >= 0);
}

static void stream_close(struct stream *s)
{
    view_json_free(s->view);
    fclose(s->out);
    free(s->text);
    close(s->fd);
    unlink(s->log);
}

static void emit(struct stream *s, struct event event)
{
    event.seq = 77; /* of the engine's stream: not what is printed */
    event.run = "3";
    view_json_event(s->view, &event);
}

/* The step writes, and the engine tells. */
static void spool(struct stream *s, int stream, const char *bytes, size_t n)
{
    assert_int_equal(pwrite(s->fd, bytes, n, (off_t)s->spooled), n);
    emit(s, (struct event){
                .type = EVENT_STEP_LOG, .step = "a", .u.log = {stream, s->spooled, n, s->log}});
    s->spooled += n;
}

static void finish(struct stream *s)
{
    emit(s, (struct event){.type = EVENT_STEP_FINISHED,
                           .step = "a",
                           .u.finished = {.status = STEP_PASSED, .exit_code = 0}});
}

/* The lines as an array; each must be one JSON object, numbered from 1. */
static json_t *lines(struct stream *s)
{
    json_t *array = json_array();
    fflush(s->out);
    json_int_t seq = 0;
    for (char *line = s->text, *end; *line; line = end + 1) {
        json_error_t error;
        end = strchr(line, '\n');
        assert_non_null(end);
        json_t *object = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, &error);
        if (!object)
            fail_msg("%s: %.*s", error.text, (int)(end - line), line);
        assert_int_equal(json_integer_value(json_object_get(object, "seq")), ++seq);
        json_array_append_new(array, object);
    }
    return array;
}

static const char *string_of(json_t *array, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(array, i), name));
}

static json_int_t number_of(json_t *array, size_t i, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(array, i), name));
}

static void test_lines(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s);
    const char *const steps[] = {"a"};
    emit(&s, (struct event){.type = EVENT_RUN_STARTED,
                            .u.run_started = {"0.1", "demo", "/work", "command", steps, 1, 2}});
    emit(&s, (struct event){.type = EVENT_STEP_QUEUED, .step = "a"});
    spool(&s, 1, "hello\n", 6);
    spool(&s, 2, "oh \"no\"\n", 8);
    finish(&s);
    fflush(s.out);
    static const char want[] =
        "{\"type\":\"run.started\",\"seq\":1,\"time\":\"1970-01-01T00:00:00.000000000Z\","
        "\"run\":\"3\",\"schema\":1,\"version\":\"0.1\",\"pipeline\":\"demo\",\"root\":\"/work\","
        "\"steps\":[\"a\"],\"jobs\":2,\"trigger\":\"command\"}\n"
        "{\"type\":\"step.queued\",\"seq\":2,\"time\":\"1970-01-01T00:00:00.000000000Z\","
        "\"run\":\"3\",\"step\":\"a\"}\n"
        "{\"type\":\"step.log\",\"seq\":3,\"time\":\"1970-01-01T00:00:00.000000000Z\","
        "\"run\":\"3\",\"step\":\"a\",\"stream\":\"stdout\",\"data\":\"hello\\n\",\"offset\":0}\n"
        "{\"type\":\"step.log\",\"seq\":4,\"time\":\"1970-01-01T00:00:00.000000000Z\","
        "\"run\":\"3\",\"step\":\"a\",\"stream\":\"stderr\",\"data\":\"oh \\\"no\\\"\\n\","
        "\"offset\":6}\n"
        "{\"type\":\"step.finished\",\"seq\":5,";
    assert_memory_equal(s.text, want, sizeof want - 1);
    json_decref(lines(&s));
    stream_close(&s);
}

static void test_a_character_in_two_pieces(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s);
    spool(&s, 1, "caf\xc3", 4); /* the rest follows */
    spool(&s, 1, "\xa9 \xe6\x97", 4);
    spool(&s, 2, "err", 3);      /* another's turn: it never came */
    spool(&s, 1, "\xf0\x9f", 2); /* nothing to print yet */
    finish(&s);                  /* and nothing will come */
    json_t *array = lines(&s);
    assert_int_equal(json_array_size(array), 6);
    assert_string_equal(string_of(array, 0, "data"), "caf");
    assert_string_equal(string_of(array, 1, "data"), "é ");
    assert_int_equal(number_of(array, 1, "offset"), 3);
    assert_string_equal(string_of(array, 2, "data"), "\xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(number_of(array, 2, "offset"), 6);
    assert_string_equal(string_of(array, 3, "data"), "err");
    assert_string_equal(string_of(array, 3, "stream"), "stderr");
    assert_int_equal(number_of(array, 4, "offset"), 11);
    assert_string_equal(string_of(array, 4, "stream"), "stdout");
    assert_string_equal(string_of(array, 5, "type"), "step.finished");
    json_decref(array);
    stream_close(&s);
}

static void test_a_long_piece_is_cut(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s);
    struct buf in = BUF_INIT, out = BUF_INIT;
    buf_addc(&in, 'x');
    for (int i = 0; i < 100000; i++)
        buf_adds(&in, "日");
    spool(&s, 1, in.data, in.len);
    finish(&s);
    json_t *array = lines(&s);
    size_t n = json_array_size(array);
    assert_int_equal(n, 6);
    for (size_t i = 0; i + 1 < n; i++) {
        assert_int_equal(number_of(array, i, "offset"), out.len);
        assert_true(strlen(string_of(array, i, "data")) <= 64 * 1024);
        buf_adds(&out, string_of(array, i, "data"));
    }
    assert_int_equal(out.len, in.len);
    assert_memory_equal(out.data, in.data, in.len);
    json_decref(array);
    buf_release(&in);
    buf_release(&out);
    stream_close(&s);
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s);
    spool(&s, 1, "\xff\x00\x80z", 4);
    spool(&s, 1, "\xe6", 1);
    spool(&s, 1, "abc", 3); /* it was no beginning after all */
    json_t *array = lines(&s);
    assert_int_equal(json_array_size(array), 2);
    assert_int_equal(number_of(array, 1, "offset"), 4);
    assert_string_equal(string_of(array, 1, "data"), "\xef\xbf\xbd"
                                                     "abc");
    json_decref(array);
    stream_close(&s);
}

static void test_a_log_that_is_gone(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s);
    emit(&s, (struct event){
                 .type = EVENT_STEP_LOG, .step = "a", .u.log = {1, 10, 5, "/nowhere/at/all"}});
    emit(&s, (struct event){.type = EVENT_STEP_LOG, .step = "a", .u.log = {1, 0, 9, s.log}});
    finish(&s);
    json_t *array = lines(&s);
    assert_int_equal(json_array_size(array), 3);
    assert_null(string_of(array, 0, "data"));
    assert_int_equal(number_of(array, 0, "bytes"), 5);
    assert_int_equal(number_of(array, 1, "bytes"), 9);
    json_decref(array);
    stream_close(&s);
}

static void test_full_disk(void **state)
{
    (void)state;
    FILE *out = fopen("/dev/full", "w");
    assert_non_null(out);
    struct stream s = {.view = view_json_new(out)};
    for (int i = 0; i < 3; i++)
        emit(&s, (struct event){.type = EVENT_WATCH_IDLE});
    view_json_free(s.view);
    assert_true(ferror(out));
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_character_in_two_pieces),
        cmocka_unit_test(test_a_long_piece_is_cut),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_a_log_that_is_gone),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
