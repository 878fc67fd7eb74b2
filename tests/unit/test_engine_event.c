/* Events: the exact text of every type, that it is JSON, that it can be read back, and that junk
 * can't do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/event.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define TIME  "\"time\":\"2026-01-31T12:00:00.000000007Z\""
#define NS    UINT64_C(1769860800000000007)

struct sample {
    struct event event;
    const char *data;
    const char *json; /* without the newline */
};

static const char *const step_names[] = {"build", "te\"st", "caf\xc3\xa9"};
static const struct reason reasons[] = {
    {.kind = REASON_FILE, .subject = "src/a.c", .old = HEX, .now = OTHER},
    {.kind = REASON_ENV, .subject = "CC", .now = "gcc"},
    {.kind = REASON_UPSTREAM, .subject = "out/app", .step = "build", .old = HEX},
    {.kind = REASON_FORCED, .note = "by --force"},
};
static const struct event_output outputs[] = {{"out/app", HEX, 4096}, {"out/b", OTHER, 0}};
static const struct event_step_info infos[] = {
    {"build", NULL, "make", NULL, NULL, 0, 0, false},
    {"test", "runs it", "./t\n./u", "sub", step_names, 1, 1500, true},
};

static const struct sample samples[] = {
    {{.type = EVENT_RUN_STARTED,
      .seq = 1,
      .time_ns = NS,
      .run = "12",
      .u.run_started = {"0.1.0", "demo", "/p\\q", "command", step_names, 3, 4}},
     NULL,
     "{\"type\":\"run.started\",\"seq\":1," TIME
     ",\"run\":\"12\",\"schema\":1,\"version\":\"0.1.0\","
     "\"pipeline\":\"demo\",\"root\":\"/"
     "p\\\\q\",\"steps\":[\"build\",\"te\\\"st\",\"caf\xc3\xa9\"],"
     "\"jobs\":4,\"trigger\":\"command\"}"},
    {{.type = EVENT_STEP_QUEUED, .seq = 2, .time_ns = NS, .run = "12", .step = "build"},
     NULL,
     "{\"type\":\"step.queued\",\"seq\":2," TIME ",\"run\":\"12\",\"step\":\"build\"}"},
    {{.type = EVENT_STEP_STARTED,
      .seq = 3,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.started = {HEX, "host", 2, 4711, reasons, 4, 30, "/s/logs/1.log", "/src"}},
     NULL,
     "{\"type\":\"step.started\",\"seq\":3," TIME
     ",\"run\":\"12\",\"step\":\"build\",\"key\":\"" HEX
     "\",\"runner\":\"host\",\"attempt\":2,\"pid\":4711,\"reasons\":["
     "{\"kind\":\"file\",\"subject\":\"src/a.c\",\"old\":\"" HEX "\",\"new\":\"" OTHER "\"},"
     "{\"kind\":\"env\",\"subject\":\"CC\",\"old\":null,\"new\":\"gcc\"},"
     "{\"kind\":\"upstream\",\"subject\":\"out/app\",\"step\":\"build\",\"old\":\"" HEX
     "\",\"new\":null},"
     "{\"kind\":\"forced\",\"subject\":null,\"old\":null,\"new\":null,\"note\":\"by --force\"}],"
     "\"reasons_total\":30,\"log\":\"/s/logs/1.log\",\"mount\":\"/src\"}"},
    {{.type = EVENT_STEP_LOG,
      .seq = 4,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.log = {2, 10, 8, NULL}},
     "a\xff\n\x1b\xc3\xa9\"\\",
     "{\"type\":\"step.log\",\"seq\":4," TIME ",\"run\":\"12\",\"step\":\"build\",\"stream\":"
     "\"stderr\",\"data\":\"a\xef\xbf\xbd\\n\\u001b\xc3\xa9\\\"\\\\\",\"offset\":10}"},
    {{.type = EVENT_STEP_LOG,
      .seq = 5,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.log = {1, 18, 3, "logs/1.log"}},
     NULL,
     "{\"type\":\"step.log\",\"seq\":5," TIME ",\"run\":\"12\",\"step\":\"build\",\"stream\":"
     "\"stdout\",\"offset\":18,\"bytes\":3,\"log\":\"logs/1.log\"}"},
    {{.type = EVENT_STEP_FINISHED,
      .seq = 6,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.finished = {STEP_PASSED, 0, 0, false, false, 1234, HEX, NULL, NULL, 0, 4200, 220200960,
                     outputs, 2, NULL, 0, NULL}},
     NULL,
     "{\"type\":\"step.finished\",\"seq\":6," TIME ",\"run\":\"12\",\"step\":\"build\",\"status\":"
     "\"passed\",\"exit_code\":0,\"signal\":null,\"timed_out\":false,\"tainted\":false,"
     "\"duration_ms\":1234,\"key\":\"" HEX "\",\"source\":null,\"outputs\":["
     "{\"path\":\"out/app\",\"digest\":\"" HEX "\",\"bytes\":4096},"
     "{\"path\":\"out/b\",\"digest\":\"" OTHER "\",\"bytes\":0}],\"error\":null,\"saved_ms\":0,"
     "\"cpu_ms\":4200,\"memory_bytes\":220200960}"},
    {{.type = EVENT_STEP_FINISHED,
      .seq = 7,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.finished = {STEP_FAILED, -1, SIGTERM, true, true, 9, NULL, NULL, "too slow", 0, 0, 0, NULL,
                     0, step_names, 2, "/c/box/1"}},
     NULL,
     "{\"type\":\"step.finished\",\"seq\":7," TIME ",\"run\":\"12\",\"step\":\"build\",\"status\":"
     "\"failed\",\"exit_code\":null,\"signal\":\"SIGTERM\",\"timed_out\":true,\"tainted\":true,"
     "\"duration_ms\":9,\"key\":null,\"source\":null,\"outputs\":[],\"error\":\"too slow\","
     "\"saved_ms\":0,\"hints\":[\"build\",\"te\\\"st\"],\"box\":\"/c/box/1\"}"},
    {{.type = EVENT_STEP_FINISHED,
      .seq = 8,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.finished = {STEP_CACHED, 0, 0, false, false, 0, HEX, "local", NULL, 777, 0, 0, NULL, 0,
                     NULL, 0, NULL}},
     NULL,
     "{\"type\":\"step.finished\",\"seq\":8," TIME ",\"run\":\"12\",\"step\":\"build\",\"status\":"
     "\"cached\",\"exit_code\":0,\"signal\":null,\"timed_out\":false,\"tainted\":false,"
     "\"duration_ms\":0,\"key\":\"" HEX "\",\"source\":\"local\",\"outputs\":[],\"error\":null,"
     "\"saved_ms\":777}"},
    {{.type = EVENT_RUN_FINISHED,
      .seq = 9,
      .time_ns = NS,
      .run = "12",
      .u.run_finished = {RUN_CANCELLED, 5000, 1, 2, 3, 4, 5, 6}},
     NULL,
     "{\"type\":\"run.finished\",\"seq\":9," TIME ",\"run\":\"12\",\"status\":\"cancelled\","
     "\"duration_ms\":5000,\"passed\":1,\"cached\":2,\"failed\":3,\"skipped\":4,\"cancelled\":5,"
     "\"saved_ms\":6}"},
    {{.type = EVENT_WATCH_CHANGED,
      .seq = 10,
      .time_ns = NS,
      .u.changed = {step_names, 2, 500, 3, 41}},
     NULL,
     "{\"type\":\"watch.changed\",\"seq\":10," TIME ",\"run\":null,\"paths\":[\"build\","
     "\"te\\\"st\"],\"count\":500,\"clock\":{\"epoch\":3,\"tick\":41}}"},
    {{.type = EVENT_WATCH_IDLE, .seq = 11, .time_ns = NS},
     NULL,
     "{\"type\":\"watch.idle\",\"seq\":11," TIME ",\"run\":null}"},
    {{.type = EVENT_WATCH_DEGRADED, .seq = 12, .time_ns = NS, .u.degraded = {"polling"}},
     NULL,
     "{\"type\":\"watch.degraded\",\"seq\":12," TIME ",\"run\":null,\"reason\":\"polling\"}"},
    {{.type = EVENT_PIPELINE_LOADED,
      .seq = 13,
      .time_ns = NS,
      .u.pipeline = {"demo", "/p", infos, 2, true}},
     NULL,
     "{\"type\":\"pipeline.loaded\",\"seq\":13," TIME
     ",\"run\":null,\"pipeline\":\"demo\",\"root\":"
     "\"/p\",\"watching\":true,\"steps\":[{\"step\":\"build\",\"description\":null,\"command\":"
     "\"make\",\"needs\":[],\"last_ms\":0},{\"step\":\"test\",\"description\":\"runs "
     "it\",\"command\":"
     "\"./t\\n./"
     "u\",\"needs\":[\"build\"],\"last_ms\":1500,\"cwd\":\"sub\",\"interactive\":true}]}"},
    {{.type = EVENT_NOTICE, .seq = 14, .time_ns = NS, .u.notice = {"warning", "one\ntwo"}},
     NULL,
     "{\"type\":\"notice\",\"seq\":14," TIME ",\"run\":null,\"level\":\"warning\",\"text\":"
     "\"one\\ntwo\"}"},
    {{.type = EVENT_STEP_PROGRESS,
      .seq = 15,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.progress = {"image", "unpacking debian:12", 45, 100, "bytes", 7}},
     NULL,
     "{\"type\":\"step.progress\",\"seq\":15," TIME ",\"run\":\"12\",\"step\":\"build\","
     "\"phase\":\"image\",\"text\":\"unpacking debian:12\",\"done\":45,\"total\":100,"
     "\"unit\":\"bytes\",\"rate\":7}"},
    {{.type = EVENT_STEP_PAUSED,
      .seq = 16,
      .time_ns = NS,
      .run = "12",
      .step = "build",
      .u.paused = {.rule = "after@build",
                   .reason = "it has ended",
                   .key = "k",
                   .failed = true,
                   .exit_code = 2,
                   .duration_ms = 40,
                   .error = "it is held",
                   .box = "/c/b"}},
     NULL,
     "{\"type\":\"step.paused\",\"seq\":16," TIME ",\"run\":\"12\",\"step\":\"build\","
     "\"rule\":\"after@build\",\"reason\":\"it has ended\",\"key\":\"k\",\"failed\":true,"
     "\"passed\":false,\"exit_code\":2,\"signal\":null,\"timed_out\":false,\"duration_ms\":40,"
     "\"error\":\"it is held\",\"box\":\"/c/b\"}"},
    {{.type = EVENT_STEP_RESUMED, .seq = 17, .time_ns = NS, .run = "12", .step = "build"},
     NULL,
     "{\"type\":\"step.resumed\",\"seq\":17," TIME ",\"run\":\"12\",\"step\":\"build\"}"},
    {{.type = EVENT_BREAKPOINT, .seq = 18, .time_ns = NS, .u.breakpoint = {true, "failure"}},
     NULL,
     "{\"type\":\"breakpoint\",\"seq\":18," TIME ",\"run\":null,\"step\":null,\"set\":true,"
     "\"rule\":\"failure\"}"},
    {{.type = EVENT_WATCH_TREE, .seq = 19, .time_ns = NS, .u.tree = {"main", 3}},
     NULL,
     "{\"type\":\"watch.tree\",\"seq\":19," TIME ",\"run\":null,\"branch\":\"main\",\"dirty\":3}"},
};
#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void exact_text(void **state)
{
    (void)state;
    bool types[EVENT_N] = {false};
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct buf out = BUF_INIT;
        event_json(&samples[i].event, samples[i].data, &out);
        assert_true(out.len > 0 && out.data[out.len - 1] == '\n');
        buf_truncate(&out, out.len - 1);
        assert_string_equal(buf_str(&out), samples[i].json);
        json_t *json = json_loads(samples[i].json, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "type")),
                            event_type_name(samples[i].event.type));
        json_decref(json);
        buf_release(&out);
        types[samples[i].event.type] = true;
    }
    for (int i = 0; i < EVENT_N; i++)
        assert_true(types[i]);
}

