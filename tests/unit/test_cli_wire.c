/* What a watcher and a command say to each other: written, cut into pieces, read back. */
#include "cli/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

/* The fuzzer begins with these: they are of use only as long as they are read to their end. Where
 * KILN_UPDATE_GOLDEN is set they are written. */
static void in_corpus(const char *name, const struct buf *frame)
{
    const char *update = getenv("KILN_UPDATE_GOLDEN");
    char path[512];
    struct buf kept = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct event event;
    struct wire_request request;
    enum wire_frame type;
    const char *payload;
    size_t at = 0, n;
    snprintf(path, sizeof path, "%s/tests/corpus/wire/%s", SOURCE_DIR, name);
    if (update && *update)
        assert_int_equal(file_write_atomic(path, frame->data, frame->len, 0644, NULL), 0);
    assert_int_equal(file_read(path, 1 << 20, &kept, NULL), 0);
    assert_int_equal(wire_take(&kept, &at, WIRE_MAX_FRAME, &type, &payload, &n), WIRE_GOT);
    assert_int_equal(at, kept.len);
    bool read = type == WIRE_EVENT ? wire_get_event(payload, n, &arena, &event)
                                   : wire_get_request(payload, n, &arena, &request);
    if (!read)
        fail_msg("%s is none any more; KILN_UPDATE_GOLDEN=1 writes it as it would be now", path);
    buf_release(&kept);
    arena_release(&arena);
}

/* The event of the one frame in the buffer; both live as long as the buffer and the arena. */
static struct event read_back(const struct buf *frame, struct arena *arena)
{
    struct event event;
    enum wire_frame type;
    const char *payload;
    size_t at = 0, n;
    assert_int_equal(wire_take(frame, &at, WIRE_MAX_FRAME, &type, &payload, &n), WIRE_GOT);
    assert_int_equal(type, WIRE_EVENT);
    assert_int_equal(at, frame->len);
    assert_true(wire_get_event(payload, n, arena, &event));
    return event;
}

/* As JSON, which has every field of an event. */
static void assert_survives(const struct event *event)
{
    struct buf frame = BUF_INIT, before = BUF_INIT, after = BUF_INIT;
    struct arena arena = ARENA_INIT;
    wire_put_event(&frame, event);
    struct event again = read_back(&frame, &arena);
    event_json(event, NULL, &before);
    event_json(&again, NULL, &after);
    assert_string_equal(buf_str(&before), buf_str(&after));
    in_corpus(event_type_name(event->type), &frame);
    /* Cut anywhere it is none, and nothing is read behind the cut. */
    for (size_t n = 0; n + 5 < frame.len; n++) {
        char *piece = malloc(n + 1);
        assert_non_null(piece);
        memcpy(piece, frame.data + 5, n);
        struct event none;
        assert_false(wire_get_event(piece, n, &arena, &none));
        free(piece);
    }
    buf_release(&frame);
    buf_release(&before);
    buf_release(&after);
    arena_release(&arena);
}

static void test_events(void **state)
{
    (void)state;
    const char *steps[] = {"a", "b"};
    const char *needs[] = {"a"};
    struct event_step_info infos[] = {{"a", NULL, "true", NULL, NULL, 0, 0, false},
                                      {"b", "words", "x", "sub", needs, 1, 7, true}};
    struct reason reasons[] = {{REASON_FILE, "src/a.c", NULL, "1", "2", "words"},
                               {REASON_UPSTREAM, "out", "a", NULL, NULL, NULL}};
    struct event_output outputs[] = {{"out", "00ff", 7}};
    assert_survives(&(struct event){
        .type = EVENT_PIPELINE_LOADED, .seq = 1, .u.pipeline = {"demo", "/r", infos, 2, true}});
    assert_survives(
        &(struct event){.type = EVENT_RUN_STARTED,
                        .seq = 2,
                        .time_ns = 5,
                        .run = "7",
                        .u.run_started = {"1.0", "demo", "/r", "command", steps, 2, 4, true}});
    assert_survives(&(struct event){.type = EVENT_STEP_QUEUED, .run = "7", .step = "a"});
    assert_survives(
        &(struct event){.type = EVENT_STEP_STARTED,
                        .run = "7",
                        .step = "a",
                        .u.started = {"00", "host", 2, 99, reasons, 2, 30, "/log", "/src"}});
    assert_survives(&(struct event){
        .type = EVENT_STEP_LOG, .run = "7", .step = "a", .u.log = {2, 100, 20, "/log"}});
    assert_survives(
        &(struct event){.type = EVENT_STEP_FINISHED,
                        .run = "7",
                        .step = "a",
                        .u.finished = {STEP_FAILED, -1, 9, true, true, 12, "00", NULL, "why", 3, 41,
                                       42, outputs, 1, steps, 2, "/box"}});
    assert_survives(
        &(struct event){.type = EVENT_STEP_PROGRESS,
                        .run = "7",
                        .step = "a",
                        .u.progress = {"image", "unpacking debian:12", 4, 9, "bytes", 2}});
    assert_survives(&(struct event){.type = EVENT_RUN_FINISHED,
                                    .run = "7",
                                    .u.run_finished = {RUN_FAILED, 12, 1, 2, 3, 4, 5, 6}});
    assert_survives(&(struct event){.type = EVENT_NOTICE, .u.notice = {"info", "two\nlines"}});
}

