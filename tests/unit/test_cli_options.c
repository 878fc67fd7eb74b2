/* The command line as a table of what may be typed and what comes of it, and that help tells it. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 16

static int parse(const char *line, struct options *out, struct err *err, char **copy)
{
    char *argv[MAX_WORDS + 2] = {(char *)"kiln"};
    int argc = 1;
    *copy = mem_strdup(line);
    for (char *word = strtok(*copy, " "); word && argc < MAX_WORDS; word = strtok(NULL, " "))
        argv[argc++] = strcmp(word, "''") ? word : (char *)"";
    return options_parse(argc, argv, out, err);
}

/* Everything that was understood, in one line. */
static void describe(const struct options *o, struct buf *out)
{
    buf_adds(out, o->command);
    if (o->subcommand)
        buf_addf(out, " sub=%s", o->subcommand);
    for (size_t i = 0; i < o->n_args; i++)
        buf_addf(out, " [%s]", o->args[i]);
    const struct {
        bool on;
        const char *name;
    } flags[] = {{o->help, "help"},         {o->plain, "plain"},     {o->json, "json"},
                 {o->tui, "tui"},           {o->keep_going, "keep"}, {o->dry_run, "dry"},
                 {o->no_cache, "no_cache"}, {o->rehash, "rehash"},   {o->force, "force"},
                 {o->dot, "dot"},           {o->mermaid, "mermaid"}, {o->yes, "yes"}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (flags[i].on)
            buf_addf(out, " %s", flags[i].name);
    }
    for (size_t i = 0; i < o->n_force_steps; i++)
        buf_addf(out, " force=%s", o->force_steps[i]);
    if (o->jobs)
        buf_addf(out, " jobs=%u", o->jobs);
    if (o->run_id)
        buf_addf(out, " run=%s", o->run_id);
    if (o->directory)
        buf_addf(out, " dir=%s", o->directory);
    if (o->config)
        buf_addf(out, " config=%s", o->config);
    if (o->color != WHEN_AUTO)
        buf_addf(out, " color=%d", (int)o->color);
}