/* What is read back is written the same; the samples have every field, so nothing can be lost
 * unseen. */
static void round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct arena arena = ARENA_INIT;
        struct event event;
        struct err err = ERR_INIT;
        assert_int_equal(
            event_parse(samples[i].json, strlen(samples[i].json), &arena, &event, &err), 0);
        assert_int_equal(event.type, samples[i].event.type);
        assert_int_equal(event.seq, samples[i].event.seq);
        assert_true(event.time_ns == NS);
        if (!samples[i].data) {
            struct buf out = BUF_INIT;
            event_json(&event, NULL, &out);
            buf_truncate(&out, out.len - 1);
            assert_string_equal(buf_str(&out), samples[i].json);
            buf_release(&out);
        }
        arena_release(&arena);
    }
}

static void parsed_fields(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct event event;
    assert_int_equal(event_parse(samples[2].json, strlen(samples[2].json), &arena, &event, NULL),
                     0);
    assert_string_equal(event.run, "12");
    assert_string_equal(event.step, "build");
    assert_int_equal(event.u.started.pid, 4711);
    assert_int_equal(event.u.started.n_reasons, 4);
    assert_int_equal(event.u.started.all_reasons, 30);
    assert_int_equal(event.u.started.reasons[2].kind, REASON_UPSTREAM);
    assert_string_equal(event.u.started.reasons[2].step, "build");
    assert_null(event.u.started.reasons[2].now);
    assert_int_equal(event_parse(samples[6].json, strlen(samples[6].json), &arena, &event, NULL),
                     0);
    assert_int_equal(event.u.finished.exit_code, -1);
    assert_int_equal(event.u.finished.signal, SIGTERM);
    assert_null(event.u.finished.key);
    arena_release(&arena);
}

