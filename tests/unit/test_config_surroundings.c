/* What is around a step: runners, what they let it see, secrets and cache directories. */
#include "test_config.h"

#define BOXED(body)  STEP("'run': 'x', 'runner': 'sandbox',\n" body)
#define IMAGED(body) STEP("'run': 'x', 'image': 'debian:12',\n" body)

static const struct config_case runners[] = {
    {"container without an image", STEP("'run': 'x', 'runner': 'container'"),
     "^2:29: step \"a\": runner \"container\" has no image to run; add \"image\": "
     "\"docker.io/library/debian:12\""},
    {"container by default without an image",
     "{'version': 1, 'defaults': {'runner': 'container'}, 'steps': {\n'a': {'run': 'x'}}}",
     "^2:1: step \"a\": runner \"container\" has no image to run"},
    {"image on the host", STEP("'run': 'x', 'runner': 'host', 'image': 'debian'"),
     "^2:37: step \"a\": \"image\" has no meaning with runner \"host\", which this step has; set "
     "\"runner\": \"container\", or remove \"image\""},
    {"image in the sandbox", BOXED("'image': 'debian'"),
     "^3:1: step \"a\": \"image\" has no meaning with runner \"sandbox\""},
    {"platform in the sandbox", BOXED("'platform': 'linux/amd64'"),
     "^3:1: step \"a\": \"platform\" has no meaning with runner \"sandbox\""},
    {"user in the sandbox", BOXED("'user': 'root'"),
     "^3:1: step \"a\": \"user\" has no meaning with runner \"sandbox\""},
    {"network on the host", STEP("'run': 'x', 'runner': 'host', 'network': 'none'"),
     "^2:37: step \"a\": \"network\" has no meaning with runner \"host\", which this step has; set "
     "\"runner\": \"sandbox\" or \"container\", or remove \"network\""},
    {"mount on the host", STEP("'run': 'x', 'runner': 'host', 'mount': 'same'"),
     "^2:37: step \"a\": \"mount\" has no meaning with runner \"host\""},
    {"limits on the host", STEP("'run': 'x', 'runner': 'host', 'limits': {}"),
     "^2:37: step \"a\": \"limits\" has no meaning with runner \"host\""},
    {"caches on the host", STEP("'run': 'x', 'runner': 'host', 'caches': {}"),
     "^2:37: step \"a\": \"caches\" has no meaning with runner \"host\""},
    {"the host by default",
     "{'version': 1, 'defaults': {'runner': 'host'}, 'steps': {\n"
     "'a': {'run': 'x', 'network': 'host'}}}",
     "^2:19: step \"a\": \"network\" has no meaning with runner \"host\""},
};

