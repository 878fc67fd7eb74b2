/*
 * options.c - the command line, parsed by the table. Options may stand anywhere before "--"; which
 * command they belong to is known only at the end, so they are checked against it there.
 */
#include "cli/options.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define MAX_JOBS   1024 /* as kiln.json's "jobs" */
#define MAX_SHARDS 1000

struct parser {
    struct options *out;
    const struct command_spec *command;
    VEC(const char *) words; /* neither options nor their arguments */
    VEC(const char *) force;
    VEC(const char *) breaks;
    VEC(const char *) breaks_on;
    size_t literal; /* words from here on came after "--" */
    bool given[OPT_N];
    struct err *err;
};

/* What was typed, fit for a message. New string. */
static char *shown(const char *text)
{
    struct buf buf = BUF_INIT;
    size_t n = strlen(text);
    buf_add_shown(&buf, text, n > 200 ? 200 : n);
    if (n > 200)
        buf_adds(&buf, "...");
    return buf.data ? buf_detach(&buf) : mem_strdup("");
}

/* ERR_USAGE for a word that is none of the candidates: names the nearest, or what to look at. */
static int unknown(struct err *err, const char *what, const char *word,
                   const char *const *candidates, size_t n, const char *otherwise)
{
    char *text = shown(word);
    const char *near = text_nearest(word, candidates, n);
    int code = near ? err_set(err, ERR_USAGE, "%s \"%s\"; did you mean \"%s\"?", what, text, near)
                    : err_set(err, ERR_USAGE, "%s \"%s\"; %s", what, text, otherwise);
    free(text);
    return code;
}

static int unknown_choice(struct err *err, const char *what, const char *word,
                          const struct choice *choices)
{
    VEC(const char *) names = VEC_INIT;
    struct buf list = BUF_INIT;
    buf_adds(&list, "it is one of");
    for (; choices->name; choices++) {
        buf_addf(&list, "%s %s", names.n ? "," : "", choices->name);
        vec_push(&names, choices->name);
    }
    int code = unknown(err, what, word, names.v, names.n, buf_str(&list));
    vec_release(&names);
    buf_release(&list);
    return code;
}

static bool is_choice(const char *word, const struct choice *choices)
{
    for (; choices->name; choices++) {
        if (!strcmp(choices->name, word))
            return true;
    }
    return false;
}

static int unknown_option(struct parser *parser, const char *word, size_t n)
{
    char dashed[OPT_N][32];
    const char *names[OPT_N];
    for (size_t i = 0; i < OPT_N; i++) {
        snprintf(dashed[i], sizeof dashed[i], "--%s", option_table[i].name);
        names[i] = dashed[i];
    }
    char *name = mem_strndup(word, n);
    int code =
        unknown(parser->err, "there is no option", name, names, OPT_N, "\"kiln help\" lists them");
    free(name);
    return code;
}

/* A whole number from min to max in decimal digits. */
static bool parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9')
            return false;
        value = value * 10 + (uint64_t)(*c - '0');
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return value >= min;
}

static int bad_value(struct parser *parser, const struct option_spec *spec, const char *value,
                     const char *wanted)
{
    char *text = shown(value);
    int code =
        err_set(parser->err, ERR_USAGE, "--%s wants %s, not \"%s\"", spec->name, wanted, text);
    free(text);
    return code;
}

static int set_color(struct parser *parser, const struct option_spec *spec, const char *value)
{
    if (!is_choice(value, spec->values))
        return unknown_choice(parser->err, "--color does not know", value, spec->values);
    parser->out->color = !strcmp(value, "always")  ? WHEN_ALWAYS
                         : !strcmp(value, "never") ? WHEN_NEVER
                                                   : WHEN_AUTO;
    return 0;
}

static int set_on_failure(struct parser *parser, const struct option_spec *spec, const char *value)
{
    if (!is_choice(value, spec->values))
        return unknown_choice(parser->err, "--on-failure does not know", value, spec->values);
    parser->out->on_failure = value;
    return 0;
}