static void every_signal_round_trips(void **state)
{
    (void)state;
    for (int number = 0; number <= SIGRTMAX; number++) {
        struct event event = {
            .type = EVENT_STEP_FINISHED, .step = "s", .u.finished.signal = number};
        struct buf out = BUF_INIT;
        struct arena arena = ARENA_INIT;
        event_json(&event, NULL, &out);
        assert_int_equal(event_parse(out.data, out.len, &arena, &event, NULL), 0);
        assert_int_equal(event.u.finished.signal, number);
        arena_release(&arena);
        buf_release(&out);
    }
}

static int parse(const char *line, struct event *event)
{
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    int code = event_parse(line, strlen(line), &arena, event, &err);
    assert_int_equal(code, code ? -ERR_CORRUPT : 0);
    assert_int_equal(err.kind, code ? ERR_CORRUPT : ERR_NONE);
    err_release(&err);
    arena_release(&arena);
    return code;
}

#define HEAD "\"seq\":1," TIME

static void tolerant(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(parse("{\"type\":\"watch.idle\"," HEAD ",\"later\":{\"x\":[1]}}", &event), 0);
    assert_int_equal(parse(" { \"type\" : \"run.started\", " HEAD " } \n", &event), 0);
    assert_int_equal(event.u.run_started.n_steps, 0);
    assert_int_equal(parse("{\"type\":\"step.started\",\"step\":\"a\"," HEAD
                           ",\"reasons\":[{\"kind\":\"moonphase\"},7,{\"kind\":\"new\"}]}",
                           &event),
                     0);
    assert_int_equal(event.u.started.n_reasons, 1);
    assert_int_equal(event.u.started.all_reasons, 1);
    assert_int_equal(parse("{\"type\":\"step.log\",\"step\":\"a\"," HEAD
                           ",\"stream\":\"stdout\",\"data\":\"a\\u0000b\",\"offset\":0}",
                           &event),
                     0);
    assert_int_equal(event.u.log.n, 3);
}

