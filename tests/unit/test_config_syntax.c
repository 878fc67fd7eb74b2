/* kiln.json as text: what is malformed is refused at its exact place, and nothing crashes on it. */
#include "test_config.h"

static const struct config_case syntax[] = {
    {"empty", "", "^1:1: the file is empty; start with {\"version\": 1"},
    {"only blanks", " \n\t\r\n", "^1:1: the file is empty"},
    {"only a comment", "// nothing yet\n", "^1:1: the file is empty"},
    {"a list", "[]", "^1:1: a pipeline must be an object, not a list; write it in { and }"},
    {"a string", "'x'", "^1:1: a pipeline must be an object, not \"x\""},
    {"a number", "\n  12", "^2:3: a pipeline must be an object, not 12"},
    {"null", "null", "^1:1: a pipeline must be an object, not null"},
    {"cut in an object", "{'version': 1",
     "^1:14: the file ends where ',' or '}' is expected, in what begins at 1:1; is it cut off?"},
    {"cut behind a comma", "{'version': 1,\n", "^2:1: the file ends where a key is expected"},
    {"cut behind a key", "{'version'", "^1:11: the file ends where ':' behind the key is expected"},
    {"cut behind a colon", "{'version':", "^1:12: the file ends where a value is expected"},
    {"cut in a list", "{'version': 1, 'steps': {\n'a': {'run': ['x',",
     "^2:19: step \"a\": the file ends where a value is expected, in what begins at 2:14; is it "
     "cut off?"},
    {"cut in a string", "{'ver",
     "^1:2: this string has no end on its line; close it with a double quote"},
    {"string over lines", STEP("'run': 'a\nb'"),
     "^2:14: step \"a\": this string has no end on its line"},
    {"string ends in a backslash", "{'a\\", "^1:2: this string has no end"},
    {"more behind the end", "{'version': 1}\n}",
     "^2:1: there is more text behind the end of the pipeline; remove it"},
    {"two documents", "{} {}", "^1:4: there is more text behind the end"},
    {"no colon", "{'version' 1}", "^1:12: ':' behind the key is expected, not \"1\""},
    {"no comma in an object", "{'version': 1\n 'steps': {}}",
     "^2:2: ',' or '}' is expected, not '\"'; put a comma in front of it"},
    {"no comma in a list", STEP("'run': ['a' 'b']"),
     "^2:19: step \"a\": ',' or ']' is expected, not '\"'"},
    {"two commas", "{'version': 1,,}", "^1:15: a key is expected, not ','"},
    {"a lone comma in a list", STEP("'run': [,]"),
     "^2:15: step \"a\": a value is expected, not ','"},
    {"a lone comma in an object", "{,}", "^1:2: a key is expected, not ','"},
    {"two trailing commas", STEP("'run': ['a',,]"),
     "^2:19: step \"a\": a value is expected, not ','"},
    {"comma for a value", "{'version':,}", "^1:12: a value is expected, not ','"},
    {"wrong bracket", "{'version': [1}", "^1:15: ',' or ']' is expected, not '}'"},
    {"key without quotes", "{version: 1}",
     "^1:2: a key is expected, not \"version\"; names and text go in double quotes"},
    {"single quotes", "{`version`: 1}",
     "^1:2: a key is expected, not a single quote; text goes in plain double quotes"},
    {"typographic quotes", "{\xe2\x80\x9cversion\xe2\x80\x9d: 1}",
     "^1:2: a key is expected, not '\xe2\x80\x9c'; text goes in plain double quotes"},
    {"bare word", "{'version': one}",
     "^1:13: \"one\" is not a value of JSON; text goes in double quotes"},
    {"True", STEP("'cache': True"),
     "^2:16: step \"a\": \"True\" is not a value of JSON; text goes in double quotes, and true"},
    {"leading zero", "{'version': 01}",
     "^1:13: \"01\" is not a value of JSON; write a plain decimal number"},
    {"plus", "{'version': +1}", "^1:13: \"+1\" is not a value of JSON"},
    {"hexadecimal", "{'version': 0x1}", "^1:13: \"0x1\" is not a value of JSON"},
    {"no digits behind the point", "{'version': 1.}", "^1:13: \"1.\" is not a value of JSON"},
    {"no digits in the exponent", "{'version': 1e}", "^1:13: \"1e\" is not a value of JSON"},
    {"a lone minus", "{'version': -}", "^1:13: \"-\" is not a value of JSON"},
    {"NaN", "{'version': NaN}", "^1:13: \"NaN\" is not a value of JSON"},
    {"other character", "{'version': #}",
     "^1:13: a value is expected, not '#'; correct the text there"},
    {"a lone slash", "{'version': 1 / 2}", "^1:15: ',' or '}' is expected, not '/'"},
    {"control character", "{'a\x01': 1}",
     "^1:4: a string holds the control character 0x01; write it as \\u0001"},
    {"tab in a string", "{'a\tb': 1}", "^1:4: a string holds the control character 0x09"},
    {"unknown escape", STEP("'run': 'a\\q'"),
     "^2:16: step \"a\": this is not an escape of JSON; write \\\\ for a backslash"},
    {"short unicode escape", STEP("'run': '\\u12'"),
     "^2:15: step \"a\": this is not an escape of JSON"},
    {"lone surrogate", STEP("'run': '\\ud800'"),
     "^2:14: step \"a\": this text cannot be decoded (invalid Unicode"},
    {"NUL escape", STEP("'run': 'a\\u0000b'"), "^2:14: step \"a\": the text holds \\u0000"},
    {"NUL escape in a key", "{'version': 1, 'a\\u0000b': 1}", "^1:16: the text holds \\u0000"},
    {"comment without end", "{'version': 1, /* and then\n'steps': {}}",
     "^1:16: this comment has no end; close it with */"},
    {"comment almost closed", "{} /*/", "^1:4: this comment has no end"},
    {"comment in a string is text", STEP("'run': 'a // b /* c', 'x': 1"),
     "^2:29: step \"a\": unknown key \"x\""},
    {"behind comments places hold", "/* \xc3\xa4\xc3\xb6 */ {'version': // one\n2}",
     "^2:1: version 2 of the format"},
    {"columns count characters", STEP("'run': '\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5', 'x': 1"),
     "^2:21: step \"a\": unknown key \"x\""},
    {"CRLF lines", "{\r\n'version': 1,\r\n 'x': 1}", "^3:2: unknown key \"x\""},
    {"byte order mark has no column", "\xef\xbb\xbf{'x': 1}", "^1:2: unknown key \"x\""},
    {"Latin-1", "{'n\xe4me': 1}", "^1:4: byte 0xE4 is not valid UTF-8; save the file as UTF-8"},
    {"invalid UTF-8 in a comment", "{} // \xc3\xa9 \xff", "^1:9: byte 0xFF is not valid UTF-8"},
    {"overlong UTF-8", "{'\xc0\xaf': 1}", "^1:3: byte 0xC0 is not valid UTF-8"},
    {"surrogate in UTF-8", "{'\xed\xa0\x80': 1}", "^1:3: byte 0xED is not valid UTF-8"},
    {"cut UTF-8", "{'\xe2\x82", "^1:3: byte 0xE2 is not valid UTF-8"},
    {"UTF-16 mark", "\xff\xfe{", "^1:1: the file looks like UTF-16; save it as UTF-8"},
    {"huge number", STEP("'run': 'x', 'retries': 99999999999999999999"),
     "^2:30: step \"a\": this number is too large; write a smaller one"},
    {"huge exponent", "{'version': 1e999}", "^1:13: this number is too large"},
    {"duplicate key", "{'version': 1,\n 'version': 1}",
     "^2:2: the key \"version\" is given twice, first at 1:2; remove or rename one of the two"},
    {"duplicate key in a step", STEP("'run': 'x',\n 'run': 'y'"),
     "^3:2: step \"a\": the key \"run\" is given twice, first at 2:7"},
    {"duplicate step", STEPS("'a': {'run': 'x'},\n'a': {'run': 'y'}"),
     "^3:1: the key \"a\" is given twice, first at 2:1"},
    {"duplicate in disguise", "{'version': 1, '\\u0076ersion': 1}",
     "^1:16: the key \"version\" is given twice, first at 1:2"},
    {"duplicate variable", STEP("'run': 'x', 'env': {'A': '1', 'A': '2'}"),
     "^2:37: step \"a\": the key \"A\" is given twice, first at 2:27"},
};

