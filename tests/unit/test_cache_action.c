/* Command, Action and ActionResult: byte for byte, in any order of input, and against damage. */
#include "test_cache.h"

#include "cache/action.h"

static const char *const argv_make[] = {"/bin/sh", "-ec", "make -C src\n"};

static void encode_command(struct buf *out, bool reversed)
{
    static const struct action_pair env[] = {
        {"PATH", "/usr/bin:/bin"}, {"CC", "gcc"}, {"EMPTY", ""}};
    static const struct action_pair env_reversed[] = {
        {"EMPTY", ""}, {"CC", "gcc"}, {"PATH", "/usr/bin:/bin"}};
    static const struct action_pair platform[] = {{"kiln.runner", "host"}, {"OSFamily", "Linux"}};
    static const struct action_pair platform_reversed[] = {{"OSFamily", "Linux"},
                                                           {"kiln.runner", "host"}};
    static const char *const outputs[] = {"build/b", "build/app", "build/a", "build/b"};
    static const char *const outputs_reversed[] = {"build/a", "build/app", "build/b"};
    struct action_command command = {
        .argv = argv_make,
        .n_argv = 3,
        .env = reversed ? env_reversed : env,
        .n_env = 3,
        .outputs = reversed ? outputs_reversed : outputs,
        .n_outputs = reversed ? 3 : 4,
        .cwd = "sub/dir",
        .platform = reversed ? platform_reversed : platform,
        .n_platform = 2,
    };
    action_command_encode(&command, out);
}

static void test_command(void **state)
{
    struct buf buf = BUF_INIT, other = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct action_command read;
    (void)state;
    encode_command(&buf, false);
    encode_command(&other, true);
    assert_golden("command", "Command", &buf);
    assert_bytes("another order", &other, &buf);

    assert_ok(action_command_decode(buf.data, buf.len, &arena, &read, &err), &err);
    assert_int_equal(read.n_argv, 3);
    assert_string_equal(read.argv[2], "make -C src\n");
    assert_int_equal(read.n_env, 3);
    assert_string_equal(read.env[1].name, "EMPTY");
    assert_string_equal(read.env[1].value, "");
    assert_int_equal(read.n_outputs, 3);
    assert_string_equal(read.outputs[1], "build/app");
    assert_string_equal(read.cwd, "sub/dir");
    assert_int_equal(read.n_platform, 2);
    assert_string_equal(read.platform[1].value, "host");
    buf_reset(&other);
    action_command_encode(&read, &other);
    assert_bytes("read and written", &other, &buf);

    static const char *const just_true[] = {"true"};
    struct action_command least = {.argv = just_true, .n_argv = 1, .cwd = ""};
    buf_reset(&buf);
    action_command_encode(&least, &buf);
    assert_golden("command_least", "Command", &buf);
    assert_ok(action_command_decode(buf.data, buf.len, &arena, &read, &err), &err);
    assert_string_equal(read.cwd, "");
    assert_int_equal(read.n_env + read.n_outputs + read.n_platform, 0);
    assert_fails(action_command_decode("\xff\xff", 2, &arena, &read, &err), ERR_CORRUPT, &err);
    err_release(&err);
    arena_release(&arena);
    buf_release(&buf);
    buf_release(&other);
}

static void test_action(void **state)
{
    struct buf command = BUF_INIT, buf = BUF_INIT, other = BUF_INIT;
    (void)state;
    encode_command(&command, false);
    struct digest digest = digest_of(command.data, command.len);
    struct digest root = digest_str(""), hello = digest_str("hello\n");
    struct action_pair platform = {"kiln.runner", "host"};
    action_encode(&digest, &root, "kiln.1", &platform, 1, &buf);
    assert_golden("action", "Action", &buf);
    buf_reset(&buf);
    action_encode(&digest, &hello, NULL, NULL, 0, &buf);
    assert_golden("action_least", "Action", &buf);
    action_encode(&digest, &hello, "", NULL, 0, &other);
    assert_bytes("an empty salt is none", &other, &buf);
    buf_release(&command);
    buf_release(&buf);
    buf_release(&other);
}

static struct action_output sample_outputs[] = {
    {.kind = OUTPUT_SYMLINK, .path = "build/none", .target = "../missing"},
    {.kind = OUTPUT_FILE, .path = "build/log.txt"},
    {.kind = OUTPUT_DIR, .path = "build/tree"},
    {.kind = OUTPUT_FILE, .path = "build/app", .executable = true},
    {.kind = OUTPUT_SYMLINK, .path = "build/current", .target = "app"},
};
static struct action_chunk sample_chunks[] = {{1, 6}, {2, 300}, {1, 4}};

static struct action_result sample(void)
{
    sample_outputs[1].digest = digest_str("");
    sample_outputs[2].digest = digest_fake('a', 500);
    sample_outputs[2].root = digest_fake('b', 90);
    sample_outputs[3].digest = digest_str("hello\n");
    return (struct action_result){
        .exit_code = 3,
        .outputs = sample_outputs,
        .n_outputs = 5,
        .stdout_digest = digest_fake('c', 10),
        .stderr_digest = digest_fake('d', 300),
        .chunks = sample_chunks,
        .n_chunks = 3,
        .start_ns = UINT64_C(1700000000000000005),
        .end_ns = UINT64_C(1700000001000000000),
        .worker = "host",
    };
}