static void junk_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "\n",
        "null",
        "7",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"run.exploded\"," HEAD "}",
        "{\"type\":\"watch.idle\"}",
        "{\"type\":\"watch.idle\",\"seq\":-1," TIME "}",
        "{\"type\":\"watch.idle\",\"seq\":1.5," TIME "}",
        "{\"type\":\"watch.idle\",\"seq\":99999999999999999999," TIME "}",
        "{\"type\":\"watch.idle\",\"seq\":1,\"time\":\"yesterday\"}",
        "{\"type\":\"watch.idle\",\"seq\":1,\"time\":\"2026-01-31T12:00:00Z\"}",
        "{\"type\":\"watch.idle\",\"seq\":1,\"time\":\"1969-01-31T12:00:00.000000007Z\"}",
        "{\"type\":\"watch.idle\",\"seq\":1,\"time\":\"2026-13-31T12:00:00.000000007Z\"}",
        "{\"type\":\"watch.idle\"," HEAD ",\"run\":7}",
        "{\"type\":\"watch.idle\"," HEAD "} x",
        "{\"type\":\"watch.idle\"," HEAD,
        "{\"type\":\"step.queued\"," HEAD "}",
        "{\"type\":\"step.queued\"," HEAD ",\"step\":[]}",
        "{\"type\":\"step.finished\",\"step\":\"a\"," HEAD "}",
        "{\"type\":\"step.finished\",\"step\":\"a\",\"status\":\"great\"," HEAD "}",
        "{\"type\":\"step.finished\",\"step\":\"a\",\"status\":\"failed\",\"signal\":"
        "\"SIGNOT\"," HEAD "}",
        "{\"type\":\"step.finished\",\"step\":\"a\",\"status\":\"failed\",\"outputs\":{}," HEAD "}",
        "{\"type\":\"step.finished\",\"step\":\"a\",\"status\":\"failed\",\"tainted\":1," HEAD "}",
        "{\"type\":\"step.log\",\"step\":\"a\",\"stream\":\"stdlog\"," HEAD "}",
        "{\"type\":\"run.finished\",\"status\":null," HEAD "}",
        "{\"type\":\"run.started\",\"steps\":[1]," HEAD "}",
        "{\"type\":\"run.started\",\"jobs\":4294967296," HEAD "}",
        "{\"type\":\"watch.idle\"," HEAD ",\"run\":\"\xff\"}",
    };
    struct event event;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_not_equal(parse(lines[i], &event), 0);

    struct buf deep = BUF_INIT;
    for (int i = 0; i < 200000; i++)
        buf_addc(&deep, '[');
    assert_int_not_equal(parse(buf_str(&deep), &event), 0);
    buf_release(&deep);
}

