/* Good kiln.json: every field has what was written, merged, sorted and placed. */
#include "test_config.h"

static void check_pos(struct config_pos pos, uint32_t line, uint32_t column)
{
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
}

static void check_text(const struct config_text *text, const char *is, uint32_t line,
                       uint32_t column)
{
    assert_string_equal(text->text, is);
    check_pos(text->pos, line, column);
}

static void a_step_with_only_run_has_the_defaults(void **state)
{
    struct config *config = case_good(STEP("'run': 'make'"));
    const struct config_step *step = &config->steps[0];

    (void)state;
    assert_string_equal(config->path, "/p/demo/kiln.json");
    assert_string_equal(config->shown, "kiln.json");
    assert_string_equal(config->root, "/p/demo");
    assert_string_equal(config->name, "demo");
    assert_int_equal(config->jobs, 0);
    assert_null(config->generate);
    assert_int_equal(config->n_steps, 1);
    assert_int_equal(config->order[0], 0);
    check_text(&step->name, "a", 2, 1);
    assert_null(step->description);
    assert_int_equal(step->n_argv, 3);
    assert_string_equal(step->argv[0], "/bin/sh");
    assert_string_equal(step->argv[1], "-ec");
    assert_string_equal(step->argv[2], "make");
    assert_null(step->argv[3]);
    assert_string_equal(step->run_text, "make");
    assert_false(step->has_inputs);
    assert_int_equal(
        step->n_inputs + step->n_outputs + step->n_needs + step->n_env + step->n_pass_env, 0);
    assert_int_equal(step->runner, CONFIG_RUNNER_SANDBOX);
    assert_string_equal(step->cwd, "");
    assert_int_equal(step->timeout_ms, 0);
    assert_int_equal(step->retries, 0);
    assert_true(step->cache);
    assert_false(step->hook);
    assert_false(step->interactive);
    assert_false(step->fix);
    config_free(config);
}

static void every_key_arrives(void **state)
{
    struct config *config = case_good(
        "{'$schema': 's', 'version': 1, 'name': 'd\xc3\xa9mo', 'jobs': 1024,\n"
        "'steps': {\n"
        "'gen/one': {'run': 'x', 'outputs': ['out/gen', './lib//b', 'a']},\n"
        "'all': {'run': ['./app', 'a b', '', 'it`s', '--x=1'],\n"
        " 'description': 'does \\u00e9 all',\n"
        " 'inputs': ['src', '!src/**/*.md', '.'],\n"
        " 'needs': ['gen/one'], 'cwd': './sub/../dir/', 'timeout': '1h30m',\n"
        " 'retries': 100, 'runner': 'host', 'cache': false, 'hook': true, 'interactive': true,"
        " 'fix': true,\n"
        " 'env': {'B': '', 'A': '1'}, 'pass_env': ['TZ', 'LANG']}}}");
    const struct config_step *step = &config->steps[1];

    (void)state;
    assert_string_equal(config->name, "d\xc3\xa9mo");
    assert_int_equal(config->jobs, 1024);
    assert_int_equal(config->n_steps, 2);
    assert_int_equal(config->steps[0].n_outputs, 3);
    check_text(&config->steps[0].outputs[0], "a", 3, 60);
    check_text(&config->steps[0].outputs[1], "lib/b", 3, 48);
    check_text(&config->steps[0].outputs[2], "out/gen", 3, 37);

    check_text(&step->name, "all", 4, 1);
    assert_string_equal(step->description, "does \xc3\xa9 all");
    assert_int_equal(step->n_argv, 5);
    assert_string_equal(step->argv[1], "a b");
    assert_string_equal(step->argv[2], "");
    assert_null(step->argv[5]);
    assert_string_equal(step->run_text, "./app 'a b' '' 'it'\\''s' --x=1");
    assert_true(step->has_inputs);
    assert_int_equal(step->n_inputs, 3);
    check_text(&step->inputs[0], "src", 6, 13);
    check_text(&step->inputs[1], "!src/**/*.md", 6, 20);
    check_text(&step->inputs[2], ".", 6, 36);
    assert_int_equal(step->n_needs, 1);
    assert_int_equal(step->needs[0], 0);
    assert_string_equal(step->cwd, "dir");
    assert_int_equal(step->timeout_ms, 5400000);
    assert_int_equal(step->retries, 100);
    assert_false(step->cache);
    assert_true(step->hook);
    assert_true(step->interactive);
    assert_true(step->fix);
    assert_int_equal(config->hook.fix, CONFIG_FIXES_COMMIT);
    assert_int_equal(step->n_env, 2);
    assert_string_equal(step->env[0].name, "A");
    assert_string_equal(step->env[0].value, "1");
    check_pos(step->env[0].pos, 9, 19);
    assert_string_equal(step->env[1].name, "B");
    assert_string_equal(step->env[1].value, "");
    assert_int_equal(step->n_pass_env, 2);
    check_text(&step->pass_env[0], "LANG", 9, 49);
    check_text(&step->pass_env[1], "TZ", 9, 43);
    assert_int_equal(config_step_index(config, "all"), 1);
    assert_int_equal(config_step_index(config, "al"), -1);
    config_free(config);
}