static int set_run(struct parser *parser, const struct option_spec *spec, const char *value)
{
    uint32_t number;
    if (!parse_number(value, 1, UINT32_MAX, &number))
        return bad_value(parser, spec, value, "the number of a run (\"kiln runs\" lists them)");
    while (*value == '0')
        value++;
    parser->out->run_id = value;
    return 0;
}

static int set_shard(struct parser *parser, const struct option_spec *spec, const char *value)
{
    struct options *out = parser->out;
    const char *slash = strchr(value, '/');
    char *first = mem_strndup(value, slash ? (size_t)(slash - value) : strlen(value));
    bool good = slash && parse_number(slash + 1, 1, MAX_SHARDS, &out->shards) &&
                parse_number(first, 1, out->shards, &out->shard);
    free(first);
    return good ? 0 : bad_value(parser, spec, value, "which of how many, such as 2/5 (up to 1000)");
}

/* Takes an option; value is NULL when it has none. */
static int take(struct parser *parser, const struct option_spec *spec, const char *value)
{
    struct options *out = parser->out;
    parser->given[spec->id] = true;
    if (value && !*value)
        return err_set(parser->err, ERR_USAGE, "--%s wants %s, which is empty here", spec->name,
                       spec->argument);
    switch (spec->id) {
    case OPT_DIRECTORY: out->directory = value; break;
    case OPT_CONFIG: out->config = value; break;
    case OPT_COLOR: return set_color(parser, spec, value);
    case OPT_HELP: out->help = true; break;
    case OPT_VERSION: break;
    case OPT_JOBS:
        if (!parse_number(value, 1, MAX_JOBS, &out->jobs))
            return bad_value(parser, spec, value, "a number from 1 to 1024");
        break;
    case OPT_FORCE:
        if (value)
            vec_push(&parser->force, value);
        else
            out->force = true;
        break;
    case OPT_KEEP_GOING: out->keep_going = true; break;
    case OPT_DRY_RUN: out->dry_run = true; break;
    case OPT_NO_CACHE: out->no_cache = true; break;
    case OPT_REHASH: out->rehash = true; break;
    case OPT_COMMAND: out->shell_command = value; break;
    case OPT_FAILED: out->failed = true; break;
    case OPT_UPDATE_IMAGES: out->update_images = true; break;
    case OPT_PLAIN: out->plain = true; break;
    case OPT_JSON: out->json = true; break;
    case OPT_TUI: out->tui = true; break;
    case OPT_SCREEN_READER: out->screen_reader = true; break;
    case OPT_DOT: out->dot = true; break;
    case OPT_SETTINGS: out->settings = true; break;
    case OPT_MERMAID: out->mermaid = true; break;
    case OPT_RUN: return set_run(parser, spec, value);
    case OPT_SPEED:
        if (!parse_number(value, 1, 1000, &out->speed))
            return bad_value(parser, spec, value, "a number from 1 to 1000");
        break;
    case OPT_SIZE:
        if (!text_parse_size(value, &out->size))
            return bad_value(parser, spec, value, "a size such as 20GiB or 500MB");
        out->size_set = true;
        break;
    case OPT_YES: out->yes = true; break;
    case OPT_CACHES:
        out->caches = true;
        out->caches_name = value;
        break;
    case OPT_LAST_PASS: out->last_pass = true; break;
    case OPT_JUNIT: out->junit = value; break;
    case OPT_TRACE: out->trace = value; break;
    case OPT_SHARD: return set_shard(parser, spec, value);
    case OPT_DURATIONS: out->durations = value; break;
    case OPT_OVERWRITE: out->overwrite = true; break;
    case OPT_BREAK: vec_push(&parser->breaks, value); break;
    case OPT_BREAK_ON: vec_push(&parser->breaks_on, value); break;
    case OPT_ON_FAILURE: return set_on_failure(parser, spec, value);
    case OPT_DIFF: out->diff = true; break;
    case OPT_TAKE: out->take = true; break;
    case OPT_OUTPUT: out->output = value; break;
    case OPT_N: break;
    }
    return 0;
}

