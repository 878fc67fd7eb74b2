/* kiln.json as a pipeline: each wrong key or value is named with its place, the step and what to
 * do. */
#include "test_config.h"

static const struct config_case keys[] = {
    {"no version", "{'steps': {'a': {'run': 'x'}}}",
     "^1:1: a pipeline has no \"version\"; add \"version\": 1"},
    {"misspelt version", "{'versoin': 1}",
     "^1:2: unknown key \"versoin\"; did you mean \"version\"?"},
    {"version 2", "{'later': 1, 'version': 2}",
     "^1:25: version 2 of the format is not known; this kiln reads version 1"},
    {"version text", "{'version': '1'}",
     "^1:13: \"version\" must be the number 1, not \"1\"; write \"version\": 1"},
    {"version 1.0", "{'version': 1.0}", "^1:13: \"version\" must be the number 1, not 1.0"},
    {"no steps", "{'version': 1}", "^1:1: a pipeline has no \"steps\"; add"},
    {"empty steps", "{'version': 1, 'steps': {}}", "^1:25: \"steps\" has no steps; add one"},
    {"steps a list", "{'version': 1, 'steps': []}",
     "^1:25: \"steps\" must be an object, not a list"},
    {"step a string", STEPS("'a': 'make'"),
     "^2:6: step \"a\": a step must be an object; write it as"},
    {"unknown key", STEP("'run': 'x', 'input': ['y']"),
     "^2:19: step \"a\": unknown key \"input\"; did you mean \"inputs\"?"},
    {"far from every key", STEP("'run': 'x', 'zzzzzz': 1"),
     "^2:19: step \"a\": unknown key \"zzzzzz\"; a step may have run, description"},
    {"key with a newline", STEP("'a\\nb': 1"), "^2:7: step \"a\": unknown key \"a\\nb\""},
    {"empty key", STEP("'': 1"), "^2:7: step \"a\": unknown key \"\""},
    {"step's key in the file", "{'version': 1, 'timeout': '5m'}",
     "^1:16: \"timeout\" does not belong in the top of the file; it is a key of a step or of "
     "\"defaults\""},
    {"step's own key in the file", "{'version': 1, 'run': 'x'}",
     "^1:16: \"run\" does not belong in the top of the file; it is a key of a step"},
    {"file's key in a step", STEP("'jobs': 3"),
     "^2:7: step \"a\": \"jobs\" does not belong in a step; move it to the top of the file"},
    {"inputs in defaults",
     "{'version': 1, 'defaults': {'inputs': []}, 'steps': {'a': {'run': 'x'}}}",
     "^1:29: \"inputs\" does not belong in \"defaults\"; it is a key of a step"},
    {"outputs in generate", "{'version': 1, 'generate': {'run': 'x', 'outputs': []}}",
     "^1:41: \"outputs\" does not belong in \"generate\"; it is a key of a step"},
    {"interactive", STEP("'run': 'x', 'interactive': 'yes'"),
     "^2:34: step \"a\": \"interactive\" must be true or false"},
    {"secrets in defaults", "{'version': 1, 'defaults': {'secrets': {}}, 'steps': {}}",
     "^1:29: \"secrets\" does not belong in \"defaults\"; it is a key of a step"},
    {"a limit in a step", STEP("'run': 'x', 'memory': '1GiB'"),
     "^2:19: step \"a\": \"memory\" does not belong in a step; it is a key of \"limits\""},
    {"generate and steps",
     "{'version': 1, 'steps': {'a': {'run': 'x'}},\n 'generate': {'run': 'y'}}",
     "^2:2: \"generate\" and \"steps\" (at 1:16) exclude each other; remove one"},
    {"generate and defaults", "{'version': 1, 'defaults': {},\n'generate': {'run': 'y'}}",
     "^1:16: \"defaults\" does nothing beside \"generate\""},
    {"generate without run", "{'version': 1, 'generate': {}}",
     "^1:28: \"generate\" has no \"run\"; add \"run\""},
    {"generate a string", "{'version': 1, 'generate': 'x'}",
     "^1:28: \"generate\" must be an object, not \"x\""},
    {"name empty", "{'version': 1, 'name': '', 'steps': {}}",
     "^1:24: \"name\" must have 1 to 200 bytes"},
    {"name with a newline", "{'version': 1, 'name': 'a\\nb', 'steps': {}}",
     "^1:24: \"name\" has a control character"},
    {"name a number", "{'version': 1, 'name': 5}",
     "^1:24: \"name\" must be a string, not 5; put it in double quotes"},
    {"jobs negative", "{'version': 1, 'jobs': -1}",
     "^1:24: \"jobs\" must be a whole number from 0 to 1024, not -1"},
    {"jobs too many", "{'version': 1, 'jobs': 1025}",
     "^1:24: \"jobs\" must be a whole number from 0 to 1024, not 1025"},
    {"jobs text", "{'version': 1, 'jobs': '4'}",
     "^1:24: \"jobs\" must be a whole number from 0 to 1024, not \"4\"; write it without quotes"},
};

