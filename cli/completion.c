/*
 * completion.c - kiln completion: shell scripts made from the table of commands and options.
 *
 * The scripts hold only words; names of steps are asked for when they are needed, from
 * "kiln completion steps", which reads kiln.json and runs nothing.
 */
#include "cli/options.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The words before the cursor, but for kiln itself. */
#define BASH_WORDS "${COMP_WORDS[@]:1:COMP_CWORD-1}"
#define ZSH_WORDS  "${(@)words[2,CURRENT-1]}"

/* In single quotes, as fish has them. */
static void add_quoted_fish(struct buf *out, const char *text)
{
    buf_addc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
    buf_addc(out, '\'');
}

static void add_option_words(struct buf *out, unsigned bit)
{
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        if (!(spec->commands & bit))
            continue;
        buf_addf(out, " --%s%s", spec->name, spec->argument && !spec->optional ? "=" : "");
        if (spec->letter)
            buf_addf(out, " -%c", spec->letter);
    }
}

static const struct choice *first_words(const struct command_spec *spec)
{
    return spec->subcommands ? spec->subcommands : spec->values;
}

/* What follows the subcommand, or NULL. */
static const struct choice *second_words(const struct command_spec *spec)
{
    return !spec->subcommands ? NULL : spec->then ? spec->then : spec->values;
}

static void add_names(struct buf *out, const struct choice *choices, const char *between)
{
    for (const struct choice *c = choices; c->name; c++)
        buf_addf(out, "%s%s", c == choices ? "" : between, c->name);
}

/* Whether files may be meant where no other word fits. */
static bool takes_files(const struct command_spec *spec)
{
    if (spec->takes_steps || spec->bit == CMD_HELP)
        return spec->bit == CMD_DEBUG; /* --take STEP PATH... */
    return spec->max_args > (first_words(spec) ? 1 : 0) && !second_words(spec);
}

enum value { VALUE_NONE, VALUE_OTHER, VALUE_FILE, VALUE_STEP, VALUE_CHOICE };

/* What an option wants behind it, which may be behind a blank. */
static enum value value_of(const struct option_spec *spec)
{
    if (!spec->argument)
        return VALUE_NONE;
    if (!strcmp(spec->argument, "STEP"))
        return VALUE_STEP;
    if (spec->optional)
        return VALUE_NONE;
    if (spec->values)
        return VALUE_CHOICE;
    return !strcmp(spec->argument, "FILE") || !strcmp(spec->argument, "DIR") ? VALUE_FILE
                                                                             : VALUE_OTHER;
}

/* Where one of the subcommands stands among the words already, begins what holds then. */
static void add_subcommand(struct buf *out, const struct command_spec *spec, const char *words)
{
    buf_addf(out, "        for word in \"%s\"; do case $word in ", words);
    add_names(out, spec->subcommands, "|");
    buf_adds(out, ") ");
}

/* Looks for the command among the words before the cursor, and begins the branches for it. */
static void add_command(struct buf *out, const char *words)
{
    buf_addf(out,
             "    for word in \"%s\"; do\n"
             "        case $word in\n"
             "        -*) ;;\n"
             "        ",
             words);
    for (size_t i = 0; i < n_commands; i++)
        buf_addf(out, "%s%s", i ? "|" : "", command_table[i].name);
    buf_adds(out, ") command=$word; break ;;\n"
                  "        esac\n"
                  "    done\n"
                  "    case $command in\n");
}

/* -- bash -------------------------------------------------------------------------------------- */

/* The patterns of all options that want such a value, and what there is for it. */
static void add_bash_values(struct buf *out, enum value value, const char *then)
{
    const char *between = "    ";
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        if (value_of(spec) != value)
            continue;
        buf_addf(out, "%s--%s", between, spec->name);
        if (spec->letter)
            buf_addf(out, "|-%c", spec->letter);
        between = "|";
        if (value == VALUE_CHOICE) {
            buf_adds(out, ") words='");
            add_names(out, spec->values, " ");
            buf_adds(out, "' ;;\n");
            between = "    ";
        }
    }
    if (value != VALUE_CHOICE)
        buf_addf(out, ") %s ;;\n", then);
}

