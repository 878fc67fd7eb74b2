/*
 * cmd_cache_verify.c - kiln cache verify: a line a finding, then what was read in all.
 *
 *     --json    {"path", "ok", "checked": {"blobs", "bytes", "actions", "snapshots",
 * "stat_caches"}, "found": [{"name", "problem", "done"}], "set_aside_before"}
 */
#include "cli/cmd_cache.h"

#include "base/text.h"
#include "cache/cache_verify.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct progress {
    uint64_t last_ns; /* monotonic */
    bool shown;
};

static void show_progress(void *ctx, uint64_t bytes, uint64_t all_bytes)
{
    struct progress *progress = ctx;
    char done[16], all[16];
    uint64_t now = clock_monotonic_ns();
    if (progress->last_ns == 0)
        progress->last_ns = now; /* nothing for what is done at once */
    if (now - progress->last_ns < 200 * UINT64_C(1000000))
        return;
    progress->last_ns = now;
    progress->shown = true;
    fprintf(stderr, "\r%s of %s checked\033[K", text_size(bytes, done), text_size(all_bytes, all));
    fflush(stderr);
}

static void add_json(const char *path, const struct verify_report *report, struct buf *out)
{
    buf_adds(out, "{\"path\":");
    buf_add_json_str(out, path);
    buf_addf(
        out,
        ",\"ok\":%s,\"checked\":{\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"actions\":%" PRIu64
        ",\"snapshots\":%" PRIu64 ",\"stat_caches\":%" PRIu64 "},\"found\":[",
        report->findings.n == 0 ? "true" : "false", report->checked.blobs, report->checked.bytes,
        report->checked.actions, report->checked.snapshots, report->stat_caches);
    for (size_t i = 0; i < report->findings.n; i++) {
        const struct verify_finding *finding = &report->findings.v[i];
        buf_adds(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        buf_add_json_str(out, finding->name);
        buf_adds(out, ",\"problem\":");
        buf_add_json_str(out, finding->problem);
        buf_adds(out, ",\"done\":");
        buf_add_json_str(out, finding->done);
        buf_addc(out, '}');
    }
    buf_addf(out, "],\"set_aside_before\":%" PRIu64 "}\n", report->aside);
}

static void add_text(const char *path, const struct verify_report *report, struct buf *out)
{
    char size[16];
    size_t n = report->findings.n;
    for (size_t i = 0; i < n; i++) {
        const struct verify_finding *finding = &report->findings.v[i];
        buf_add_shown(out, finding->name, strlen(finding->name));
        buf_addf(out, ": %s: %s\n", finding->problem, finding->done);
    }
    buf_addf(out,
             "%s: %" PRIu64 " result%s, %" PRIu64 " blob%s and %" PRIu64 " stat cache%s checked, "
             "%s: ",
             path, report->checked.actions, report->checked.actions == 1 ? "" : "s",
             report->checked.blobs, report->checked.blobs == 1 ? "" : "s", report->stat_caches,
             report->stat_caches == 1 ? "" : "s", text_size(report->checked.bytes, size));
    if (n == 0)
        buf_adds(out, "all is right\n");
    else
        buf_addf(out,
                 "%zu %s wrong; what was set aside (in v1/bad) or removed is made again when "
                 "it is needed\n",
                 n, n == 1 ? "was" : "were");
    if (report->aside)
        buf_addf(out, "%" PRIu64 " file%s set aside before in v1/bad; gc removes %s after a week\n",
                 report->aside, report->aside == 1 ? " was" : "s were",
                 report->aside == 1 ? "it" : "them");
}

int cache_show_verify(struct cache *cache, const struct options *options, bool *all_right,
                      struct err *err)
{
    struct verify_report report;
    struct progress progress = {0};
    struct buf out = BUF_INIT;
    bool live = isatty(STDERR_FILENO) && !in_ci();
    int rc = cache_verify(cache, live ? show_progress : NULL, &progress, &report, err);
    if (progress.shown)
        fputs("\r\033[K", stderr);
    if (rc == 0 && options->json)
        add_json(cache_path(cache), &report, &out);
    else if (rc == 0)
        add_text(cache_path(cache), &report, &out);
    fwrite(buf_str(&out), 1, out.len, stdout);
    *all_right = report.findings.n == 0;
    buf_release(&out);
    verify_report_release(&report);
    return rc;
}