static void empty_inputs_are_not_absent_inputs(void **state)
{
    struct config *config = case_good(STEP("'run': 'x', 'inputs': []"));

    (void)state;
    assert_true(config->steps[0].has_inputs);
    assert_int_equal(config->steps[0].n_inputs, 0);
    config_free(config);
}

static const char *env_of(const struct config_step *step, const char *name)
{
    for (size_t i = 0; i < step->n_env; i++)
        if (!strcmp(step->env[i].name, name))
            return step->env[i].value;
    return NULL;
}

static bool passes(const struct config_step *step, const char *name)
{
    for (size_t i = 0; i < step->n_pass_env; i++)
        if (!strcmp(step->pass_env[i].text, name))
            return true;
    return false;
}

static void defaults_are_merged_and_overridden(void **state)
{
    /* Behind the steps on purpose: the order of the keys does not matter. */
    struct config *config =
        case_good("{'version': 1, 'steps': {\n"
                  "'plain': {'run': 'x'},\n"
                  "'own': {'run': 'x', 'timeout': '5s', 'retries': 0, 'cache': true,\n"
                  " 'env': {'A': 'own', 'P': 'set'}, 'pass_env': ['E', 'Q', 'R']}},\n"
                  "'defaults': {'timeout': '10m', 'retries': 2, 'cache': false, 'runner': 'host',\n"
                  " 'env': {'A': '1', 'E': '2', 'Z': '3'}, 'pass_env': ['P', 'Q']}}");
    const struct config_step *plain = &config->steps[0], *own = &config->steps[1];

    (void)state;
    assert_int_equal(plain->timeout_ms, 600000);
    assert_int_equal(plain->retries, 2);
    assert_false(plain->cache);
    assert_int_equal(plain->n_env, 3);
    assert_string_equal(env_of(plain, "A"), "1");
    check_pos(plain->env[0].pos, 6, 10);
    assert_int_equal(plain->n_pass_env, 2);

    assert_int_equal(own->timeout_ms, 5000);
    assert_int_equal(own->retries, 0);
    assert_true(own->cache);
    assert_int_equal(own->n_env, 3);
    assert_string_equal(env_of(own, "A"), "own");
    assert_string_equal(env_of(own, "P"), "set"); /* set here: no longer passed on */
    assert_string_equal(env_of(own, "Z"), "3");
    assert_null(env_of(own, "E")); /* passed on here: no longer set */
    assert_int_equal(own->n_pass_env, 3);
    assert_true(passes(own, "E") && passes(own, "Q") && passes(own, "R"));
    for (size_t i = 1; i < own->n_env; i++)
        assert_true(strcmp(own->env[i - 1].name, own->env[i].name) < 0);
    config_free(config);
}

static void steps_are_ordered_by_needs_and_else_as_written(void **state)
{
    struct config *config = case_good(STEPS("'test': {'run': 'x', 'needs': ['lib', 'app']},\n"
                                            "'lint': {'run': 'x'},\n"
                                            "'app': {'run': 'x', 'needs': ['lib']},\n"
                                            "'lib': {'run': 'x'},\n"
                                            "'docs': {'run': 'x', 'needs': []}"));
    static const uint32_t order[] = {1, 3, 2, 0, 4};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(config->order[i], order[i]);
    assert_int_equal(config->steps[0].n_needs, 2); /* by name: app before lib */
    assert_int_equal(config->steps[0].needs[0], 2);
    assert_int_equal(config->steps[0].needs[1], 3);
    assert_int_equal(config->steps[4].n_needs, 0);
    config_free(config);
}

static void outputs_side_by_side_are_allowed(void **state)
{
    struct config *config =
        case_good(STEPS("'a': {'run': 'x', 'outputs': ['o', 'o-x', 'o.d/p', 'kiln.jso']},\n"
                        "'b': {'run': 'x', 'outputs': ['o.d/q', 'oo', '.gitx', 'p/kiln.json']}"));

    (void)state;
    assert_int_equal(config->n_steps, 2);
    config_free(config);
}

static void step_names_may_have_many_characters(void **state)
{
    struct config *config =
        case_good(STEPS("'a.B_9-c:d/e@f+g': {'run': 'x'}, 'pr\xc3\xbc"
                        "fen': {'run': 'x'}, '..a': {'run': 'x'}, "
                        "'\xe6\xb5\x8b\xe8\xaf\x95': {'run': 'x', 'needs': ['pr\\u00fc"
                        "fen']}"));

    (void)state;
    assert_int_equal(config->n_steps, 4);
    assert_int_equal(config->steps[3].needs[0], 1);
    config_free(config);
}

static void comments_and_trailing_commas_are_allowed(void **state)
{
    struct config *config =
        case_good("\xef\xbb\xbf// top\r\n{ /* one */ 'version': 1, // two\n"
                  "'steps': {'a': {'run': ['echo', '// no', '/* no */', ',]',], },\n"
                  "/* **/ }, /* , */ } // end");

    (void)state;
    assert_int_equal(config->steps[0].n_argv, 4);
    assert_string_equal(config->steps[0].argv[1], "// no");
    assert_string_equal(config->steps[0].argv[2], "/* no */");
    assert_string_equal(config->steps[0].argv[3], ",]");
    check_pos(config->steps[0].name.pos, 3, 11);
    config_free(config);
}