static void test_result(void **state)
{
    struct buf buf = BUF_INIT, again = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct action_result result = sample(), read;
    (void)state;
    action_result_encode(&result, &buf);
    assert_golden("result", "ActionResult", &buf);
    assert_ok(action_result_decode(buf.data, buf.len, &arena, &read, &err), &err);
    assert_int_equal(read.exit_code, 3);
    assert_int_equal(read.n_outputs, 5);
    static const char *const paths[] = {"build/app", "build/current", "build/log.txt", "build/none",
                                        "build/tree"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(read.outputs[i].path, paths[i]);
    assert_true(read.outputs[0].executable && !read.outputs[2].executable);
    assert_string_equal(read.outputs[1].target, "app");
    assert_true(digest_eq(&read.outputs[4].root, &sample_outputs[2].root));
    assert_true(digest_eq(&read.stderr_digest, &result.stderr_digest));
    assert_int_equal(read.n_chunks, 3);
    assert_int_equal(read.chunks[1].stream, 2);
    assert_int_equal(read.chunks[1].bytes, 300);
    assert_true(read.start_ns == result.start_ns && read.end_ns == result.end_ns);
    assert_string_equal(read.worker, "host");
    action_result_encode(&read, &again);
    assert_bytes("read and written", &again, &buf);

    struct action_result failed = {.exit_code = -9}, none = {0};
    buf_reset(&buf);
    action_result_encode(&failed, &buf);
    assert_golden("result_failed", "ActionResult", &buf);
    assert_ok(action_result_decode(buf.data, buf.len, &arena, &read, &err), &err);
    assert_int_equal(read.exit_code, -9);
    assert_null(read.worker);
    assert_true(digest_is_null(&read.stdout_digest));
    buf_reset(&buf);
    action_result_encode(&none, &buf);
    assert_golden("result_empty", "ActionResult", &buf);
    assert_ok(action_result_decode(buf_str(&buf), buf.len, &arena, &read, &err), &err);
    assert_int_equal(read.n_outputs, 0);
    arena_release(&arena);
    buf_release(&buf);
    buf_release(&again);
}

static void refuse(struct action_result result)
{
    struct buf buf = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct action_result read;
    action_result_encode(&result, &buf);
    assert_fails(action_result_decode(buf.data, buf.len, &arena, &read, &err), ERR_CORRUPT, &err);
    assert_int_equal(action_result_decode(buf.data, buf.len, &arena, &read, NULL),
                     -(int)ERR_CORRUPT);
    err_release(&err);
    arena_release(&arena);
    buf_release(&buf);
}

/* When the log came is kept beside the rest, and is only words: none, or odd ones, are no harm. */
static void test_times(void **state)
{
    struct buf times = BUF_INIT, buf = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct action_result result = sample(), read;
    uint64_t bytes, ms;
    size_t at = 0;
    (void)state;
    assert_false(action_times_next(&result, &at, &bytes, &ms));
    action_times_add(&times, 6, 0);
    action_times_add(&times, 304, 86400000);
    result.times = times.data;
    result.n_times = times.len;
    result.step = "s";
    result.root = "/r";
    action_result_encode(&result, &buf);
    assert_ok(action_result_decode(buf.data, buf.len, &arena, &read, NULL), NULL);
    assert_int_equal(read.n_chunks, 3);
    assert_string_equal(read.step, "s");
    assert_true(action_times_next(&read, &at, &bytes, &ms));
    assert_true(bytes == 6 && ms == 0);
    assert_true(action_times_next(&read, &at, &bytes, &ms));
    assert_true(bytes == 304 && ms == 86400000);
    assert_false(action_times_next(&read, &at, &bytes, &ms));
    result.n_times--; /* cut off */
    buf_reset(&buf);
    action_result_encode(&result, &buf);
    assert_ok(action_result_decode(buf.data, buf.len, &arena, &read, NULL), NULL);
    at = 0;
    assert_true(action_times_next(&read, &at, &bytes, &ms));
    assert_false(action_times_next(&read, &at, &bytes, &ms));
    arena_release(&arena);
    buf_release(&times);
    buf_release(&buf);
}

/* What decodes but must not be believed. */
static void test_hostile_results(void **state)
{
    static const char *const paths[] = {"",     "/etc/passwd", "..",  "../x", "a/../../x", "a/../b",
                                        "a//b", "a/",          "./a", ".",    "\xff",      "a/.."};
    (void)state;
    struct action_result result = sample();
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct action_output output = {.path = paths[i], .digest = digest_str("x"), .target = "t"};
        result.outputs = &output;
        result.n_outputs = 1;
        for (int kind = OUTPUT_FILE; kind <= OUTPUT_SYMLINK; kind++) {
            output.kind = (enum output_kind)kind;
            output.root = output.digest;
            refuse(result);
        }
    }
    struct action_output twice[] = {{.kind = OUTPUT_FILE, .path = "a", .digest = digest_str("x")},
                                    {.kind = OUTPUT_SYMLINK, .path = "a", .target = "t"}};
    result.outputs = twice;
    result.n_outputs = 2;
    refuse(result);
    twice[1] = (struct action_output){.kind = OUTPUT_SYMLINK, .path = "b", .target = ""};
    refuse(result);
    twice[1].target = "\xfe";
    refuse(result);
    twice[1] = (struct action_output){
        .kind = OUTPUT_FILE, .path = "b", .digest = digest_fake('a', UINT64_MAX)};
    refuse(result);

    static struct action_chunk too_many[] = {{1, 6}, {1, 5}}, no_stream[] = {{0, 1}},
                               other_stream[] = {{3, 0}};
    result = sample();
    result.chunks = too_many;
    result.n_chunks = 2;
    refuse(result);
    result.n_chunks = 1;
    result.chunks = no_stream;
    refuse(result);
    result.chunks = other_stream;
    refuse(result);
}