static const struct config_case names[] = {
    {"empty", STEPS("'': {'run': 'x'}"), "^2:1: a step's name is empty; give it one"},
    {"space", STEPS("'a b': {'run': 'x'}"),
     "^2:1: the step's name \"a b\" has the character ' ' (U+0020); use letters, digits and . _ - "
     ": / @ +"},
    {"newline", STEPS("'a\\nb': {'run': 'x'}"),
     "^2:1: the step's name \"a\\nb\" has the character '\\n' (U+000A)"},
    {"escape", STEPS("'a\\u001b[0m': {'run': 'x'}"), "(U+001B); use letters"},
    {"zero width", STEPS("'a\\u200bb': {'run': 'x'}"), "(U+200B); use letters"},
    {"right to left override", STEPS("'a\\u202eb': {'run': 'x'}"), "(U+202E); use letters"},
    {"slash in front", STEPS("'/a': {'run': 'x'}"),
     "^2:1: the step's name \"/a\" has a '/' at its end; remove it"},
    {"slash behind", STEPS("'a/': {'run': 'x'}"),
     "^2:1: the step's name \"a/\" has a '/' at its end; remove it"},
    {"dash in front", STEPS("'-a': {'run': 'x'}"), "^2:1: the step's name \"-a\" begins with '-'"},
    {"two dots", STEPS("'a/../b': {'run': 'x'}"),
     "^2:1: the step's name \"a/../b\" reads as a path"},
    {"one dot", STEPS("'.': {'run': 'x'}"), "^2:1: the step's name \".\" reads as a path"},
    {"two slashes", STEPS("'a//b': {'run': 'x'}"),
     "^2:1: the step's name \"a//b\" reads as a path"},
    {"201 bytes",
     STEPS("'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxy': {}"),
     "…\" is longer than 200 bytes; shorten it"},
};

