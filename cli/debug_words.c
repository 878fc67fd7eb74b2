/* debug_words.c - the commands that kiln debug reads line by line: a table of them. */
#include "cli/debug_line_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

enum argument { ARG_NONE, ARG_STEP, ARG_TEXT };

static void do_order(struct debug_line *line, const struct held *held, enum command_type type)
{
    if (type == COMMAND_SKIP && held->passed)
        fputs("it has passed: there is nothing to skip; continue goes on\n", line->out);
    else
        debug_line_order(line, type, held->step);
}

static void do_abort(struct debug_line *line, const struct held *held, const char *text)
{
    (void)held;
    (void)text;
    debug_line_order(line, COMMAND_ABORT, NULL);
}

static void do_shell(struct debug_line *line, const struct held *held, const char *text)
{
    const char *command = line->debugging->options->shell_command;
    debug_line_shell(line, held, *text ? text : command);
}

static void do_diff(struct debug_line *line, const struct held *held, const char *text)
{
    (void)text;
    debug_line_kiln(line, false, (const char *const[]){"debug", held->step, "--diff", NULL});
}

/* [STEP] [PATH...] */
static void do_take(struct debug_line *line, const struct held *held, const char *text)
{
    VEC(const char *) arguments = VEC_INIT;
    char *paths = mem_strdup(text), *rest = NULL, *path = strtok_r(paths, " \t", &rest);
    const struct held *named = path ? debug_line_find(line, path) : NULL;
    if (named)
        path = strtok_r(NULL, " \t", &rest);
    vec_push(&arguments, "debug");
    vec_push(&arguments, (named ? named : held)->step);
    vec_push(&arguments, "--take");
    for (; path; path = strtok_r(NULL, " \t", &rest))
        vec_push(&arguments, path);
    vec_push(&arguments, NULL);
    debug_line_kiln(line, false, arguments.v);
    vec_release(&arguments);
    free(paths);
}

/* The rule that was written: a condition, or else a step. */
static void set_rule(struct debug_line *line, const char *text, bool step)
{
    struct break_rules rules = {0};
    struct err err = ERR_INIT;
    int rc =
        step ? break_rules_add_step(&rules, text, &err) : break_rules_add(&rules, text, NULL, &err);
    if (rc == 0)
        line->control->send(line->control->ctx,
                            &(struct command){.type = COMMAND_BREAK, .rule = rules.v.v[0].text});
    else
        fprintf(line->out, "%s\n", err_text(&err));
    break_rules_release(&rules);
    err_release(&err);
}

static void do_break(struct debug_line *line, const struct held *held, const char *text)
{
    (void)held;
    set_rule(line, text, true);
}

static void do_break_on(struct debug_line *line, const struct held *held, const char *text)
{
    (void)held;
    set_rule(line, text, false);
}

static void do_unbreak(struct debug_line *line, const struct held *held, const char *text)
{
    (void)held;
    if (!break_rules_find(&line->debugging->rules, text)) {
        fputs("there is no such rule; breaks lists them\n", line->out);
        return;
    }
    line->control->send(line->control->ctx,
                        &(struct command){.type = COMMAND_UNBREAK, .rule = text});
}

static void do_breaks(struct debug_line *line, const struct held *held, const char *text)
{
    const struct break_rules *rules = &line->debugging->rules;
    (void)held;
    (void)text;
    for (size_t i = 0; i < rules->v.n; i++)
        fprintf(line->out, "  %s\n", rules->v.v[i].text);
    if (!rules->v.n)
        fputs("  nothing is to be held\n", line->out);
}

static void do_help(struct debug_line *line, const struct held *held, const char *text);