static void add_bash(struct buf *out)
{
    buf_adds(out, "_kiln() {\n"
                  "    local current=${COMP_WORDS[COMP_CWORD]} given=${COMP_WORDS[COMP_CWORD-1]}\n"
                  "    local command= word options words= files=\n");
    add_command(out, BASH_WORDS);
    for (size_t i = 0; i < n_commands; i++) {
        const struct command_spec *spec = &command_table[i];
        buf_addf(out, "    %s)\n        options='", spec->name);
        add_option_words(out, spec->bit);
        buf_adds(out, "'\n");
        if (spec->takes_steps)
            buf_adds(out, "        words=$(kiln completion steps 2>/dev/null)\n");
        if (first_words(spec)) {
            buf_adds(out, "        words='");
            add_names(out, first_words(spec), " ");
            buf_adds(out, "'\n");
        }
        if (second_words(spec)) {
            add_subcommand(out, spec, BASH_WORDS);
            buf_adds(out, "words='");
            add_names(out, second_words(spec), " ");
            buf_adds(out, "' ;; esac; done\n");
        }
        if (takes_files(spec))
            buf_adds(out, "        files=1\n");
        if (spec->bit == CMD_HELP) {
            buf_adds(out, "        words='");
            for (size_t k = 0; k < n_commands; k++)
                buf_addf(out, " %s", command_table[k].name);
            buf_adds(out, "'\n");
        }
        buf_adds(out, "        ;;\n");
    }
    buf_adds(out, "    *)\n        options='");
    add_option_words(out, CMD_ALL);
    buf_adds(out, "'\n        words='");
    for (size_t i = 0; i < n_commands; i++)
        buf_addf(out, " %s", command_table[i].name);
    buf_adds(out, "'\n        ;;\n    esac\n"
                  "    if [[ $current == -* ]]; then words=$options; fi\n"
                  "    if [[ $current == = ]]; then current=\n"
                  "    elif [[ $given == = ]]; then given=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                  "    case $given in\n");
    add_bash_values(out, VALUE_FILE, "words= files=1");
    add_bash_values(out, VALUE_STEP, "words=$(kiln completion steps 2>/dev/null)");
    add_bash_values(out, VALUE_CHOICE, NULL);
    add_bash_values(out, VALUE_OTHER, "return");
    buf_adds(out, "    esac\n"
                  "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                  "    if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi\n"
                  "    if [[ $files && -z ${COMPREPLY[*]} ]]; then\n"
                  "        compopt -o filenames 2>/dev/null\n"
                  "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
                  "    fi\n"
                  "}\n"
                  "complete -F _kiln kiln\n");
}

/* -- zsh --------------------------------------------------------------------------------------- */

/* "name:what it does" for _describe, quoted. */
static void add_described(struct buf *out, const char *name, const char *text)
{
    struct buf both = BUF_INIT;
    buf_addf(&both, "%s:%s", name, text ? text : "");
    buf_addc(out, ' ');
    buf_add_quoted(out, buf_str(&both));
    buf_release(&both);
}

/* Those that want a value are apart: no blank is to stand behind their "=". */
static void add_zsh_options(struct buf *out, unsigned bit)
{
    for (int valued = 0; valued <= 1; valued++) {
        buf_adds(out, valued ? "        valued=(" : "        plain=(");
        for (size_t i = 0; i < OPT_N; i++) {
            const struct option_spec *spec = &option_table[i];
            struct buf name = BUF_INIT;
            if (!(spec->commands & bit) || (spec->argument && !spec->optional) != valued)
                continue;
            buf_addf(&name, "--%s%s", spec->name, valued ? "=" : "");
            add_described(out, buf_str(&name), spec->help);
            if (spec->letter) {
                char letter[] = {'-', spec->letter, '\0'};
                add_described(out, letter, spec->help);
            }
            buf_release(&name);
        }
        buf_adds(out, ")\n");
    }
}

static void add_zsh_words(struct buf *out, const struct command_spec *spec)
{
    if (spec->takes_steps)
        buf_adds(out, "        choices=(${(f)\"$(kiln completion steps 2>/dev/null)\"})\n");
    if (first_words(spec) || spec->bit == CMD_HELP)
        buf_adds(out, "        choices=(");
    for (const struct choice *c = first_words(spec); c && c->name; c++)
        add_described(out, c->name, c->summary);
    for (size_t i = 0; i < n_commands && spec->bit == CMD_HELP; i++)
        add_described(out, command_table[i].name, command_table[i].summary);
    if (first_words(spec) || spec->bit == CMD_HELP)
        buf_adds(out, ")\n");
    if (takes_files(spec))
        buf_adds(out, "        files=1\n");
    if (second_words(spec)) {
        add_subcommand(out, spec, ZSH_WORDS);
        buf_adds(out, "choices=(");
        add_names(out, second_words(spec), " ");
        buf_adds(out, ") ;; esac; done\n");
    }
}

/* What there is behind the "=" of options, but for files. */
static void add_zsh_values(struct buf *out)
{
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        enum value value = value_of(spec);
        if (value != VALUE_CHOICE && value != VALUE_STEP)
            continue;
        buf_addf(out, "    --%s=*) compset -P '*='; compadd -- ", spec->name);
        if (value == VALUE_CHOICE)
            add_names(out, spec->values, " ");
        else
            buf_adds(out, "${(f)\"$(kiln completion steps 2>/dev/null)\"}");
        buf_adds(out, "; return ;;\n");
    }
}