static int missing_value(struct parser *parser, const struct option_spec *spec)
{
    return err_set(parser->err, ERR_USAGE, "--%s wants %s after it: --%s=%s", spec->name,
                   spec->argument, spec->name, spec->argument);
}

/* word is "--name" or "--name=value"; next is the word behind it, or NULL. */
static int long_option(struct parser *parser, const char *word, const char *next, bool *used_next)
{
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const struct option_spec *spec = NULL;
    for (size_t i = 0; i < OPT_N && !spec; i++) {
        if (strlen(option_table[i].name) == n - 2 && !memcmp(option_table[i].name, word + 2, n - 2))
            spec = &option_table[i];
    }
    if (!spec)
        return unknown_option(parser, word, n);
    if (!spec->argument && equals)
        return err_set(parser->err, ERR_USAGE, "--%s takes no value; write just --%s", spec->name,
                       spec->name);
    if (equals)
        return take(parser, spec, equals + 1);
    if (!spec->argument || spec->optional)
        return take(parser, spec, NULL);
    if (!next)
        return missing_value(parser, spec);
    *used_next = true;
    return take(parser, spec, next);
}

/* word is "-abc": letters without argument, the last may have one, here or in the next word. */
static int short_options(struct parser *parser, const char *word, const char *next, bool *used_next)
{
    for (const char *c = word + 1; *c; c++) {
        const struct option_spec *spec = NULL;
        for (size_t i = 0; i < OPT_N && !spec; i++) {
            if (option_table[i].letter == *c)
                spec = &option_table[i];
        }
        if (!spec) {
            char *text = shown(word);
            int code = err_set(parser->err, ERR_USAGE,
                               "there is no such option: \"%s\"; \"kiln help\" lists them", text);
            free(text);
            return code;
        }
        if (!spec->argument) {
            int code = take(parser, spec, NULL);
            if (code < 0)
                return code;
            continue;
        }
        if (c[1])
            return take(parser, spec, c[1] == '=' ? c + 2 : c + 1);
        if (!next)
            return missing_value(parser, spec);
        *used_next = true;
        return take(parser, spec, next);
    }
    return 0;
}

static int scan(struct parser *parser, int argc, char **argv)
{
    parser->literal = SIZE_MAX;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used_next = false;
        int code = 0;
        if (parser->literal != SIZE_MAX || word[0] != '-' || !word[1])
            vec_push(&parser->words, word);
        else if (!strcmp(word, "--"))
            parser->literal = parser->words.n;
        else if (word[1] == '-')
            code = long_option(parser, word, next, &used_next);
        else
            code = short_options(parser, word, next, &used_next);
        if (code < 0)
            return code;
        i += used_next;
    }
    return 0;
}

static int no_command(struct parser *parser, const char *word)
{
    VEC(const char *) names = VEC_INIT;
    for (size_t i = 0; i < n_commands; i++)
        vec_push(&names, command_table[i].name);
    int code = unknown(parser->err, "there is no command", word, names.v, names.n,
                       "\"kiln help\" lists them (a step is run by \"kiln run STEP\")");
    vec_release(&names);
    return code;
}

/* The first word is the command, unless it came after "--". Takes it, and the subcommand, off the
 * words. */
static int find_command(struct parser *parser, size_t *used)
{
    struct options *out = parser->out;
    *used = 0;
    out->command = "watch";
    if (parser->words.n && parser->literal > 0) {
        out->command = parser->words.v[0];
        *used = 1;
    }
    parser->command = command_find(out->command);
    if (!parser->command)
        return no_command(parser, out->command);
    if (parser->command->subcommands && parser->words.n > 1 && *used) {
        const char *word = parser->words.v[1];
        if (!is_choice(word, parser->command->subcommands)) {
            char *what = mem_printf("\"kiln %s\" has no", out->command);
            int code = unknown_choice(parser->err, what, word, parser->command->subcommands);
            free(what);
            return code;
        }
        out->subcommand = word;
        *used = 2;
    }
    return 0;
}