static void a_generator_is_read(void **state)
{
    struct config *config =
        case_good("{'version': 1, 'name': 'n', 'jobs': 2,\n"
                  " 'generate': {'run': ['python3', 'ci/p.py'], 'inputs': ['ci'],\n"
                  "  'env': {'A': '1'}, 'pass_env': ['HOME']}}");
    const struct config_generate *generate = config->generate;

    (void)state;
    assert_non_null(generate);
    assert_int_equal(config->n_steps, 0);
    assert_int_equal(config->jobs, 2);
    check_text(&generate->run, "python3 ci/p.py", 2, 14);
    assert_string_equal(generate->run_text, "python3 ci/p.py");
    assert_int_equal(generate->n_argv, 2);
    assert_string_equal(generate->argv[0], "python3");
    assert_true(generate->has_inputs);
    check_text(&generate->inputs[0], "ci", 2, 57);
    assert_string_equal(generate->env[0].name, "A");
    check_text(&generate->pass_env[0], "HOME", 3, 35);
    config_free(config);

    config = case_good("{'version': 1, 'generate': {'run': 'cue export'}}");
    assert_string_equal(config->generate->argv[2], "cue export");
    assert_false(config->generate->has_inputs);
    config_free(config);
}

static void places_can_be_named_later(void **state)
{
    struct config *config = case_good(STEP("'run': 'x', 'inputs': ['src']"));
    const struct config_step *step = &config->steps[0];
    struct buf out = BUF_INIT;

    (void)state;
    config_where(config, step, step->inputs[0].pos, &out);
    assert_string_equal(buf_str(&out), "kiln.json:2:30: step \"a\"");
    buf_reset(&out);
    config_where(config, step, (struct config_pos){0, 0}, &out);
    assert_string_equal(buf_str(&out), "kiln.json:2:1: step \"a\"");
    buf_reset(&out);
    config_where(config, NULL, (struct config_pos){1, 4}, &out);
    assert_string_equal(buf_str(&out), "kiln.json:1:4");
    buf_reset(&out);
    config_where(config, NULL, (struct config_pos){0, 0}, &out);
    assert_string_equal(buf_str(&out), "kiln.json");
    buf_release(&out);
    config_free(config);
}

static void the_file_is_shown_from_the_root(void **state)
{
    struct config *config = NULL;

    (void)state;
    assert_int_equal(case_parse_in(STEP("'run': 'x'"), "/p/ci/k.json", "/p", &config, NULL), 0);
    assert_string_equal(config->shown, "ci/k.json");
    config_free(config);
    assert_int_equal(case_parse_in(STEP("'run': 'x'"), "/pp/k.json", "/p", &config, NULL), 0);
    assert_string_equal(config->shown, "/pp/k.json");
    config_free(config);
    assert_int_equal(case_parse_in(STEP("'run': 'x'"), "/k\n.json", "/", &config, NULL), 0);
    assert_string_equal(config->shown, "k\\n.json");
    assert_string_equal(config->name, "/");
    config_free(config);
    assert_int_equal(case_parse_in("{", "/p/k.json", "/p", &config, NULL), -ERR_CONFIG);
}

/* Ten thousand steps, each needing the ten before it, read without trouble. */
static void many_steps_are_read(void **state)
{
    struct buf text = BUF_INIT;
    struct config *config = NULL;
    const int n = 10000;

    (void)state;
    buf_adds(&text, "{\"version\": 1, \"steps\": {");
    for (int i = n - 1; i >= 0; i--) {
        buf_addf(&text, "\"s%d\": {\"run\": \"x\", \"outputs\": [\"o/%d\"], \"needs\": [", i, i);
        for (int k = i > 10 ? i - 10 : 0; k < i; k++)
            buf_addf(&text, "\"s%d\",", k);
        buf_adds(&text, "]},\n");
    }
    buf_adds(&text, "}}");
    assert_int_equal(
        config_parse(buf_str(&text), text.len, "/p/kiln.json", "/p", false, &config, NULL), 0);
    assert_int_equal(config->n_steps, n);
    for (uint32_t i = 0; i < (uint32_t)n; i++)
        assert_int_equal(config->order[i], (uint32_t)n - 1 - i);
    config_free(config);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_with_only_run_has_the_defaults),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(empty_inputs_are_not_absent_inputs),
        cmocka_unit_test(defaults_are_merged_and_overridden),
        cmocka_unit_test(steps_are_ordered_by_needs_and_else_as_written),
        cmocka_unit_test(outputs_side_by_side_are_allowed),
        cmocka_unit_test(step_names_may_have_many_characters),
        cmocka_unit_test(comments_and_trailing_commas_are_allowed),
        cmocka_unit_test(a_generator_is_read),
        cmocka_unit_test(places_can_be_named_later),
        cmocka_unit_test(the_file_is_shown_from_the_root),
        cmocka_unit_test(many_steps_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
