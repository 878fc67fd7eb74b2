/*
 * cmd_bundle.c - kiln bundle export, kiln bundle import.
 *
 *     --json    {"run", "file", "bytes", "failures", "inputs", "content"}: run the number that it
 *               has here, inputs of how many failures came along, content how many files
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/text.h"
#include "engine/bundle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void tell_json(const char *run, const char *file, const struct bundle_report *report)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "{\"run\":");
    buf_add_json_str(&out, run);
    buf_adds(&out, ",\"file\":");
    buf_add_json_str(&out, file);
    buf_addf(&out, ",\"bytes\":%" PRIu64 ",\"failures\":%zu,\"inputs\":%zu,\"content\":%zu}\n",
             report->bytes, report->failures, report->inputs, report->blobs);
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
}

/* "; the inputs of 1 of 2 failures are in it" */
static void add_inputs(struct buf *out, const struct bundle_report *report)
{
    if (!report->failures)
        buf_adds(out, "; nothing failed in it");
    else if (report->inputs == report->failures)
        buf_adds(out, report->failures == 1 ? "; with the inputs of its failure"
                                            : "; with the inputs of its failures");
    else
        buf_addf(out, "; with the inputs of %zu of its %zu failures", report->inputs,
                 report->failures);
    if (report->inputs < report->failures)
        buf_adds(out, " (others were not kept, or are no longer in the cache)");
}

/* The newest run of this project's own; a new string. */
static int find_newest(const struct app *app, char **id, struct err *err)
{
    struct record_summary *runs = NULL;
    size_t n = 0;
    int rc = records_list(app->records, RECORD_KEEP, &runs, &n, err);
    *id = NULL;
    for (size_t i = 0; rc == 0 && i < n && !*id; i++)
        *id = runs[i].imported ? NULL : mem_strdup(runs[i].id);
    if (rc == 0 && !*id)
        rc = err_set(err, ERR_USAGE, "nothing has run here yet; \"kiln run\" does");
    records_free_list(runs, n);
    return rc;
}

static int export(struct app *app, const struct options *options, struct err *err)
{
    const char *file = options->output;
    struct bundle_report report = {0};
    struct buf out = BUF_INIT;
    char *id = options->n_args ? mem_strdup(options->args[0]) : NULL;
    char size[16];
    int rc = file ? 0
                  : err_set(err, ERR_USAGE,
                            "the bundle wants a file: kiln bundle export %s --output FILE",
                            id ? id : "[ID]");
    if (rc == 0 && !id)
        rc = find_newest(app, &id, err);
    if (rc == 0)
        rc = bundle_export(app->records, app->history, app->cache, id, KILN_VERSION, file, &report,
                           err);
    if (rc == 0 && options->json) {
        tell_json(id, file, &report);
    } else if (rc == 0) {
        buf_addf(&out, "run %s is in ", id);
        buf_add_shown(&out, file, strlen(file));
        buf_addf(&out, " (%s)", text_size(report.bytes, size));
        add_inputs(&out, &report);
        puts(buf_str(&out));
    }
    bundle_report_release(&report);
    buf_release(&out);
    free(id);
    return rc;
}

static int import(struct app *app, const struct options *options, struct err *err)
{
    const char *file = options->args[0];
    struct bundle_report report = {0};
    struct buf out = BUF_INIT;
    if (!options->n_args)
        return err_set(err, ERR_USAGE, "which bundle? kiln bundle import FILE");
    if (options->output)
        return err_set(err, ERR_USAGE, "\"kiln bundle import\" has no option --output");
    if (app->read_only)
        return err_set(err, ERR_SYSTEM, "a bundle wants a cache that can be written");
    int rc = bundle_import(app->records, app->cache, app->root, file, &report, err);
    if (rc == 0 && options->json) {
        tell_json(report.run, file, &report);
    } else if (rc == 0) {
        buf_addf(&out, "%s is run %s here", report.from, report.run);
        add_inputs(&out, &report);
        buf_addf(&out, "\nlook     kiln replay %s", report.run);
        if (report.inputs)
            buf_addf(&out, "\nopen     kiln debug --run %s%s", report.run,
                     report.failures > 1 ? " STEP" : "");
        puts(buf_str(&out));
    }
    bundle_report_release(&report);
    buf_release(&out);
    return rc;
}

int command_bundle(const struct options *options)
{
    struct app app;
    struct err err = ERR_INIT;
    int rc = app_open_past(&app, options, APP_CACHE, &err);
    if (rc == 0)
        rc = !strcmp(options->subcommand, "export") ? export(&app, options, &err)
                                                    : import(&app, options, &err);
    int code = rc == 0                                           ? EXIT_OK
               : err.kind == ERR_USAGE || err.kind == ERR_CONFIG ? EXIT_USAGE
                                                                 : EXIT_KILN;
    if (rc < 0)
        complain(options, err_text(&err));
    err_release(&err);
    app_close(&app);
    return output_end(options, code);
}