static const struct config_case values[] = {
    {"no run", STEP("'cwd': 'x'"), "^2:6: step \"a\": a step has no \"run\"; add \"run\""},
    {"run empty", STEP("'run': ''"),
     "^2:14: step \"a\": \"run\" is empty; write the command to run"},
    {"run blank", STEP("'run': ' \\n'"), "^2:14: step \"a\": \"run\" is empty"},
    {"run an empty list", STEP("'run': []"),
     "^2:14: step \"a\": \"run\" is an empty list; write the program"},
    {"run of an empty string", STEP("'run': ['', 'x']"),
     "^2:15: step \"a\": \"run\" begins with an empty string"},
    {"run with a number", STEP("'run': ['sleep', 5]"),
     "^2:24: step \"a\": each item of \"run\" must be a string, not 5; put it in double quotes"},
    {"run an object", STEP("'run': {}"),
     "^2:14: step \"a\": \"run\" must be a string or a list of strings, not an object; write"},
    {"run null", STEP("'run': null"),
     "^2:14: step \"a\": \"run\" must be a string or a list of strings, not null"},
    {"inputs a string", STEP("'run': 'x', 'inputs': 'src'"),
     "^2:29: step \"a\": \"inputs\" must be a list of strings, not \"src\"; write it as [\"src\", "
     "\"Makefile\"]"},
    {"inputs with true", STEP("'run': 'x', 'inputs': ['a', true]"),
     "^2:35: step \"a\": each item of \"inputs\" must be a string, not true"},
    {"input absolute", STEP("'run': 'x', 'inputs': ['a', '/etc']"),
     "^2:35: step \"a\": \"inputs\": the pattern \"/etc\" is not usable: it is absolute"},
    {"input leads out", STEP("'run': 'x', 'inputs': ['a/../../b']"),
     "^2:30: step \"a\": \"inputs\": the pattern \"a/../../b\" is not usable: it leads out of the "
     "project"},
    {"input empty", STEP("'run': 'x', 'inputs': ['']"),
     "^2:30: step \"a\": \"inputs\": the pattern \"\" is not usable: it is empty"},
    {"input malformed", STEP("'run': 'x', 'inputs': ['[a']"),
     "^2:30: step \"a\": \"inputs\": the pattern \"[a\" is not usable"},
    {"inputs only exclude", STEP("'run': 'x', 'inputs': ['!a', '!b']"),
     "^2:29: step \"a\": \"inputs\" only excludes, which leaves nothing; name first what to take"},
    {"output empty", STEP("'run': 'x', 'outputs': ['']"),
     "^2:31: step \"a\": output is empty; write a path"},
    {"output absolute", STEP("'run': 'x', 'outputs': ['/tmp/x']"),
     "^2:31: step \"a\": output \"/tmp/x\" is absolute; write it from the project's folder"},
    {"output leads out", STEP("'run': 'x', 'outputs': ['b/../../c']"),
     "^2:31: step \"a\": output \"b/../../c\" leads out of the project"},
    {"output is the root", STEP("'run': 'x', 'outputs': ['b/..']"),
     "^2:31: step \"a\": output \"b/..\" is the whole project"},
    {"output a glob", STEP("'run': 'x', 'outputs': ['out/*.o']"),
     "^2:31: step \"a\": output \"out/*.o\": globs are not supported in outputs; name the "
     "directory"},
    {"output excluded", STEP("'run': 'x', 'outputs': ['!out']"),
     "^2:31: step \"a\": output \"!out\": nothing can be excluded from outputs"},
    {"output is kiln.json", STEP("'run': 'x', 'outputs': ['./kiln.json']"),
     "^2:31: step \"a\": output \"./kiln.json\" holds the pipeline's own file"},
    {"output .git", STEP("'run': 'x', 'outputs': ['.git']"),
     "^2:31: step \"a\": output \".git\" lies in git's own folder"},
    {"output below .git", STEP("'run': 'x', 'outputs': ['sub/.git/x']"),
     "^2:31: step \"a\": output \"sub/.git/x\" lies in git's own folder"},
    {"outputs a string", STEP("'run': 'x', 'outputs': 'x'"),
     "^2:30: step \"a\": \"outputs\" must be a list of strings, not \"x\"; write it as "
     "[\"build/app\"]"},
    {"cwd leads out", STEP("'run': 'x', 'cwd': '..'"),
     "^2:26: step \"a\": \"cwd\" \"..\" leads out of the project"},
    {"cwd absolute", STEP("'run': 'x', 'cwd': '/'"),
     "^2:26: step \"a\": \"cwd\" \"/\" is absolute"},
    {"cwd a list", STEP("'run': 'x', 'cwd': []"),
     "^2:26: step \"a\": \"cwd\" must be a string, not a list"},
    {"cwd empty", STEP("'run': 'x', 'cwd': ''"), "^2:26: step \"a\": \"cwd\" is empty"},
    {"timeout a number", STEP("'run': 'x', 'timeout': 90"),
     "^2:30: step \"a\": \"timeout\" must be a string, not 90; write it as \"90s\""},
    {"timeout without a unit", STEP("'run': 'x', 'timeout': '90'"),
     "^2:30: step \"a\": \"timeout\" \"90\" is not a duration; write it as"},
    {"timeout zero", STEP("'run': 'x', 'timeout': '0s'"),
     "^2:30: step \"a\": \"timeout\" \"0s\" is not a duration"},
    {"timeout negative", STEP("'run': 'x', 'timeout': '-5s'"),
     "^2:30: step \"a\": \"timeout\" \"-5s\" is not a duration"},
    {"timeout huge", STEP("'run': 'x', 'timeout': '99999999999999999999h'"),
     "^2:30: step \"a\": \"timeout\""},
    {"retries a fraction", STEP("'run': 'x', 'retries': 1.5"),
     "^2:30: step \"a\": \"retries\" must be a whole number from 0 to 100, not 1.5"},
    {"retries negative", STEP("'run': 'x', 'retries': -1"),
     "^2:30: step \"a\": \"retries\" must be a whole number from 0 to 100, not -1"},
    {"retries many", STEP("'run': 'x', 'retries': 101"),
     "^2:30: step \"a\": \"retries\" must be a whole number from 0 to 100, not 101"},
    {"retries huge", STEP("'run': 'x', 'retries': 9223372036854775807"), "not 9223372036854775807"},
    {"retries exponent", STEP("'run': 'x', 'retries': 1e9"),
     "^2:30: step \"a\": \"retries\" must be a whole number from 0 to 100, not 1e+09"},
    {"cache a string", STEP("'run': 'x', 'cache': 'no'"),
     "^2:28: step \"a\": \"cache\" must be true or false, not \"no\"; write it without quotes"},
    {"cache a number", STEP("'run': 'x', 'cache': 0"),
     "^2:28: step \"a\": \"cache\" must be true or false, not 0"},
    {"hook null", STEP("'run': 'x', 'hook': null"),
     "^2:27: step \"a\": \"hook\" must be true or false, not null; leave it out to have the "
     "default"},
    {"a fixer in a box", STEP("'run': 'x', 'fix': true"),
     "^2:19: step \"a\": \"fix\" rewrites files of the project, which a step in a box can't; add "
     "\"runner\": \"host\""},
    {"a fixer with outputs", STEP("'run': 'x', 'fix': true, 'runner': 'host', 'outputs': ['o']"),
     "^2:50: step \"a\": a step with \"fix\" has no \"outputs\""},
    {"fix in defaults", "{'version': 1, 'defaults': {'fix': true}, 'steps': {}}", "\"fix\""},
    {"fixes of another kind",
     "{'version': 1, 'hook': {'fix': 'ask'}, 'steps': {'a': {'run': 'x'}}}",
     "must be \"commit\" or \"stop\""},
    {"description a list", STEP("'run': 'x', 'description': ['x']"),
     "^2:34: step \"a\": \"description\" must be a string, not a list"},
    {"runner remote in defaults", "{'version': 1, 'defaults': {'runner': 'remote'}, 'steps': {}}",
     "^1:39: runner \"remote\" is not available in this kiln; write one of host, sandbox, "
     "container, "
     "or leave the key out"},
    {"runner misspelt", STEP("'run': 'x', 'runner': 'hots'"),
     "^2:29: step \"a\": unknown runner \"hots\" (available: host, sandbox, container); did you "
     "mean "
     "\"host\"?"},
    {"runner unknown", STEP("'run': 'x', 'runner': 'qemu'"),
     "^2:29: step \"a\": unknown runner \"qemu\" (available: host, sandbox, container); write one "
     "of "
     "them"},
    {"env a list", STEP("'run': 'x', 'env': ['A=1']"),
     "^2:26: step \"a\": \"env\" must be an object, not a list; write it as {\"NAME\": \"value\"}"},
    {"env with a number", STEP("'run': 'x', 'env': {'PORT': 80}"),
     "^2:35: step \"a\": the variable \"PORT\" must be a string, not 80; put it in double quotes"},
    {"env name with =", STEP("'run': 'x', 'env': {'A=1': ''}"),
     "^2:27: step \"a\": the variable's name \"A=1\" has a '='; write the value apart"},
    {"env name with a dash", STEP("'run': 'x', 'env': {'A-B': ''}"),
     "^2:27: step \"a\": \"A-B\" is not a variable's name; use letters, digits and _"},
    {"env name with a digit", STEP("'run': 'x', 'env': {'1A': ''}"),
     "^2:27: step \"a\": \"1A\" is not a variable's name"},
    {"env name empty", STEP("'run': 'x', 'env': {'': ''}"),
     "^2:27: step \"a\": a variable's name is empty"},
    {"pass_env with =", STEP("'run': 'x', 'pass_env': ['A=1']"),
     "^2:32: step \"a\": the variable's name \"A=1\" has a '='"},
    {"pass_env a glob", STEP("'run': 'x', 'pass_env': ['CI_*']"),
     "^2:32: step \"a\": \"CI_*\" is not a variable's name"},
    {"pass_env twice", STEP("'run': 'x', 'pass_env': ['B', 'A', 'B']"),
     "^2:42: step \"a\": \"pass_env\" names \"B\" twice, first at 2:32; remove one of the two"},
    {"pass_env an object", STEP("'run': 'x', 'pass_env': {}"),
     "^2:31: step \"a\": \"pass_env\" must be a list of strings, not an object; write it as "
     "[\"LANG\"]"},
    {"env and pass_env", STEP("'run': 'x', 'pass_env': ['A'],\n'env': {'A': '1'}"),
     "^2:32: step \"a\": \"A\" is in \"pass_env\" and, at 3:9, in \"env\"; keep one"},
    {"env and pass_env in defaults",
     "{'version': 1, 'defaults': {'env': {'A': '1'}, 'pass_env': ['A']}, 'steps': {'a': {'run': "
     "'x'}}}",
     "^1:61: \"A\" is in \"pass_env\" and, at 1:37, in \"env\""},
};

