/* man.c - kiln(1) (see man.h). */
#include "cli/man.h"

#include "base/roff.h"
#include "cli/options.h"

#include <string.h>

static void add_item(struct buf *out, const char *macro, const char *text)
{
    buf_addf(out, ".It %s ", macro);
    roff_argument(out, text);
    buf_addc(out, '\n');
}

static void add_option(struct buf *out, const struct option_spec *spec)
{
    buf_adds(out, ".It ");
    if (spec->letter)
        buf_addf(out, "Fl %c , ", spec->letter);
    buf_adds(out, "Fl ");
    struct buf name = BUF_INIT;
    buf_addf(&name, "-%s", spec->name);
    roff_argument(out, buf_str(&name));
    buf_release(&name);
    if (spec->argument) {
        buf_adds(out, spec->optional ? " Ns Oo = Ns Ar " : " Ns = Ns Ar ");
        roff_argument(out, spec->argument);
        buf_adds(out, spec->optional ? " Oc" : "");
    }
    buf_addc(out, '\n');
    roff_text(out, spec->help);
}

/* Of that command alone and some others, or (own false) of every command. */
static void add_options(struct buf *out, unsigned bit, bool own)
{
    bool any = false;
    for (size_t i = 0; i < OPT_N; i++) {
        const struct option_spec *spec = &option_table[i];
        if (!(spec->commands & bit) || (spec->commands == CMD_ALL) == own)
            continue;
        if (!any)
            buf_adds(out, ".Bl -tag -width Ds\n");
        any = true;
        add_option(out, spec);
    }
    if (any)
        buf_adds(out, ".El\n");
}

static void add_command(struct buf *out, const struct command_spec *spec)
{
    buf_adds(out, ".Ss ");
    struct buf usage = BUF_INIT;
    buf_addf(&usage, "kiln %s%s%s", spec->name, *spec->arguments ? " " : "", spec->arguments);
    roff_argument(out, buf_str(&usage));
    buf_release(&usage);
    buf_addc(out, '\n');
    roff_text(out, spec->help);
    if (spec->subcommands) {
        buf_adds(out, ".Bl -tag -width Ds\n");
        for (const struct choice *c = spec->subcommands; c->name; c++) {
            add_item(out, "Cm", c->name);
            roff_text(out, c->summary);
        }
        buf_adds(out, ".El\n");
    }
    add_options(out, spec->bit, true);
}

struct entry {
    const char *name, *text;
};

static void add_entries(struct buf *out, const char *title, const char *macro,
                        const struct entry *entries, size_t n)
{
    buf_addf(out, ".Sh %s\n.Bl -tag -width Ds\n", title);
    for (size_t i = 0; i < n; i++) {
        add_item(out, macro, entries[i].name);
        roff_text(out, entries[i].text);
    }
    buf_adds(out, ".El\n");
}

void man_kiln(struct buf *out)
{
    static const struct entry environment[] = {
        {"KILN_CACHE_DIR", "Where the cache lies."},
        {"KILN_CACHE_SIZE", "How much the cache may take: 20GiB, 500MB; 0 for no limit."},
        {"KILN_RUNTIME", "The OCI runtime that isolated steps run by, instead of crun."},
        {"KILN_SKOPEO", "The program that fetches images, instead of skopeo."},
        {"KILN_SCREEN_READER", "1: plain sentences in place of the full screen."},
        {"CI", "Neither empty nor \"false\": plain lines, no full screen."},
        {"GITHUB_ACTIONS", "\"true\": logs in groups, lines marked, a summary of the job."},
        {"GITLAB_CI", "\"true\": logs in groups."},
        {"BUILDKITE", "\"true\": logs in groups, and an annotation of a run that failed."},
        {"OTEL_EXPORTER_OTLP_ENDPOINT",
         "A collector of OpenTelemetry that kiln run sends its trace to, below TRACEPARENT."},
        {"NO_COLOR", "Not empty: no colours. CLICOLOR_FORCE and FORCE_COLOR ask for them."},
        {"XDG_CACHE_HOME", "Where the cache lies, in kiln; else ~/.cache."},
        {"XDG_CONFIG_HOME", "Where your settings lie, in kiln; else ~/.config."},
        {"XDG_STATE_HOME", "Where records of runs lie, in kiln; else ~/.local/state."},
        {"XDG_RUNTIME_DIR", "Where a kiln that watches can be asked."},
    };
    static const struct entry files[] = {
        {"kiln.json", "The pipeline: see kiln.json(5)."},
        {"kiln.lock", "What the images of steps mean; kiln writes it, beside kiln.json."},
        {"~/.config/kiln/config.json",
         "Your settings of the terminal: see kiln schema --settings."},
        {"~/.cache/kiln", "The cache, of all projects."},
        {"~/.local/state/kiln", "What ran, with its logs."},
    };
    static const struct entry codes[] = {
        {"0", "Every step passed or was cached."},
        {"1", "A step failed."},
        {"2", "The command line or kiln.json is wrong."},
        {"3", "kiln itself could not go on."},
        {"128+N", "Signal N ended it."},
    };
    buf_adds(out, ".Dd " MAN_DATE "\n.Dt KILN 1\n.Os\n.Sh NAME\n.Nm kiln\n"
                  ".Nd re-run the steps of a pipeline whose inputs changed\n.Sh SYNOPSIS\n.Nm\n"
                  ".Op Ar command\n.Op Ar option ...\n.Op Ar argument ...\n.Sh DESCRIPTION\n");
    roff_text(out, "kiln watches a working tree and re-runs the steps of a pipeline whose inputs "
                   "changed. What a step made before comes from the cache. Without a command it "
                   "does what \"kiln watch\" does.");
    buf_adds(out, ".Pp\nThe options of every command are:\n");
    add_options(out, CMD_ALL, false);
    buf_adds(out, ".Sh COMMANDS\n");
    for (size_t i = 0; i < n_commands; i++)
        add_command(out, &command_table[i]);
    add_entries(out, "ENVIRONMENT", "Ev", environment, sizeof environment / sizeof *environment);
    add_entries(out, "FILES", "Pa", files, sizeof files / sizeof *files);
    add_entries(out, "EXIT STATUS", "Li", codes, sizeof codes / sizeof *codes);
    buf_adds(out, ".Sh SEE ALSO\n.Xr kiln.json 5\n");
}