static const struct config_case values[] = {
    {"image empty", STEP("'run': 'x', 'image': ''"),
     "^2:28: step \"a\": \"image\" \"\" is not an image's name; write it as "
     "\"docker.io/library/debian:12\", \"oci:DIR\" or \"docker-archive:FILE\""},
    {"image an option", STEP("'run': 'x', 'image': '--help'"),
     "^2:28: step \"a\": \"image\" \"--help\" is not an image's name"},
    {"image with a space", STEP("'run': 'x', 'image': 'debian 12'"),
     "^2:28: step \"a\": \"image\" \"debian 12\" is not an image's name"},
    {"image a list", STEP("'run': 'x', 'image': []"),
     "^2:28: step \"a\": \"image\" must be a string, not a list"},
    {"image in defaults", "{'version': 1, 'defaults': {'image': ''}, 'steps': {}}",
     "^1:38: \"image\" \"\" is not an image's name"},
    {"platform of another system", IMAGED("'platform': 'windows/amd64'"),
     "^3:13: step \"a\": \"platform\" \"windows/amd64\" is not one of Linux; write it as "
     "\"linux/amd64\" or \"linux/arm64\""},
    {"platform by its other name", IMAGED("'platform': 'linux/x86_64'"),
     "^3:13: step \"a\": \"platform\" \"linux/x86_64\" names no architecture that images have; did "
     "you mean \"linux/amd64\"?"},
    {"platform misspelt", IMAGED("'platform': 'linux/am64'"), "; did you mean \"linux/a"},
    {"platform with an empty variant", IMAGED("'platform': 'linux/arm/'"),
     "^3:13: step \"a\": \"platform\" \"linux/arm/\" names no architecture that images have; write "
     "it as \"linux/arm/v7\""},
    {"user empty", IMAGED("'user': ''"), "^3:9: step \"a\": \"user\" \"\" is not a user"},
    {"group empty", IMAGED("'user': 'a:'"),
     "^3:9: step \"a\": \"user\" \"a:\" is not a user; write a name or a number, and a group "
     "behind "
     "a colon, as \"node\" or \"1000:1000\""},
    {"user with a slash", IMAGED("'user': 'a/b'"), "\"user\" \"a/b\" is not a user"},
    {"network unknown", BOXED("'network': 'bridge'"),
     "^3:12: step \"a\": \"network\" must be \"none\" or \"host\", not \"bridge\"; write one of "
     "these"},
    {"network true", BOXED("'network': true"),
     "^3:12: step \"a\": \"network\" must be a string, not true"},
    {"mount elsewhere", BOXED("'mount': '/work'"),
     "^3:10: step \"a\": \"mount\" must be \"same\", not \"/work\"; leave it out to have the "
     "project "
     "at /src"},
    {"limits unknown", BOXED("'limits': {'cpus': 2}"),
     "^3:12: step \"a\": unknown key \"cpus\"; did you mean \"cpu\"?"},
    {"limits a number", BOXED("'limits': 5"),
     "^3:11: step \"a\": \"limits\" must be an object, not 5"},
    {"memory a number", BOXED("'limits': {'memory': 5}"),
     "^3:22: step \"a\": \"memory\" must be a string, not 5; write it as \"512MiB\" or \"2GiB\""},
    {"memory without sense", BOXED("'limits': {'memory': '2 gigs'}"),
     "^3:22: step \"a\": \"memory\" \"2 gigs\" is not a size; write it as \"512MiB\" or \"2GiB\", "
     "more "
     "than zero"},
    {"file_size zero", BOXED("'limits': {'file_size': '0'}"),
     "^3:25: step \"a\": \"file_size\" \"0\" is not a size"},
    {"pids zero", BOXED("'limits': {'pids': 0}"),
     "^3:20: step \"a\": \"pids\" must be a whole number from 1 to 4194304, not 0"},
    {"cpu zero", BOXED("'limits': {'cpu': 0}"),
     "^3:19: step \"a\": \"cpu\" must be a number of processors from 0.01 to 1024, not 0"},
    {"cpu text", BOXED("'limits': {'cpu': '2'}"), "not \"2\"; write it without quotes"},
};