#define A "'a': {'run': 'x'"
#define B "},\n'b': {'run': 'x'"
#define C "},\n'c': {'run': 'x'"

static const struct config_case links[] = {
    {"needs a string", STEPS(A ", 'needs': 'b'}"),
     "^2:28: step \"a\": \"needs\" must be a list of strings, not \"b\"; write it as [\"build\"]"},
    {"unknown need",
     STEPS("'build': {'run': 'x'},\n"
           "'a': {'run': 'x', 'needs': ['biuld']}"),
     "^3:29: step \"a\": \"needs\" names the unknown step \"biuld\"; did you mean \"build\"?"},
    {"unlike any step", STEPS(A ", 'needs': ['deploy']}"),
     "^2:29: step \"a\": \"needs\" names the unknown step \"deploy\"; add that step or remove the "
     "need"},
    {"needs a fixer",
     STEPS("'a': {'run': 'x', 'needs': ['b']},\n'b': {'run': 'x', 'fix': true, 'runner': 'host'}"),
     "^2:29: step \"a\": \"b\" has \"fix\" and is needed by no step"},
    {"needs itself", STEPS(A ", 'needs': ['a']}"),
     "^2:29: step \"a\": the step needs itself; remove this need"},
    {"needs twice", STEPS(A B ", 'needs': ['a', 'a']}"),
     "^3:34: step \"b\": \"needs\" names \"a\" twice, first at 3:29; remove one of the two"},
    {"cycle of two", STEPS(A ", 'needs': ['b']" B ", 'needs': ['a']}"),
     "^3:29: step \"b\": steps need each other in a circle: a → b → a; remove one of these needs"},
    {"cycle of three", STEPS(A ", 'needs': ['c']" B ", 'needs': ['a']" C ", 'needs': ['b']}"),
     "^3:29: step \"b\": steps need each other in a circle: a → c → b → a;"},
    {"cycle with a tail",
     STEPS("'z': {'run': 'x', 'needs': ['c']},\n'y': {'run': 'x'},\n" A ", 'needs': ['y', 'b']" B
           ", 'needs': ['c']" C ", 'needs': ['a', 'y']}"),
     "^6:29: step \"c\": steps need each other in a circle: a → b → c → a;"},
    {"output twice", STEPS(A ", 'outputs': ['o', './o']}"),
     "^2:36: step \"a\": output \"o\" is named twice, first at 2:31; remove one of the two"},
    {"output below its own", STEPS(A ", 'outputs': ['o/p', 'o']}"),
     "^2:38: step \"a\": output \"o\" holds \"o/p\", at 2:31; naming the outer one is enough"},
    {"equal outputs", STEPS(A ", 'outputs': ['o']" B ", 'outputs': ['o/']}"),
     "^3:31: step \"b\": output \"o\" belongs to step \"a\" already, at 2:31; only one step may "
     "make it"},
    {"output below another's", STEPS(A ", 'outputs': ['o']" B ", 'outputs': ['o-x', 'o/p/q']}"),
     "^3:38: step \"b\": output \"o/p/q\" lies inside \"o\", an output of step \"a\" at 2:31; let "
     "one step"},
    {"output above another's", STEPS(A ", 'outputs': ['o/p']" B ", 'outputs': ['o.x', 'o']}"),
     "^3:38: step \"b\": output \"o\" holds \"o/p\", an output of step \"a\" at 2:31; let one "
     "step"},
};