/* -- what fits together ------------------------------------------------------------------------ */

/* None of these with any of the others; without others: one of these at most. */
#define ONE(option) (UINT64_C(1) << OPT_##option)
static const struct {
    uint64_t these, others;
} apart[] = {
    {ONE(PLAIN) | ONE(JSON) | ONE(TUI), 0},
    {ONE(JSON) | ONE(DOT) | ONE(MERMAID), 0},
    {ONE(DRY_RUN), ONE(TUI) | ONE(JUNIT) | ONE(TRACE)},
    {ONE(RUN) | ONE(DIFF) | ONE(TAKE), 0},
    {ONE(RUN) | ONE(DIFF) | ONE(TAKE), ONE(BREAK) | ONE(BREAK_ON) | ONE(ON_FAILURE)},
    {ONE(DIFF) | ONE(TAKE), ONE(COMMAND)},
};

_Static_assert(OPT_N <= 64, "a set of options is one word");

static uint64_t given_of(const struct parser *parser, uint64_t set)
{
    uint64_t given = 0;
    for (size_t i = 0; i < OPT_N; i++)
        given |= parser->given[i] ? set & UINT64_C(1) << i : 0;
    return given;
}

static int check_apart(struct parser *parser)
{
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        uint64_t first = given_of(parser, apart[i].these);
        uint64_t second = apart[i].others ? given_of(parser, apart[i].others) : first & (first - 1);
        if (first && second)
            return err_set(parser->err, ERR_USAGE, "--%s and --%s exclude each other; choose one",
                           option_table[__builtin_ctzll(first)].name,
                           option_table[__builtin_ctzll(second)].name);
    }
    return 0;
}

static int check_options(struct parser *parser)
{
    const struct options *out = parser->out;
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        if (parser->given[i] && !(spec->commands & parser->command->bit))
            return err_set(parser->err, ERR_USAGE,
                           "\"kiln %s\" has no option --%s; see \"kiln help %s\"", out->command,
                           spec->name, out->command);
    }
    if (check_apart(parser) < 0)
        return -ERR_USAGE;
    if (out->run_id && parser->command->bit == CMD_EXPLAIN && !out->last_pass)
        return err_set(parser->err, ERR_USAGE, "--run goes with --last-pass");
    if (out->durations && !out->shards)
        return err_set(parser->err, ERR_USAGE, "--durations goes with --shard");
    static const struct {
        enum option_id id;
        unsigned command;
        const char *subcommand;
    } of_one[] = {{OPT_YES, CMD_CACHE, "clear"},     {OPT_CACHES, CMD_CACHE, "clear"},
                  {OPT_DRY_RUN, CMD_CACHE, "gc"},    {OPT_SIZE, CMD_CACHE, "gc"},
                  {OPT_DRY_RUN, CMD_HOOK, "run"},    {OPT_PLAIN, CMD_HOOK, "run"},
                  {OPT_KEEP_GOING, CMD_HOOK, "run"}, {OPT_JOBS, CMD_HOOK, "run"}};
    for (size_t i = 0; i < sizeof of_one / sizeof *of_one; i++) {
        if (parser->given[of_one[i].id] && out->subcommand &&
            of_one[i].command == parser->command->bit &&
            strcmp(out->subcommand, of_one[i].subcommand) != 0)
            return err_set(parser->err, ERR_USAGE, "\"kiln %s %s\" has no option --%s",
                           out->command, out->subcommand, option_table[of_one[i].id].name);
    }
    return 0;
}