static void add_zsh(struct buf *out)
{
    buf_adds(out, "#compdef kiln\n"
                  "_kiln() {\n"
                  "    local command= word files=\n"
                  "    local -a plain valued choices\n");
    add_command(out, ZSH_WORDS);
    for (size_t i = 0; i < n_commands; i++) {
        buf_addf(out, "    %s)\n", command_table[i].name);
        add_zsh_options(out, command_table[i].bit);
        add_zsh_words(out, &command_table[i]);
        buf_adds(out, "        ;;\n");
    }
    buf_adds(out, "    *)\n");
    add_zsh_options(out, CMD_ALL);
    buf_adds(out, "        choices=(");
    for (size_t i = 0; i < n_commands; i++)
        add_described(out, command_table[i].name, command_table[i].summary);
    buf_adds(out, ")\n        ;;\n    esac\n"
                  "    case $PREFIX in\n");
    add_zsh_values(out);
    buf_adds(out, "    --*=*) compset -P '*='; _files; return ;;\n"
                  "    esac\n"
                  "    if [[ $PREFIX == -* ]]; then\n"
                  "        _describe -o option plain -- valued -S ''\n"
                  "    else\n"
                  "        _describe word choices || { [[ -n $files ]] && _files }\n"
                  "    fi\n"
                  "}\n"
                  "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
                  "    _kiln \"$@\"\n"
                  "else\n"
                  "    compdef _kiln kiln\n"
                  "fi\n");
}

/* -- fish -------------------------------------------------------------------------------------- */

static void add_fish_option(struct buf *out, const struct option_spec *spec)
{
    buf_adds(out, "complete -c kiln");
    if (spec->commands != CMD_ALL) {
        buf_adds(out, " -n '__kiln_is");
        for (size_t i = 0; i < n_commands; i++) {
            if (spec->commands & command_table[i].bit)
                buf_addf(out, " %s", command_table[i].name);
        }
        buf_adds(out, "'");
    }
    buf_addf(out, " -l %s", spec->name);
    if (spec->letter)
        buf_addf(out, " -s %c", spec->letter);
    enum value value = value_of(spec);
    if (spec->argument && !spec->optional)
        buf_adds(out, value == VALUE_FILE ? " -r -F" : " -r");
    if (value == VALUE_STEP)
        buf_adds(out, " -f -a '(kiln completion steps 2>/dev/null)'");
    if (value == VALUE_CHOICE) {
        buf_adds(out, " -f -a '");
        for (const struct choice *c = spec->values; c->name; c++)
            buf_addf(out, "%s%s", c == spec->values ? "" : " ", c->name);
        buf_adds(out, "'");
    }
    buf_adds(out, " -d ");
    add_quoted_fish(out, spec->help);
    buf_addc(out, '\n');
}