static void malformed_text_is_refused_at_its_place(void **state)
{
    (void)state;
    check_cases(syntax);
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "{\"version\": 1,\n \0 \"steps\": {}}";
    static const char wide[] = "{\0\"\0";
    struct config *config = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        config_parse(text, sizeof(text) - 1, "/p/kiln.json", "/p", false, &config, &err),
        -ERR_CONFIG);
    assert_string_equal(err_text(&err), "kiln.json:2:2: a NUL byte is in the text; remove it");
    assert_int_equal(
        config_parse(wide, sizeof(wide) - 1, "/p/kiln.json", "/p", false, &config, &err),
        -ERR_CONFIG);
    assert_string_equal(err_text(&err),
                        "kiln.json:1:2: the file looks like UTF-16; save it as UTF-8");
    err_release(&err);
    assert_null(config);
}

static char *repeated(const char *before, const char *unit, size_t times, size_t *n)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, before);
    for (size_t i = 0; i < times; i++)
        buf_adds(&text, unit);
    *n = text.len;
    return buf_detach(&text);
}

static void expect_error(char *text, size_t n, const char *message)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(config_parse(text, n, "/p/kiln.json", "/p", false, &config, &err),
                     -ERR_CONFIG);
    if (!strstr(err_text(&err), message))
        fail_msg("expected %s, message %s", message, err_text(&err));
    err_release(&err);
    free(text);
}