/* An order to the engine, or something shown of the step, or a function. */
static const struct word {
    const char *name;
    enum argument argument;
    const char *help;
    enum command_type order;
    void (*show)(FILE *out, const struct control *control, const char *step);
    void (*run)(struct debug_line *line, const struct held *held, const char *text);
} words[] = {
    {"continue", ARG_STEP, "go on: it starts, or ends as it did", COMMAND_CONTINUE, NULL, NULL},
    {"retry", ARG_STEP, "run it, again where it has ended; take what you changed in its box first",
     COMMAND_RETRY, NULL, NULL},
    {"skip", ARG_STEP, "leave it out of this run, and what depends on it", COMMAND_SKIP, NULL,
     NULL},
    {"next", ARG_STEP, "go on, and hold the next step before it starts", COMMAND_STEP, NULL, NULL},
    {"abort", ARG_NONE, "cancel everything", 0, NULL, do_abort},
    {"shell", ARG_TEXT, "a shell where it runs, or a COMMAND there", 0, NULL, do_shell},
    {"show", ARG_STEP, "its command, environment, key, and what changed", 0, debug_show, NULL},
    {"log", ARG_STEP, "what it wrote last", 0, debug_log, NULL},
    {"inputs", ARG_STEP, "the files that it reads", 0, debug_inputs, NULL},
    {"why", ARG_STEP, "what changed since it last passed", 0, debug_why, NULL},
    {"diff", ARG_STEP, "what was changed in the box that its failure left", 0, NULL, do_diff},
    {"take", ARG_TEXT, "take that into the working tree, or only what lies at PATH...", 0, NULL,
     do_take},
    {"break", ARG_TEXT, "hold STEP before it starts, STEP:after when it has ended", 0, NULL,
     do_break},
    {"break-on", ARG_TEXT, "hold on failure, key-changed, duration>30s, output~WORDS, each @STEP",
     0, NULL, do_break_on},
    {"unbreak", ARG_TEXT, "take a rule away", 0, NULL, do_unbreak},
    {"breaks", ARG_NONE, "the rules that there are", 0, NULL, do_breaks},
    {"help", ARG_NONE, "this list", 0, NULL, do_help},
};
#define N_WORDS (sizeof words / sizeof *words)

static void do_help(struct debug_line *line, const struct held *held, const char *text)
{
    (void)held;
    (void)text;
    for (size_t i = 0; i < N_WORDS; i++)
        fprintf(line->out, "  %-9s %s\n", words[i].name, words[i].help);
    fputs("At the end of input all goes on without more pauses.\n", line->out);
}

static void unknown_word(struct debug_line *line, const char *word)
{
    const char *names[N_WORDS];
    struct buf shown = BUF_INIT;
    for (size_t i = 0; i < N_WORDS; i++)
        names[i] = words[i].name;
    const char *near = text_nearest(word, names, N_WORDS);
    buf_add_shown(&shown, word, strlen(word));
    if (near)
        fprintf(line->out, "there is no command \"%s\"; did you mean \"%s\"?\n", buf_str(&shown),
                near);
    else
        fprintf(line->out, "there is no command \"%s\"; help lists them\n", buf_str(&shown));
    buf_release(&shown);
}

static void not_held(struct debug_line *line, const char *step)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, step, strlen(step));
    fprintf(line->out, "%s is not held\n", buf_str(&shown));
    buf_release(&shown);
}

void debug_line_obey(struct debug_line *line, char *text)
{
    size_t n = strcspn(text, " \t"), i = 0;
    char *rest = text + n + strspn(text + n, " \t");
    text[n] = '\0';
    while (i < N_WORDS && strcmp(words[i].name, text) != 0)
        i++;
    const struct held *held =
        debug_line_find(line, i < N_WORDS && words[i].argument == ARG_STEP && *rest ? rest : NULL);
    if (i == N_WORDS)
        unknown_word(line, text);
    else if (!held)
        not_held(line, rest);
    else if (words[i].argument == ARG_NONE && *rest)
        fprintf(line->out, "%s takes nothing behind it\n", text);
    else if (words[i].run)
        words[i].run(line, held, rest);
    else if (words[i].show)
        words[i].show(line->out, line->control, held->step);
    else
        do_order(line, held, words[i].order);
    fflush(line->out);
}
