/* A failure's record: written, read back, and refused when it is not what kiln writes. */
#include "engine/failure.h"

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct failure sample(void)
{
    static const char *const argv[] = {"/bin/sh", "-ec", "make \"x\"", NULL};
    static const char *const outputs[] = {"build/a", "b"};
    static const struct graph_env env[] = {{"A", "1 2"}, {"B", ""}};
    static const struct graph_secret secrets[] = {{.target = "/run/key"}, {.target = "TOKEN"}};
    static const struct graph_cache caches[] = {{"/root/.cache", "pip", GRAPH_SHARING_LOCKED}};
    struct failure failure = {
        .exec = {.name = "test \xc3\xa4",
                 .shown = "make \"x\"",
                 .where = "kiln.json:3:2: step \"test\"",
                 .argv = argv,
                 .n_argv = 3,
                 .env = env,
                 .n_env = 2,
                 .cwd = "sub/dir",
                 .outputs = outputs,
                 .n_outputs = 2,
                 .runner = "container",
                 .image = "debian:12",
                 .user = "1000",
                 .network = true,
                 .limits = {.memory = 1 << 30, .pids = 100, .cpu_milli = 1500},
                 .secrets = secrets,
                 .n_secrets = 2,
                 .caches = caches,
                 .n_caches = 1,
                 .input = OP_NONE},
        .attempt = 2,
        .isa = "x86_64",
        .os = "Linux",
        .inputs = FAILURE_CHANGED,
        .why = "src/a",
        .files = 12,
        .bytes = 3456,
    };
    failure.key = digest_of("key", 3);
    failure.input_root = digest_of("root", 4);
    failure.image = digest_of("image", 5);
    failure.image_index = digest_of("index", 5);
    return failure;
}

static void text_of(const struct failure *failure, struct buf *out)
{
    buf_reset(out);
    failure_text(failure, out);
}

static void round_trip(const struct failure *failure)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct failure read;
    struct err err = ERR_INIT;
    text_of(failure, &first);
    if (failure_parse(first.data, first.len, &read, &err) < 0)
        fail_msg("%s: %s", err_text(&err), first.data);
    text_of(&read, &second);
    assert_string_equal(first.data, second.data);
    assert_true(digest_eq(&read.input_root, &failure->input_root));
    failure_release(&read);
    buf_release(&first);
    buf_release(&second);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct failure failure = sample();
    round_trip(&failure);
    failure.exec.image = NULL;
    failure.exec.runner = "sandbox";
    round_trip(&failure);
    failure.exec.runner = "host";
    failure.exec.cwd = "";
    failure.exec.n_env = failure.exec.n_secrets = failure.exec.n_caches = 0;
    failure.exec.n_outputs = 0;
    failure.why = NULL;
    for (int i = 0; i < FAILURE_INPUTS_N; i++) {
        failure.inputs = (enum failure_inputs)i;
        round_trip(&failure);
    }
}

/* The sample's text with one thing replaced. */
static void refused(const char *what, const char *by)
{
    struct failure failure = sample(), read;
    struct buf text = BUF_INIT, other = BUF_INIT;
    struct err err = ERR_INIT;
    failure_text(&failure, &text);
    char *at = strstr(text.data, what);
    if (!at)
        fail_msg("%s is not in %s", what, text.data);
    buf_add(&other, text.data, (size_t)(at - text.data));
    buf_adds(&other, by);
    buf_adds(&other, at + strlen(what));
    if (failure_parse(other.data, other.len, &read, &err) == 0)
        fail_msg("taken: %s", other.data);
    assert_int_equal(err.kind, ERR_CORRUPT);
    err_release(&err);
    buf_release(&text);
    buf_release(&other);
}

static void test_refused(void **state)
{
    (void)state;
    refused("{\"version\":1", "[{\"version\":1");
    refused("\"version\":1", "\"version\":2");
    refused("\"sub/dir\"", "\"../dir\"");
    refused("\"sub/dir\"", "\"/etc\"");
    refused("\"sub/dir\"", "\"sub//dir\"");
    refused("\"build/a\"", "\"../a\"");
    refused("\"build/a\"", "\"\"");
    refused("[\"A\",\"1 2\"]", "[\"C\",\"1 2\"]"); /* not sorted */
    refused("[\"A\",\"1 2\"]", "[\"A=B\",\"1 2\"]");
    refused("[\"A\",\"1 2\"]", "[\"A\",7]");
    refused("[\"A\",\"1 2\"]", "[\"A\",\"\\u0000\"]");
    refused("\"container\"", "\"remote\"");
    refused("\"/run/key\",\"TOKEN\"", "\"TOKEN\",\"TOKEN\"");
    refused("\"/root/.cache\"", "\"root\"");
    refused("\"changed\"", "\"lost\"");
    refused("\"attempt\":2", "\"attempt\":-2");
    refused("\"network\":true", "\"network\":1");
    refused("\"files\":12", "\"files\":\"12\"");
    refused("\"input_root\":\"", "\"input_root\":\"x");
    refused("[\"x86_64\",\"Linux\"]", "[\"x86_64\"]");
    refused("[\"/bin/sh\"", "[\"\"");
}

static void count(void *ctx, const struct failure *failure)
{
    struct buf *names = ctx;
    buf_addf(names, "%s ", failure->exec.name);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char *path = path_join(dir, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

/* What is no failure's record, or another step's, is passed over. */
static void test_folder(void **state)
{
    (void)state;
    char dir[] = "/tmp/kiln-failure-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *folder = path_join(dir, "failed");
    assert_int_equal(file_mkdirs(folder, 0700, NULL), 0);
    struct failure failure = sample(), read;
    struct buf text = BUF_INIT, names = BUF_INIT;
    char name[DIGEST_HEX + 6];
    failure.exec.name = "b";
    text_of(&failure, &text);
    failure_name("b", name);
    write_file(folder, name, text.data);
    failure_name("c", name);
    write_file(folder, name, text.data);
    failure_name("d", name);
    write_file(folder, name, "{");
    failure.exec.name = "a";
    text_of(&failure, &text);
    failure_name("a", name);
    write_file(folder, name, text.data);
    failure_each(dir, count, &names);
    assert_string_equal(names.data, "a b ");
    bool found;
    struct err err = ERR_INIT;
    assert_int_equal(failure_read(dir, "a", &read, &found, &err), 0);
    assert_true(found);
    failure_release(&read);
    assert_int_equal(failure_read(dir, "c", &read, &found, &err), 0);
    assert_false(found);
    assert_int_equal(failure_read(dir, "e", &read, &found, &err), 0);
    assert_false(found);
    assert_true(failure_read(dir, "d", &read, &found, &err) < 0);
    err_release(&err);
    assert_int_equal(file_remove_tree(-100, dir, NULL), 0);
    buf_release(&text);
    buf_release(&names);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