static void deep_and_huge_texts_are_refused(void **state)
{
    size_t n;
    char *text;

    (void)state;
    text = repeated("", "[", 1000000, &n);
    expect_error(text, n, "kiln.json:1:66: values are nested more than 64 deep");
    text = repeated("", "{\"a\":", 200000, &n);
    expect_error(text, n, "values are nested more than 64 deep");
    text = repeated("[0", ",0", 1000001, &n);
    expect_error(text, n, "the file has more than 1000000 values; split the pipeline up");
    text = repeated("", " ", (16u << 20) + 1, &n);
    expect_error(text, n, "kiln.json:1:1: the file is larger than 16 MiB; split the pipeline up");
    text = repeated("{\"", "x", 1000000, &n);
    expect_error(text, n, "kiln.json:1:2: this string has no end on its line");
}

/* Every variable of "defaults" in every step: a text of some 100 kB that would ask for gigabytes.
 */
static void many_defaults_times_many_steps_are_refused(void **state)
{
    struct buf text = BUF_INIT;

    (void)state;
    buf_adds(&text, "{\"version\": 1, \"defaults\": {\"env\": {\"A\": \"\"");
    for (int i = 0; i < 3000; i++)
        buf_addf(&text, ", \"A%d\": \"\"", i);
    buf_adds(&text, "}}, \"steps\": {\"s\": {\"run\": \"x\"}");
    for (int i = 0; i < 2000; i++)
        buf_addf(&text, ", \"s%d\": {\"run\": \"x\", \"env\": {\"B\": \"\"}}", i);
    buf_adds(&text, "}}");
    size_t n = text.len;
    expect_error(buf_detach(&text), n, "together have more than 1000000 variables");
}

static const char big[] =
    "{\n  // every key\n  '$schema': './kiln.schema.json', 'version': 1, 'name': 'd\xc3\xa9mo', "
    "'jobs': 3,\n"
    "  'defaults': {'runner': 'host', 'timeout': '10m', 'retries': 1, 'env': {'A': '1'},\n"
    "    'pass_env': ['LANG'], 'cache': true},\n"
    "  'steps': { /* two */\n"
    "    'build': {'run': 'make -C src', 'inputs': ['src', 'Makefile', '!src/**/*.md'],\n"
    "      'outputs': ['build/app',], 'env': {'CC': 'gcc', 'B': '\\u00e9\\n'}, 'cwd': 'src/..',},\n"
    "    'test': {'needs': ['build'], 'run': ['./build/app', '--self-test'], 'inputs': [],\n"
    "      'timeout': '90s', 'retries': 2, 'hook': true, 'cache': false, 'description': 'x'},\n"
    "  },\n}\n";

static void every_truncation_of_a_good_text_is_refused(void **state)
{
    char *json = case_text(big);
    size_t n = strlen(json);

    (void)state;
    for (size_t i = 0; i <= n; i++) {
        struct config *config = NULL;
        struct err err = ERR_INIT;
        char *cut = malloc(i ? i : 1); /* exactly as long, so that reading behind it shows */
        memcpy(cut, json, i);
        int code = config_parse(cut, i, "/p/kiln.json", "/p", false, &config, &err);
        if (i >= n - 1) {
            assert_int_equal(code, 0);
        } else {
            assert_int_equal(code, -ERR_CONFIG);
            assert_int_equal(strncmp(err_text(&err), "kiln.json:", 10), 0);
        }
        config_free(config);
        err_release(&err);
        free(cut);
    }
    free(json);
}

static void every_damaged_byte_of_a_good_text_is_survived(void **state)
{
    static const char damage[] = {0,    '"', '{', ']', ',',        '\\',
                                  '\n', '/', '*', '9', (char)0xff, 'a'};
    char *json = case_text(big);
    size_t n = strlen(json);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        char was = json[i];
        for (size_t k = 0; k < sizeof(damage); k++) {
            struct config *config = NULL;
            struct err err = ERR_INIT;
            json[i] = damage[k];
            int code = config_parse(json, n, "/p/kiln.json", "/p", false, &config, &err);
            assert_true(code == 0 ? config != NULL : err_text(&err)[0] != 0);
            config_free(config);
            err_release(&err);
        }
        json[i] = was;
    }
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_text_is_refused_at_its_place),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(deep_and_huge_texts_are_refused),
        cmocka_unit_test(many_defaults_times_many_steps_are_refused),
        cmocka_unit_test(every_truncation_of_a_good_text_is_refused),
        cmocka_unit_test(every_damaged_byte_of_a_good_text_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
