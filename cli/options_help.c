/*
 * options_help.c - help, made from the table that parsing reads; wrapped to 80 columns.
 */
#include "cli/options.h"

#include "cli/cli.h"

#include <string.h>

#define WIDTH 80

struct help {
    struct buf *out;
    bool color;
};

static void heading(struct help *help, const char *text)
{
    buf_addf(help->out, help->color ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

void options_wrap(struct buf *out, const char *text, size_t indent, size_t column)
{
    bool first = true;
    for (;;) {
        if (*text == '\n') {
            while (*text == '\n')
                text++;
            buf_addf(out, "\n\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        while (*text == ' ')
            text++;
        size_t n = strcspn(text, " \n");
        if (!n && !*text)
            break;
        if (!first && column + 1 + n > WIDTH) {
            buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first) {
            buf_addc(out, ' ');
            column++;
        }
        buf_add(out, text, n);
        column += n;
        text += n;
        first = false;
    }
    buf_addc(out, '\n');
}

static void wrap(struct help *help, const char *text, size_t indent, size_t column)
{
    options_wrap(help->out, text, indent, column);
}

/* "  left      text": the left in its own line when it is too long for its column. */
static void row(struct help *help, const char *left, const char *text, size_t indent)
{
    size_t n = strlen(left) + 2;
    buf_addf(help->out, "  %s", left);
    if (n + 2 > indent) {
        buf_addc(help->out, '\n');
        n = 0;
    }
    buf_addf(help->out, "%*s", (int)(indent - n), "");
    wrap(help, text, indent, indent);
}

static void option_row(struct help *help, const struct option_spec *spec)
{
    struct buf left = BUF_INIT;
    if (spec->letter)
        buf_addf(&left, "-%c, ", spec->letter);
    else
        buf_adds(&left, "    ");
    buf_addf(&left, "--%s", spec->name);
    if (spec->argument)
        buf_addf(&left, spec->optional ? "[=%s]" : "=%s", spec->argument);
    row(help, buf_str(&left), spec->help, 26);
    buf_release(&left);
}

/* The options of a command that are not every command's, or (own false) those that are. */
static void option_rows(struct help *help, unsigned bit, bool own)
{
    bool any = false;
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        if (!(spec->commands & bit) || (spec->commands == CMD_ALL) == own)
            continue;
        if (!any)
            buf_addc(help->out, '\n');
        if (!any)
            heading(help, own ? "Options" : "Options of every command");
        any = true;
        option_row(help, spec);
    }
}

static void kiln_help(struct help *help)
{
    wrap(help,
         "kiln watches a working tree and re-runs the steps of a pipeline whose inputs changed. "
         "What a step made before comes from the cache.",
         0, 0);
    buf_addc(help->out, '\n');
    heading(help, "Usage");
    buf_adds(help->out, "  kiln [COMMAND] [OPTION...] [ARGUMENT...]\n\n");
    heading(help, "Commands");
    for (size_t i = 0; i < n_commands; i++) {
        const struct command_spec *spec = &command_table[i];
        struct buf left = BUF_INIT;
        buf_addf(&left, "%s%s%s", spec->name, *spec->arguments ? " " : "", spec->arguments);
        row(help, buf_str(&left), spec->summary, 26);
        buf_release(&left);
    }
    option_rows(help, CMD_ALL, false);
    buf_addc(help->out, '\n');
    heading(help, "Exit");
    row(help, "0", "every step passed or was cached", 9);
    row(help, "1", "a step failed", 9);
    row(help, "2", "the command line or kiln.json is wrong", 9);
    row(help, "3", "kiln itself could not go on", 9);
    row(help, "128+N", "signal N ended it", 9);
    buf_adds(help->out, "\n\"kiln help COMMAND\" tells about one command and its options.\n");
}

static void command_usage(struct help *help, const struct command_spec *spec)
{
    heading(help, "Usage");
    buf_addf(help->out, "  kiln %s [OPTION...]%s%s\n\n", spec->name, *spec->arguments ? " " : "",
             spec->arguments);
    wrap(help, spec->help, 0, 0);
    if (spec->subcommands) {
        buf_addc(help->out, '\n');
        heading(help, "Commands");
    }
    for (const struct choice *c = spec->subcommands; c && c->name; c++) {
        struct buf left = BUF_INIT;
        buf_addf(&left, "kiln %s %s", spec->name, c->name);
        row(help, buf_str(&left), c->summary, 26);
        buf_release(&left);
    }
    option_rows(help, spec->bit, true);
    option_rows(help, spec->bit, false);
}

bool options_help(const char *command, bool color, struct buf *out)
{
    struct help help = {out, color};
    const struct command_spec *spec = command ? command_find(command) : NULL;
    if (command && !spec)
        return false;
    if (spec)
        command_usage(&help, spec);
    else
        kiln_help(&help);
    return true;
}