static void wrong_keys_are_named(void **state)
{
    (void)state;
    check_cases(keys);
}

static void wrong_names_are_named(void **state)
{
    (void)state;
    check_cases(names);
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    check_cases(values);
}

static void steps_that_do_not_fit_together_are_named(void **state)
{
    (void)state;
    check_cases(links);
}

static void a_generator_cannot_print_a_generator(void **state)
{
    static const char text[] = "{\"version\": 1, \"generate\": {\"run\": \"x\"}}";
    struct config *config = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        config_parse(text, sizeof(text) - 1, "/p/kiln.json", "/p", true, &config, &err),
        -ERR_CONFIG);
    assert_string_equal(err_text(&err), "kiln.json (generated):1:16: a generated pipeline cannot "
                                        "have \"generate\"; print its \"steps\"");
    err_release(&err);
}

static void the_folder_of_the_pipeline_cannot_be_an_output(void **state)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        case_parse_in(STEP("'run': 'x', 'outputs': ['ci']"), "/p/ci/k.json", "/p", &config, &err),
        -ERR_CONFIG);
    assert_non_null(strstr(err_text(&err), "ci/k.json:2:31: step \"a\": output \"ci\" holds the"));
    err_release(&err);
    assert_int_equal(
        case_parse_in(STEP("'run': 'x', 'outputs': ['ci']"), "/p/cin/k.json", "/p", &config, &err),
        0);
    config_free(config);
    assert_int_equal(
        case_parse_in(STEP("'run': 'x', 'outputs': ['ci']"), "/ci/k.json", "/", &config, &err),
        -ERR_CONFIG);
    err_release(&err);
}