static void test_what_no_run_has_is_not_sent(void **state)
{
    (void)state;
    struct buf frame = BUF_INIT;
    wire_put_event(&frame, &(struct event){.type = EVENT_WATCH_IDLE});
    assert_int_equal(frame.len, 0);
    buf_release(&frame);
}

static void test_a_request(void **state)
{
    (void)state;
    const char *env[] = {"A=1", "B="}, *steps[] = {"a"};
    struct wire_request request = {.root = "/r",
                                   .config = "/r/kiln.json",
                                   .env = env,
                                   .n_env = 2,
                                   .steps = steps,
                                   .n_steps = 1,
                                   .keep_going = true,
                                   .tree = "4b825dc"},
                        got;
    struct buf frame = BUF_INIT;
    struct arena arena = ARENA_INIT;
    enum wire_frame type;
    const char *payload;
    size_t at = 0, n;
    assert_true(wire_stand(&request.stand));
    wire_put_request(&frame, &request);
    assert_int_equal(wire_take(&frame, &at, WIRE_MAX_REQUEST, &type, &payload, &n), WIRE_GOT);
    assert_int_equal(type, WIRE_REQUEST);
    assert_true(wire_get_request(payload, n, &arena, &got));
    assert_memory_equal(&got.stand, &request.stand, sizeof got.stand);
    assert_string_equal(got.root, "/r");
    assert_string_equal(got.env[1], "B=");
    assert_int_equal(got.n_steps, 1);
    assert_true(got.keep_going);
    assert_string_equal(got.tree, "4b825dc");
    buf_reset(&frame);
    request.stand = (struct wire_stand){0}; /* the same on every machine */
    wire_put_request(&frame, &request);
    in_corpus("request", &frame);
    buf_release(&frame);
    arena_release(&arena);
}

static void test_frames_in_pieces(void **state)
{
    (void)state;
    struct buf all = BUF_INIT, part = BUF_INIT;
    enum wire_frame type;
    const char *payload;
    size_t at = 0, n;
    wire_put(&all, WIRE_ACK, NULL, 0);
    wire_put(&all, WIRE_NO, "why", 3);
    for (size_t i = 0; i < all.len; i++) {
        size_t before = at;
        enum wire_got got = wire_take(&part, &at, 100, &type, &payload, &n);
        assert_true(got == WIRE_MORE || at > before);
        buf_add(&part, all.data + i, 1);
    }
    assert_int_equal(wire_take(&part, &at, 100, &type, &payload, &n), WIRE_GOT);
    assert_int_equal(type, WIRE_NO);
    assert_int_equal(n, 3);
    at = 5; /* the second frame, which is longer than allowed */
    assert_int_equal(wire_take(&part, &at, 3, &type, &payload, &n), WIRE_BAD);
    memset(part.data, 0, 5); /* of no byte */
    at = 0;
    assert_int_equal(wire_take(&part, &at, 100, &type, &payload, &n), WIRE_BAD);
    buf_release(&all);
    buf_release(&part);
}

static void test_the_place_is_private(void **state)
{
    (void)state;
    char dir[] = "/tmp/kiln-wire-XXXXXX", place[64];
    assert_non_null(mkdtemp(dir));
    snprintf(place, sizeof place, "%s/kiln", dir);
    setenv("XDG_RUNTIME_DIR", dir, 1);
    assert_int_equal(wire_dir_open(false), -1);
    int fd = wire_dir_open(true);
    assert_true(fd >= 0);
    close(fd);
    chmod(place, 0750);
    assert_int_equal(wire_dir_open(true), -1);
    rmdir(place);
    assert_int_equal(symlink(".", place), 0);
    assert_int_equal(wire_dir_open(true), -1);
    unlink(place);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_int_equal(wire_dir_open(true), -1);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(wire_dir_open(true), -1);
    rmdir(dir);
}

static void test_names_and_peers(void **state)
{
    (void)state;
    char a[WIRE_NAME_SIZE], b[WIRE_NAME_SIZE];
    int pair[2];
    wire_name("/r", "/r/kiln.json", a);
    wire_name("/r/", "r/kiln.json", b);
    assert_string_not_equal(a, b);
    wire_name("/r", "/r/kiln.json", b);
    assert_string_equal(a, b);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(wire_peer_is_me(pair[0]));
    close(pair[0]);
    close(pair[1]);
    assert_false(wire_peer_is_me(STDIN_FILENO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_what_no_run_has_is_not_sent),
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_frames_in_pieces),
        cmocka_unit_test(test_the_place_is_private),
        cmocka_unit_test(test_names_and_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