static void test_good_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"", "watch"},
        {"watch", "watch"},
        {"-j4", "watch jobs=4"},
        {"--plain", "watch plain"},
        {"run", "run"},
        {"run build test", "run [build] [test]"},
        {"--json run build", "run [build] json"},
        {"run build --json", "run [build] json"},
        {"run -j4", "run jobs=4"},
        {"run -j 4", "run jobs=4"},
        {"run --jobs=4", "run jobs=4"},
        {"run --jobs 4", "run jobs=4"},
        {"-j 4 run", "run jobs=4"},
        {"run -kj8", "run keep jobs=8"},
        {"run -kn", "run keep dry"},
        {"run -j=2", "run jobs=2"},
        {"run -j2 -j3", "run jobs=3"},
        {"run -j1024", "run jobs=1024"},
        {"run --force build", "run [build] force"},
        {"run --force=build", "run force=build"},
        {"run --force=a --force=b --force", "run force force=a force=b"},
        {"run -- --force", "run [--force]"},
        {"run a -- -b --", "run [a] [-b] [--]"},
        {"-- run", "watch [run]"},
        {"run -", "run [-]"},
        {"run --no-cache --rehash --keep-going --dry-run --plain",
         "run plain keep dry no_cache rehash"},
        {"run --tui", "run tui"},
        {"run --color=always", "run color=1"},
        {"run --color never", "run color=2"},
        {"run --color=auto", "run"},
        {"-C /tmp run", "run dir=/tmp"},
        {"run -C/tmp --config k.json", "run dir=/tmp config=k.json"},
        {"run --directory=/tmp --config=a=b", "run dir=/tmp config=a=b"},
        {"plan --dot", "plan dot"},
        {"plan a --mermaid", "plan [a] mermaid"},
        {"plan --json --rehash", "plan json rehash"},
        {"explain build --json", "explain [build] json"},
        {"logs", "logs"},
        {"logs test --run 14", "logs [test] run=14"},
        {"--run=14 logs test", "logs [test] run=14"},
        {"logs --run=007", "logs run=7"},
        {"runs --json", "runs json"},
        {"cache stats", "cache sub=stats"},
        {"cache stats --json", "cache sub=stats json"},
        {"cache clear --yes", "cache sub=clear yes"},
        {"cache clear -y", "cache sub=clear yes"},
        {"schema", "schema"},
        {"version", "version"},
        {"--version", "version"},
        {"run --version", "version"},
        {"help", "help"},
        {"help run", "help [run]"},
        {"help help", "help [help]"},
        {"--help", "help help"},
        {"-h", "help help"},
        {"run --help", "help [run] help"},
        {"--help run", "help [run] help"},
        {"run build -h", "help [run] help"},
        {"explain --help", "help [explain] help"},
        {"cache --help", "help [cache] help"},
        {"cache clear --help", "help [cache] help"},
        {"help --help", "help help"},
        {"completion bash", "completion [bash]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options options;
        struct err err = ERR_INIT;
        struct buf got = BUF_INIT;
        char *copy;
        if (parse(cases[i].line, &options, &err, &copy) < 0)
            fail_msg("kiln %s: %s", cases[i].line, err_text(&err));
        describe(&options, &got);
        if (strcmp(buf_str(&got), cases[i].want) != 0)
            fail_msg("kiln %s: \"%s\", not \"%s\"", cases[i].line, buf_str(&got), cases[i].want);
        buf_release(&got);
        options_release(&options);
        free(copy);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"rnu", "there is no command \"rnu\"; did you mean \"run\"?"},
        {"xyzzy", "there is no command \"xyzzy\"; \"kiln help\" lists them (a step is run by "
                  "\"kiln run STEP\")"},
        {"''", "there is no command \"\"; \"kiln help\" lists them (a step is run by \"kiln run "
               "STEP\")"},
        {"run --jsno", "there is no option \"--jsno\"; did you mean \"--json\"?"},
        {"run --froce=build", "there is no option \"--froce\"; did you mean \"--force\"?"},
        {"run --zzzzzzzz", "there is no option \"--zzzzzzzz\"; \"kiln help\" lists them"},
        {"run --=x", "there is no option \"--\"; \"kiln help\" lists them"},
        {"run -x", "there is no such option: \"-x\"; \"kiln help\" lists them"},
        {"run -kx", "there is no such option: \"-kx\"; \"kiln help\" lists them"},
        {"run -j", "--jobs wants N after it: --jobs=N"},
        {"run --jobs", "--jobs wants N after it: --jobs=N"},
        {"run -j0", "--jobs wants a number from 1 to 1024, not \"0\""},
        {"run -j build", "--jobs wants a number from 1 to 1024, not \"build\""},
        {"run -j -1", "--jobs wants a number from 1 to 1024, not \"-1\""},
        {"run -j4x", "--jobs wants a number from 1 to 1024, not \"4x\""},
        {"run -j1025", "--jobs wants a number from 1 to 1024, not \"1025\""},
        {"run -j99999999999999999999", "--jobs wants a number from 1 to 1024, not "
                                       "\"99999999999999999999\""},
        {"run --jobs=", "--jobs wants N, which is empty here"},
        {"run --force=", "--force wants STEP, which is empty here"},
        {"-C '' run", "--directory wants DIR, which is empty here"},
        {"run --json=yes", "--json takes no value; write just --json"},
        {"run --color=alwyas", "--color does not know \"alwyas\"; did you mean \"always\"?"},
        {"run --color=blue", "--color does not know \"blue\"; it is one of auto, always, never"},
        {"run --dot", "\"kiln run\" has no option --dot; see \"kiln help run\""},
        {"--dot", "\"kiln watch\" has no option --dot; see \"kiln help watch\""},
        {"--dry-run", "\"kiln watch\" has no option --dry-run; see \"kiln help watch\""},
        {"plan --force", "\"kiln plan\" has no option --force; see \"kiln help plan\""},
        {"runs --run 3", "\"kiln runs\" has no option --run; see \"kiln help runs\""},
        {"run --plain --json", "--plain and --json exclude each other; choose one"},
        {"run --tui --plain", "--plain and --tui exclude each other; choose one"},
        {"plan --json --dot", "--json and --dot exclude each other; choose one"},
        {"plan --mermaid --dot", "--dot and --mermaid exclude each other; choose one"},
        {"run --dry-run --tui", "--dry-run and --tui exclude each other; choose one"},
        {"run --trace x --dry-run", "--dry-run and --trace exclude each other; choose one"},
        {"debug --take --diff", "--diff and --take exclude each other; choose one"},
        {"debug --run 3 s --take", "--run and --take exclude each other; choose one"},
        {"debug --run 3 --break s", "--run and --break exclude each other; choose one"},
        {"debug --diff --break-on failure", "--diff and --break-on exclude each other; choose one"},
        {"debug --take s --command ls", "--take and --command exclude each other; choose one"},
        {"logs --run x", "--run wants the number of a run (\"kiln runs\" lists them), not \"x\""},
        {"logs --run 0", "--run wants the number of a run (\"kiln runs\" lists them), not \"0\""},
        {"explain", "\"kiln explain\" wants STEP; see \"kiln help explain\""},
        {"explain a b", "\"kiln explain\" takes STEP: \"b\" is too much"},
        {"logs a b", "\"kiln logs\" takes [STEP]: \"b\" is too much"},
        {"runs 3", "\"kiln runs\" takes no arguments: \"3\" is too much"},
        {"version 3", "\"kiln version\" takes no arguments: \"3\" is too much"},
        {"cache", "\"kiln cache\" wants stats|gc|verify|clear; see \"kiln help cache\""},
        {"cache stat", "\"kiln cache\" has no \"stat\"; did you mean \"stats\"?"},
        {"cache foo", "\"kiln cache\" has no \"foo\"; it is one of stats, gc, verify, clear"},
        {"cache clear now", "\"kiln cache clear\" takes no arguments: \"now\" is too much"},
        {"bundle import a b", "\"kiln bundle import\" takes no more arguments: \"b\" is too much"},
        {"cache stats --yes", "\"kiln cache stats\" has no option --yes"},
        {"cache verify --size 1GiB", "\"kiln cache verify\" has no option --size"},
        {"cache clear --dry-run", "\"kiln cache clear\" has no option --dry-run"},
        {"cache gc --size much", "--size wants a size such as 20GiB or 500MB, not \"much\""},
        {"help rnu", "there is no command \"rnu\"; did you mean \"run\"?"},
        {"completion tcsh",
         "\"kiln completion\" does not know \"tcsh\"; it is one of bash, zsh, fish, steps"},
        {"run ''", "an argument of \"kiln run\" is empty"},
        {"run --he\x1b[31m", "there is no option \"--he\\x1b[31m\"; \"kiln help\" lists them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options options;
        struct err err = ERR_INIT;
        char *copy;
        if (parse(cases[i].line, &options, &err, &copy) == 0)
            fail_msg("kiln %s: was taken", cases[i].line);
        if (strcmp(err_text(&err), cases[i].want) != 0)
            fail_msg("kiln %s: \"%s\", not \"%s\"", cases[i].line, err_text(&err), cases[i].want);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_null(options.args);
        err_release(&err);
        free(copy);
    }
}