static void add_fish(struct buf *out)
{
    buf_adds(out, "complete -c kiln -f\n"
                  "function __kiln_is\n"
                  "    for word in (commandline -opc)[2..-1]\n"
                  "        contains -- $word");
    for (size_t i = 0; i < n_commands; i++)
        buf_addf(out, " %s", command_table[i].name);
    buf_adds(out, "; or continue\n"
                  "        contains -- $word $argv\n"
                  "        return\n"
                  "    end\n"
                  "    return 1\n"
                  "end\n");
    for (size_t i = 0; i < n_commands; i++) {
        const struct command_spec *spec = &command_table[i];
        buf_addf(out, "complete -c kiln -n __fish_use_subcommand -a %s -d ", spec->name);
        add_quoted_fish(out, spec->summary);
        buf_addc(out, '\n');
        if (spec->takes_steps)
            buf_addf(out,
                     "complete -c kiln -n '__kiln_is %s' -a "
                     "'(kiln completion steps 2>/dev/null)'\n",
                     spec->name);
        else if (takes_files(spec) && !first_words(spec))
            buf_addf(out, "complete -c kiln -n '__kiln_is %s' -F\n", spec->name);
        else if (takes_files(spec)) {
            buf_addf(out, "complete -c kiln -n '__kiln_is %s; and __fish_seen_subcommand_from ",
                     spec->name);
            add_names(out, first_words(spec), " ");
            buf_adds(out, "' -F\n");
        }
        for (const struct choice *c = first_words(spec); c && c->name; c++) {
            buf_addf(out, "complete -c kiln -n '__kiln_is %s", spec->name);
            if (second_words(spec)) {
                buf_adds(out, "; and not __fish_seen_subcommand_from ");
                add_names(out, spec->subcommands, " ");
            }
            buf_addf(out, "' -a %s\n", c->name);
        }
        for (const struct choice *c = second_words(spec); c && c->name; c++) {
            buf_addf(out, "complete -c kiln -n '__kiln_is %s; and __fish_seen_subcommand_from ",
                     spec->name);
            add_names(out, spec->subcommands, " ");
            buf_addf(out, "' -a %s\n", c->name);
        }
    }
    for (size_t i = 0; i < OPT_N; i++)
        add_fish_option(out, &option_table[i]);
}

/* -- the command ------------------------------------------------------------------------------- */

/* Names that a shell would take apart are left out. */
static int add_steps(const struct options *options, struct buf *out)
{
    struct app app;
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    if (app_open(&app, options, APP_CONFIG, &err) < 0) {
        complain(options, err_text(&err));
        code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
    }
    for (size_t i = 0; app.config && i < app.config->n_steps; i++) {
        const char *name = app.config->steps[i].name.text;
        if (!strpbrk(name, " \t\n\"'$`\\*?[]{}()<>|&;!#~"))
            buf_addf(out, "%s\n", name);
    }
    err_release(&err);
    app_close(&app);
    return code;
}

int command_completion(const struct options *options)
{
    struct buf out = BUF_INIT;
    const char *what = options->args[0];
    int code = EXIT_OK;
    if (!strcmp(what, "bash"))
        add_bash(&out);
    else if (!strcmp(what, "zsh"))
        add_zsh(&out);
    else if (!strcmp(what, "fish"))
        add_fish(&out);
    else
        code = add_steps(options, &out);
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return output_end(options, code);
}