/* Raw messages: a digest that is none, times that overflow, a log order that is cut off. */
static void test_malformed_results(void **state)
{
    static const struct {
        size_t n;
        unsigned char bytes[40];
    } raw[] = {
        {1, {0x12}},
        {2, {0x32, 0x05}},
        {2, {0x32, 0x00}},                         /* stdout_digest {} */
        {6, {0x32, 0x04, 0x0a, 0x02, 'a', 'b'}},   /* hash: "ab" */
        {5, {0x12, 0x03, 0x0a, 0x01, 'a'}},        /* a file without a digest */
        {5, {0x1a, 0x03, 0x0a, 0x01, 'a'}},        /* a directory without one */
        {6, {0x4a, 0x04, 0x3a, 0x02, 0x10, 0xff}}, /* nanos cut off */
        {15,
         {0x4a, 0x0d, 0x3a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0x01}},
        {9, {0x4a, 0x07, 0x3a, 0x05, 0x10, 0x80, 0x94, 0xeb, 0xdc}},        /* nanos, not ended */
        {10, {0x4a, 0x08, 0x3a, 0x06, 0x10, 0x80, 0x94, 0xeb, 0xdc, 0x03}}, /* 10^9 nanos */
        {23, {0x4a, 0x15, 0x5a, 0x13, 0x0a, 0x0d, 'k', 'i',  'l',  'n',  '.', 'L',
              'o',  'g',  'O',  'r',  'd',  'e',  'r', 0x12, 0x02, 0x01, 0x80}},
        {22, {0x4a, 0x14, 0x5a, 0x12, 0x0a, 0x0d, 'k', 'i', 'l',  'n',  '.',
              'L',  'o',  'g',  'O',  'r',  'd',  'e', 'r', 0x12, 0x01, 0x01}},
    };
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct action_result read;
    (void)state;
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
        if (action_result_decode(raw[i].bytes, raw[i].n, &arena, &read, &err) != -(int)ERR_CORRUPT)
            fail_msg("message %zu was taken", i);
    /* Fields that kiln does not know are somebody's right. */
    static const unsigned char unknown[] = {0x20, 0x05, 0xfa, 0x01, 0x01, 'x'};
    assert_ok(action_result_decode(unknown, sizeof(unknown), &arena, &read, &err), &err);
    assert_int_equal(read.exit_code, 5);
    err_release(&err);
    arena_release(&arena);
}

static void test_damaged_results(void **state)
{
    struct buf buf = BUF_INIT;
    uint32_t seed = 5;
    struct action_result result = sample(), read;
    (void)state;
    action_result_encode(&result, &buf);
    for (int round = 0; round < 6000; round++) {
        struct arena arena = ARENA_INIT;
        struct action_command command;
        size_t n = round < (int)buf.len ? (size_t)round : buf.len;
        char *bytes = mem_alloc(n);
        memcpy(bytes, buf.data, n);
        for (uint32_t flips = roll(&seed, 3); n > 0 && flips > 0; flips--)
            bytes[roll(&seed, (uint32_t)n)] = (char)roll(&seed, 256);
        int rc = action_result_decode(bytes, n, &arena, &read, NULL);
        assert_true(rc == 0 || rc == -(int)ERR_CORRUPT);
        if (rc == 0) {
            struct buf again = BUF_INIT;
            action_result_encode(&read, &again);
            buf_release(&again);
        }
        rc = action_command_decode(bytes, n, &arena, &command, NULL);
        assert_true(rc == 0 || rc == -(int)ERR_CORRUPT);
        free(bytes);
        arena_release(&arena);
    }
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),         cmocka_unit_test(test_action),
        cmocka_unit_test(test_result),          cmocka_unit_test(test_times),
        cmocka_unit_test(test_hostile_results), cmocka_unit_test(test_malformed_results),
        cmocka_unit_test(test_damaged_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