static const struct config_case secrets[] = {
    {"a list", BOXED("'secrets': ['A']"),
     "^3:12: step \"a\": \"secrets\" must be an object, not a list; write it as {\"TOKEN\": "
     "{\"env\": "
     "\"TOKEN\"}}"},
    {"the value itself", BOXED("'secrets': {'A': 'hunter2'}"),
     "^3:18: step \"a\": the secret \"A\" must be an object that says where its value is; write "
     "{\"env\": \"NAME\"}, {\"file\": \"PATH\"} or {\"command\": [\"…\"]}: the value itself does "
     "not "
     "belong in this file"},
    {"no source", BOXED("'secrets': {'A': {}}"),
     "^3:18: step \"a\": the secret \"A\" has no source; write one of \"env\", \"file\" and "
     "\"command\""},
    {"two sources", BOXED("'secrets': {'A': {'env': 'A', 'file': 'a'}}"),
     "^3:18: step \"a\": the secret \"A\" has more than one source"},
    {"an unknown source", BOXED("'secrets': {'A': {'fiel': 'a'}}"),
     "^3:19: step \"a\": unknown key \"fiel\"; did you mean \"file\"?"},
    {"of no variable", BOXED("'secrets': {'A': {'env': 'A-B'}}"),
     "^3:26: step \"a\": \"A-B\" is not a variable's name"},
    {"of an empty path", BOXED("'secrets': {'A': {'file': ''}}"),
     "^3:27: step \"a\": \"file\" is empty; write the file's path"},
    {"of an empty command", BOXED("'secrets': {'A': {'command': []}}"),
     "^3:30: step \"a\": \"command\" is an empty list; write the program and its arguments"},
    {"for no variable", BOXED("'secrets': {'A-B': {'env': 'A'}}"),
     "^3:13: step \"a\": \"A-B\" is not a variable's name"},
    {"for a relative path", BOXED("'secrets': {'run/key': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"run/key\" is not absolute; write where the step "
     "finds "
     "it, as \"/run/secrets/key\""},
    {"in the project", BOXED("'secrets': {'/src/./.npmrc': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/src/./.npmrc\" lies in the project; choose another "
     "place, as \"/run/secrets/key\""},
    {"in the project on its own place",
     BOXED("'mount': 'same',\n"
           "'secrets': {'/p/demo/a': {'env': 'A'}}"),
     "^4:13: step \"a\": the path of secret \"/p/demo/a\" lies in the project"},
    {"over the project", BOXED("'secrets': {'/src': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/src\" holds the project, which is at /src"},
    {"in /proc", BOXED("'secrets': {'//proc/a': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"//proc/a\" lies in /proc, which is kiln's own to "
     "make"},
    {"in /usr of the sandbox", BOXED("'secrets': {'/usr/../bin//a': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/usr/../bin//a\" lies in /bin, which in the sandbox "
     "is this machine's own, and read-only; choose another place, as \"/run/secrets/key\", or run "
     "the step in an image"},
    {"a directory of the sandbox", BOXED("'secrets': {'/run/': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/run/\" is a directory's; name a file, as "
     "\"/run/secrets/key\""},
    {"a directory by a link", BOXED("'secrets': {'/var/tmp/home': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/var/tmp/home\" is a directory's"},
    {"a directory of every box", IMAGED("'secrets': {'/tmp': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/tmp\" is a directory's"},
    {"below another", BOXED("'secrets': {'/run/b/c': {'env': 'A'}, '/run/b': {'env': 'B'}}"),
     "^3:13: step \"a\": the path of secret \"/run/b/c\" lies below the secret \"/run/b\", which "
     "is "
     "a file; choose another place for one"},
    {"out of the root", BOXED("'secrets': {'/../a': {'env': 'A'}}"),
     "^3:13: step \"a\": the path of secret \"/../a\" leads out of \"/\""},
    {"twice in one place", BOXED("'secrets': {'/run/a': {'env': 'A'}, '/run/./a': {'env': 'B'}}"),
     "step \"a\": two secrets are for \"/run/a\"; remove one of the two"},
    {"also in env", BOXED("'env': {'A': '1'},\n'secrets': {'A': {'env': 'A'}}"),
     "^4:13: step \"a\": \"A\" is in \"secrets\" and, at 3:9, in \"env\"; keep one of the two"},
    {"also in pass_env", BOXED("'pass_env': ['A'],\n'secrets': {'A': {'env': 'A'}}"),
     "^4:13: step \"a\": \"A\" is in \"secrets\" and, at 3:14, in \"pass_env\""},
    {"a file on the host",
     STEP("'run': 'x', 'runner': 'host',\n'secrets': {'/run/a': {'env': 'A'}}"),
     "^3:13: step \"a\": the secret \"/run/a\" is a file, which runner \"host\" cannot hide from "
     "others; name a variable, or set \"runner\": \"sandbox\""},
};

static const struct config_case caches[] = {
    {"a list", BOXED("'caches': ['/a']"),
     "^3:11: step \"a\": \"caches\" must be an object, not a list; write it as {\"/root/.cache\": "
     "\"name\"}"},
    {"relative", BOXED("'caches': {'~/.cargo': 'cargo'}"),
     "^3:12: step \"a\": the path of cache \"~/.cargo\" is not absolute; write where the step "
     "finds "
     "it, as \"/var/cache\""},
    {"the root", BOXED("'caches': {'/': 'a'}"),
     "^3:12: step \"a\": the path of cache \"/\" holds the project, which is at /src; choose "
     "another "
     "place"},
    {"above the project", BOXED("'mount': 'same', 'caches': {'/p': 'a'}"),
     "the path of cache \"/p\" holds the project, which is at /p/demo"},
    {"in /dev", BOXED("'caches': {'/dev/shm': 'a'}"), "\"/dev/shm\" lies in /dev"},
    {"in /etc of the sandbox", BOXED("'caches': {'/etc': 'a'}"),
     "^3:12: step \"a\": the path of cache \"/etc\" lies in /etc, which in the sandbox is this "
     "machine's own, and read-only; choose another place, as \"/var/cache/NAME\", or run the step "
     "in "
     "an image"},
    {"over the step's home", BOXED("'caches': {'/tmp/': 'a'}"),
     "^3:12: step \"a\": the cache directory \"/tmp/\" would hide the step's home, /tmp/home; "
     "choose "
     "a place below, as \"/tmp/cache\""},
    {"over the step's home by a link", BOXED("'caches': {'/var/tmp': 'a'}"),
     "the cache directory \"/var/tmp\" would hide the step's home"},
    {"one place by a link", BOXED("'caches': {'/var/tmp/a': 'x', '/tmp/a': 'y'}"),
     "step \"a\": two cache directories are at \"/tmp/a\"; remove one"},
    {"without a name", BOXED("'caches': {'/a': {'sharing': 'locked'}}"),
     "^3:18: step \"a\": a cache directory has no \"name\"; add \"name\": \"cargo\""},
    {"a bad name", BOXED("'caches': {'/a': '../x'}"),
     "^3:18: step \"a\": \"../x\" is not a cache directory's name; use at most 100 letters, digits "
     "and . _ -, with a letter, digit or _ in front"},
    {"a number", BOXED("'caches': {'/a': 5}"),
     "^3:18: step \"a\": a cache directory must be an object, not 5"},
    {"sharing unknown", BOXED("'caches': {'/a': {'name': 'a', 'sharing': 'public'}}"),
     "^3:43: step \"a\": \"sharing\" must be \"shared\", \"private\" or \"locked\", not "
     "\"public\""},
    {"one name twice", BOXED("'caches': {'/b': 'x', '/a': 'x'}"),
     "^3:12: step \"a\": the cache directories \"/a\" and \"/b\" have one name, \"x\"; give each "
     "its "
     "own"},
    {"one place twice", BOXED("'caches': {'/a': 'x', '/b/../a': 'y'}"),
     "step \"a\": two cache directories are at \"/a\"; remove one"},
    {"in an output", BOXED("'outputs': ['build'], 'caches': {'/src/build/x': 'x'}"),
     "^3:34: step \"a\": the cache directory \"/src/build/x\" and the output \"build\" (at 3:13) "
     "hold "
     "one another; choose another place for one"},
    {"over an output", BOXED("'outputs': ['a/b'], 'caches': {'/src/a': 'x'}"),
     "the cache directory \"/src/a\" and the output \"a/b\" (at 3:13) hold one another"},
    {"on a secret", BOXED("'caches': {'/run/a': 'x'}, 'secrets': {'/run/a': {'env': 'A'}}"),
     "^3:12: step \"a\": the cache directory \"/run/a\" is at or below the place of a secret "
     "(3:40)"},
    {"below a secret", BOXED("'caches': {'/run/a/b': 'x'}, 'secrets': {'/run/a': {'env': 'A'}}"),
     "^3:12: step \"a\": the cache directory \"/run/a/b\" is at or below the place of a secret"},
};

static void runners_have_what_they_can_use(void **state)
{
    (void)state;
    check_cases(runners);
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    check_cases(values);
}

static void wrong_secrets_are_named(void **state)
{
    (void)state;
    check_cases(secrets);
}

static void wrong_caches_are_named(void **state)
{
    (void)state;
    check_cases(caches);
}

static void too_many_are_refused(void **state)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;

    (void)state;
    buf_adds(&text, "{'version': 1, 'steps': {'a': {'run': 'x', 'secrets': {");
    for (int i = 0; i < 101; i++)
        buf_addf(&text, "%s'S%d': {'env': 'A'}", i ? "," : "", i);
    buf_adds(&text, "}}}}");
    assert_int_equal(case_parse(buf_str(&text), &config, &err), -ERR_CONFIG);
    assert_non_null(
        strstr(err_text(&err), ":1:44: step \"a\": a step can have at most 100 secrets"));
    err_release(&err);
    buf_release(&text);
}

static void every_setting_arrives(void **state)
{
    struct config *config = case_good(STEP(
        "'run': 'x', 'image': 'oci:build/image', 'platform': 'linux/arm/v7',\n"
        "'user': 'node:1000', 'network': 'host', 'mount': 'same',\n"
        "'limits': {'memory': '2GiB', 'pids': 256, 'cpu': 1.5, 'file_size': '1GB'},\n"
        "'secrets': {'/run/secrets/./key': {'file': '~/.key'}, 'B': {'command': ['pass', 'b']},\n"
        " 'A': {'env': 'X'}, 'C': {'command': 'pass c'}},\n"
        "'caches': {'/var/cache//cargo': {'name': 'cargo', 'sharing': 'locked'},\n"
        " '/root/.npm': 'npm', '/a': {'name': 'p', 'sharing': 'private'}}"));
    const struct config_step *step = &config->steps[0];

    (void)state;
    assert_int_equal(step->runner, CONFIG_RUNNER_CONTAINER);
    assert_string_equal(config_runner_name(step->runner), "container");
    assert_string_equal(step->image, "oci:build/image");
    assert_string_equal(step->platform, "linux/arm/v7");
    assert_string_equal(step->user, "node:1000");
    assert_true(step->network && step->mount_same);
    assert_int_equal(step->limits.memory, UINT64_C(2) << 30);
    assert_int_equal(step->limits.pids, 256);
    assert_int_equal(step->limits.cpu_milli, 1500);
    assert_int_equal(step->limits.file_size, 1000000000);
    assert_int_equal(step->n_secrets, 4);
    assert_string_equal(step->secrets[0].target, "/run/secrets/key");
    assert_int_equal(step->secrets[0].source, CONFIG_SECRET_FILE);
    assert_string_equal(step->secrets[0].from, "~/.key");
    assert_null(step->secrets[0].argv);
    assert_int_equal(step->secrets[0].pos.line, 5);
    assert_int_equal(step->secrets[0].pos.column, 13);
    assert_string_equal(step->secrets[1].target, "A");
    assert_int_equal(step->secrets[1].source, CONFIG_SECRET_ENV);
    assert_string_equal(step->secrets[1].from, "X");
    assert_string_equal(step->secrets[2].target, "B");
    assert_int_equal(step->secrets[2].source, CONFIG_SECRET_COMMAND);
    assert_null(step->secrets[2].from);
    assert_int_equal(step->secrets[2].n_argv, 2);
    assert_string_equal(step->secrets[2].argv[1], "b");
    assert_null(step->secrets[2].argv[2]);
    assert_int_equal(step->secrets[3].n_argv, 3);
    assert_string_equal(step->secrets[3].argv[2], "pass c");
    assert_int_equal(step->n_caches, 3);
    assert_string_equal(step->caches[0].path, "/a");
    assert_int_equal(step->caches[0].sharing, CONFIG_SHARING_PRIVATE);
    assert_string_equal(step->caches[1].path, "/root/.npm");
    assert_string_equal(step->caches[1].name, "npm");
    assert_int_equal(step->caches[1].sharing, CONFIG_SHARING_SHARED);
    assert_string_equal(step->caches[2].path, "/var/cache/cargo");
    assert_int_equal(step->caches[2].sharing, CONFIG_SHARING_LOCKED);
    config_free(config);
}

/* Places that can be made: an image's files can be written to, and so can the project's. */
static void places_that_can_be_made_are_taken(void **state)
{
    static const char *const good[] = {
        IMAGED("'caches': {'/usr/lib/x': 'a', '/etc': 'b', '/tmp': 'c', '/opt/x/y': 'd'}"),
        IMAGED("'secrets': {'/etc/npmrc': {'env': 'A'}, '/root': {'env': 'A'}}"),
        BOXED("'caches': {'/a': 'a', '/a/b': 'b', '/src/node_modules': 'c', '/usrlocal': 'd', "
              "'/tmp/home': 'e', '/run': 'f'}"),
        BOXED("'caches': {'/a': 'a'}, 'secrets': {'/a/key': {'env': 'A'}, '/keys': {'env': 'A'}}"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        config_free(case_good(good[i]));
    struct config *config = case_good(BOXED("'caches': {'/var/tmp/./x': 'a'}"));
    assert_string_equal(config->steps[0].caches[0].path, "/tmp/x");
    config_free(config);
}

static void a_step_says_what_defaults_do_not(void **state)
{
    struct config *config = case_good(
        "{'version': 1, 'defaults': {'image': 'debian', 'platform': 'linux/arm64', 'user': 'u',\n"
        " 'network': 'host', 'mount': 'same', 'limits': {'memory': '1GiB', 'pids': 9}}, 'steps': "
        "{\n"
        "'d': {'run': 'x'},\n"
        "'i': {'run': 'x', 'image': 'alpine', 'network': 'none', 'limits': {'memory': '2MiB'}},\n"
        "'s': {'run': 'x', 'runner': 'sandbox', 'secrets': {'A': {'env': 'A'}}},\n"
        "'h': {'run': 'x', 'runner': 'host', 'secrets': {'A': {'env': 'A'}}}}}");
    const struct config_step *d = &config->steps[0], *i = d + 1, *s = d + 2, *h = d + 3;

    (void)state;
    assert_int_equal(d->runner, CONFIG_RUNNER_CONTAINER);
    assert_string_equal(d->image, "debian");
    assert_string_equal(d->platform, "linux/arm64");
    assert_string_equal(d->user, "u");
    assert_true(d->network && d->mount_same);
    assert_int_equal(d->limits.memory, 1 << 30);
    assert_string_equal(i->image, "alpine");
    assert_false(i->network);
    assert_int_equal(i->limits.memory, 2 << 20);
    assert_int_equal(i->limits.pids, 9);
    assert_int_equal(s->runner, CONFIG_RUNNER_SANDBOX);
    assert_null(s->image);
    assert_null(s->platform);
    assert_null(s->user);
    assert_true(s->network && s->mount_same);
    assert_int_equal(s->limits.pids, 9);
    assert_int_equal(s->n_secrets, 1);
    assert_int_equal(h->runner, CONFIG_RUNNER_HOST);
    assert_null(h->image);
    assert_true(h->network && h->mount_same);
    assert_int_equal(h->limits.pids, 0);
    assert_int_equal(h->n_secrets, 1);
    config_free(config);
}

static void an_isolated_step_has_little_by_itself(void **state)
{
    struct config *config = case_good(BOXED("'secrets': {}, 'caches': {}, 'limits': {}"));
    const struct config_step *step = &config->steps[0];

    (void)state;
    assert_int_equal(step->runner, CONFIG_RUNNER_SANDBOX);
    assert_false(step->network || step->mount_same);
    assert_int_equal(step->n_secrets + step->n_caches, 0);
    assert_int_equal(step->limits.memory + step->limits.file_size + step->limits.pids +
                         step->limits.cpu_milli,
                     0);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runners_have_what_they_can_use),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(wrong_secrets_are_named),
        cmocka_unit_test(wrong_caches_are_named),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(every_setting_arrives),
        cmocka_unit_test(places_that_can_be_made_are_taken),
        cmocka_unit_test(a_step_says_what_defaults_do_not),
        cmocka_unit_test(an_isolated_step_has_little_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