/* Every line cut anywhere is either refused or (never, so far) an event; nothing is read behind its
 * end. */
static void truncated_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        size_t n = strlen(samples[i].json);
        for (size_t cut = 0; cut < n; cut++) {
            char *line = malloc(cut + 1);
            memcpy(line, samples[i].json, cut);
            struct arena arena = ARENA_INIT;
            struct event event;
            assert_int_equal(event_parse(line, cut, &arena, &event, NULL), -ERR_CORRUPT);
            arena_release(&arena);
            free(line);
        }
    }
}

static void reasons_in_words(void **state)
{
    (void)state;
    static const struct {
        struct reason reason;
        const char *text;
    } cases[] = {
        {{.kind = REASON_FILE, .subject = "src/a.c", .old = HEX, .now = OTHER},
         "file src/a.c 012345 -> fedcba"},
        {{.kind = REASON_FILE, .subject = "src/a.c", .now = OTHER}, "file src/a.c added fedcba"},
        {{.kind = REASON_FILE, .subject = "a\nb", .old = HEX}, "file a\\nb removed, was 012345"},
        {{.kind = REASON_FILE, .subject = "a"}, "file a changed"},
        {{.kind = REASON_ENV, .subject = "CC", .old = "gcc", .now = "clang"},
         "env CC gcc -> clang"},
        {{.kind = REASON_ENV, .subject = "CC", .old = "", .now = "clang"}, "env CC \"\" -> clang"},
        {{.kind = REASON_ENV, .subject = "CC", .old = "a\x1b[31m"},
         "env CC removed, was a\\x1b[31m"},
        {{.kind = REASON_COMMAND, .old = "make", .now = "make all"},
         "command changed: make -> make all"},
        {{.kind = REASON_COMMAND}, "command changed"},
        {{.kind = REASON_UPSTREAM, .subject = "out/app", .step = "build", .old = HEX, .now = OTHER},
         "upstream build: out/app 012345 -> fedcba"},
        {{.kind = REASON_UPSTREAM, .step = "build"}, "upstream build changed"},
        {{.kind = REASON_SETTINGS, .subject = "timeout", .old = "10", .now = "20"},
         "settings timeout 10 -> 20"},
        {{.kind = REASON_NEW}, "new: there is no earlier result"},
        {{.kind = REASON_FORCED}, "forced: somebody asked for it"},
        {{.kind = REASON_FORCED, .subject = "--force"}, "forced: somebody asked for it, --force"},
        {{.kind = REASON_EVICTED}, "evicted: its result is not in the cache"},
        {{.kind = REASON_FAILED}, "failed: it failed the last time"},
        {{.kind = REASON_TAINTED}, "tainted: an input changed while it last ran"},
        {{.kind = REASON_UNCACHEABLE}, "uncacheable: its results are never cached"},
        {{.kind = REASON_FAILED, .note = "in run 3"}, "failed: it failed the last time, in run 3"},
        {{.kind = REASON_FILE,
          .subject = "a",
          .old = HEX,
          .now = HEX " +x",
          .note = "executable now"},
         "file a 012345 -> 012345 +x (executable now)"},
        {{.kind = REASON_FILE, .subject = "l", .old = "-> a", .now = "-> b"},
         "file l link to a -> link to b"},
        {{.kind = REASON_ENV, .subject = "P", .old = "-> a", .now = HEX}, "env P -> a -> 012345"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = BUF_INIT;
        reason_text(&cases[i].reason, &out);
        assert_string_equal(buf_str(&out), cases[i].text);
        buf_release(&out);
    }
}

static void paths_outside(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"/p", NULL, "/usr/include/a.h", "/usr/include/a.h"},
        {"/p", "/src", "/src/a/b.c", "/p/a/b.c"},
        {"/p", "/src", "/src", "/p"},
        {"/p", "/src", "/srcs/a.c", NULL},
        {"/p", "/src", "/usr/include/a.h", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = event_path_outside(cases[i][0], cases[i][1], cases[i][2]);
        if (cases[i][3])
            assert_string_equal(path, cases[i][3]);
        else
            assert_null(path);
        free(path);
    }
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT_N; i++)
        assert_non_null(event_type_name((enum event_type)i));
    for (int i = 0; i < REASON_N; i++)
        assert_non_null(reason_kind_name((enum reason_kind)i));
    for (int i = 0; i < STEP_STATUS_N; i++)
        assert_non_null(step_status_name((enum step_status)i));
    for (int i = 0; i < RUN_STATUS_N; i++)
        assert_non_null(run_status_name((enum run_status)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_text),      cmocka_unit_test(round_trip),
        cmocka_unit_test(parsed_fields),   cmocka_unit_test(every_signal_round_trips),
        cmocka_unit_test(tolerant),        cmocka_unit_test(junk_is_refused),
        cmocka_unit_test(truncated_lines), cmocka_unit_test(reasons_in_words),
        cmocka_unit_test(paths_outside),   cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