/* A circle of many steps: found without recursion, its message of bearable length. */
static void a_long_cycle_is_cut_in_its_message(void **state)
{
    struct buf text = BUF_INIT;
    struct config *config = NULL;
    struct err err = ERR_INIT;
    const int n = 20000;

    (void)state;
    buf_adds(&text, "{\"version\": 1, \"steps\": {");
    for (int i = 0; i < n; i++)
        buf_addf(&text, "%s\n\"s%d\": {\"run\": \"x\", \"needs\": [\"s%d\"]}", i ? "," : "", i,
                 (i + 1) % n);
    buf_adds(&text, "}}");
    assert_int_equal(
        config_parse(buf_str(&text), text.len, "/p/kiln.json", "/p", false, &config, &err),
        -ERR_CONFIG);
    assert_non_null(strstr(err_text(&err), "kiln.json:20001:34: step \"s19999\": steps need each "
                                           "other in a circle: s0 → s1 → "));
    assert_non_null(strstr(err_text(&err), " → s23 → (19976 more) → s0; remove"));
    err_release(&err);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_keys_are_named),
        cmocka_unit_test(wrong_names_are_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(steps_that_do_not_fit_together_are_named),
        cmocka_unit_test(a_generator_cannot_print_a_generator),
        cmocka_unit_test(the_folder_of_the_pipeline_cannot_be_an_output),
        cmocka_unit_test(a_long_cycle_is_cut_in_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