static void test_help_names_every_option(void **state)
{
    (void)state;
    for (size_t c = 0; c < n_commands; c++) {
        const struct command_spec *command = &command_table[c];
        struct buf text = BUF_INIT;
        char usage[80];
        assert_true(options_help(command->name, false, &text));
        snprintf(usage, sizeof usage, "  kiln %s [OPTION...]", command->name);
        assert_non_null(strstr(text.data, usage));
        for (size_t i = 0; i < OPT_N; i++) {
            const struct option_spec *spec = &option_table[i];
            char name[40];
            assert_int_equal(spec->id, i);
            snprintf(name, sizeof name, " --%s%s", spec->name,
                     !spec->argument  ? "  "
                     : spec->optional ? "[="
                                      : "=");
            if (!(spec->commands & command->bit) != !strstr(text.data, name))
                fail_msg("help %s and --%s", command->name, spec->name);
        }
        buf_release(&text);
    }
}

static void test_help_names_every_command_and_is_narrow(void **state)
{
    (void)state;
    struct buf text = BUF_INIT, all = BUF_INIT;
    assert_true(options_help(NULL, false, &text));
    for (size_t c = 0; c < n_commands; c++) {
        assert_non_null(strstr(text.data, command_table[c].name));
        assert_true(options_help(command_table[c].name, false, &all));
    }
    buf_add(&all, text.data, text.len);
    for (char *line = strtok(all.data, "\n"); line; line = strtok(NULL, "\n")) {
        if (strlen(line) > 80 || strchr(line, '\033'))
            fail_msg("help: \"%s\"", line);
    }
    assert_false(options_help("nothing", false, &text));
    buf_release(&text);
    buf_release(&all);
}

static void test_color(void **state)
{
    (void)state;
    struct options always = {.color = WHEN_ALWAYS}, never = {.color = WHEN_NEVER}, automatic = {0};
    setenv("NO_COLOR", "1", 1);
    setenv("CLICOLOR_FORCE", "1", 1);
    unsetenv("FORCE_COLOR");
    assert_true(color_wanted(&always, -1));
    assert_false(color_wanted(&automatic, -1));
    setenv("NO_COLOR", "", 1); /* empty counts as absent */
    assert_true(color_wanted(&automatic, -1));
    assert_false(color_wanted(&never, -1));
    setenv("CLICOLOR_FORCE", "0", 1);
    assert_false(color_wanted(&automatic, -1)); /* no terminal */
    setenv("FORCE_COLOR", "1", 1);
    assert_true(color_wanted(&automatic, -1));
}

static void test_ci(void **state)
{
    (void)state;
    unsetenv("CI");
    assert_false(in_ci());
    setenv("CI", "", 1);
    assert_false(in_ci());
    setenv("CI", "false", 1);
    assert_false(in_ci());
    setenv("CI", "true", 1);
    assert_true(in_ci());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_help_names_every_option),
        cmocka_unit_test(test_help_names_every_command_and_is_narrow),
        cmocka_unit_test(test_color),
        cmocka_unit_test(test_ci),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