static int check_arguments(struct parser *parser)
{
    const struct options *out = parser->out;
    const struct command_spec *command = parser->command;
    size_t n = out->n_args + (out->subcommand != NULL);
    if (n < command->min_args && !out->failed) /* with it kiln finds out which step is meant */
        return err_set(parser->err, ERR_USAGE, "\"kiln %s\" wants %s; see \"kiln help %s\"",
                       out->command, command->arguments, out->command);
    if (n > command->max_args) {
        char *text = shown(out->args[out->n_args - (n - command->max_args)]);
        const char *takes = command->max_args == (out->subcommand != NULL) ? "no arguments"
                            : out->subcommand                              ? "no more arguments"
                                                                           : command->arguments;
        int code = err_set(parser->err, ERR_USAGE, "\"kiln %s%s%s\" takes %s: \"%s\" is too much",
                           out->command, out->subcommand ? " " : "",
                           out->subcommand ? out->subcommand : "", takes, text);
        free(text);
        return code;
    }
    if (command->values && !is_choice(out->args[0], command->values)) {
        char *what = mem_printf("\"kiln %s\" does not know", out->command);
        int code = unknown_choice(parser->err, what, out->args[0], command->values);
        free(what);
        return code;
    }
    if (command->bit == CMD_HELP && out->n_args && !command_find(out->args[0]))
        return no_command(parser, out->args[0]);
    for (size_t i = 0; i < out->n_args; i++) {
        if (!*out->args[i])
            return err_set(parser->err, ERR_USAGE, "an argument of \"kiln %s\" is empty",
                           out->command);
    }
    return 0;
}

/* --help and --version are the commands of these names, however they were asked for. */
static void redirect(struct parser *parser, size_t used)
{
    struct options *out = parser->out;
    bool version = parser->given[OPT_VERSION] && !out->help;
    bool topic = !version && used && strcmp(out->command, "help") != 0;
    const char *command = out->command;
    out->command = version ? "version" : "help";
    out->subcommand = NULL;
    out->n_args = 0;
    parser->command = command_find(out->command);
    if (topic) {
        out->args = mem_realloc(out->args, 1, sizeof *out->args);
        out->args[out->n_args++] = command;
    }
}

static int parse(struct parser *parser, int argc, char **argv)
{
    struct options *out = parser->out;
    size_t used;
    int code = scan(parser, argc, argv);
    if (code == 0)
        code = find_command(parser, &used);
    if (code < 0)
        return code;
    out->n_args = parser->words.n - used;
    out->args = mem_alloc((out->n_args + 1) * sizeof *out->args);
    for (size_t i = 0; i < out->n_args; i++)
        out->args[i] = parser->words.v[used + i];
    out->force_steps = parser->force.v;
    out->n_force_steps = parser->force.n;
    out->breaks = parser->breaks.v;
    out->n_breaks = parser->breaks.n;
    out->breaks_on = parser->breaks_on.v;
    out->n_breaks_on = parser->breaks_on.n;
    parser->force.v = parser->breaks.v = parser->breaks_on.v = NULL;
    code = check_options(parser);
    if (code < 0)
        return code;
    if (parser->given[OPT_HELP] || parser->given[OPT_VERSION]) {
        redirect(parser, used);
        return 0;
    }
    return check_arguments(parser);
}

int options_parse(int argc, char **argv, struct options *out, struct err *err)
{
    *out = (struct options){.command = "watch"};
    struct parser parser = {.out = out,
                            .words = VEC_INIT,
                            .force = VEC_INIT,
                            .breaks = VEC_INIT,
                            .breaks_on = VEC_INIT,
                            .err = err};
    int code = parse(&parser, argc, argv);
    vec_release(&parser.words);
    vec_release(&parser.force);
    vec_release(&parser.breaks);
    vec_release(&parser.breaks_on);
    if (code < 0)
        options_release(out);
    return code;
}

void options_release(struct options *options)
{
    free(options->args);
    free(options->force_steps);
    free(options->breaks);
    free(options->breaks_on);
    options->args = options->force_steps = options->breaks = options->breaks_on = NULL;
    options->n_args = options->n_force_steps = options->n_breaks = options->n_breaks_on = 0;
}
