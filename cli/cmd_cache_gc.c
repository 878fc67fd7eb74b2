/*
 * cmd_cache_gc.c - kiln cache gc.
 *
 *     --json    {"path", "dry_run", "blobs", "bytes", "actions", "disk_bytes", "limit_bytes",
 *                "over_bytes", "disk_missing_bytes", "in_use",
 *                "removed": {"blobs", "bytes", "actions", "disk_bytes", "other_bytes"},
 *                "items": [{"kind", "digest" or "name", "disk_bytes", "last_used",
 *                           "step", "project", "result"}]}
 *
 * Items stand in the order in which they go; "result" is the one that was the last to name a blob.
 */
#include "cli/cmd_cache.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 20 /* results told one by one */

static const char *const kind_names[] = {
    [GC_GIT] = "git-memo",      [GC_RESULT] = "result",  [GC_BLOB] = "blob",
    [GC_BAD] = "set-aside",     [GC_TMP] = "unfinished", [GC_STAT] = "stat-cache",
    [GC_SNAPSHOT] = "snapshot", [GC_LAYER] = "layer",    [GC_IMAGE] = "image",
};

static void add_hex(struct buf *out, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    buf_addf(out, "\"%s\"", hex);
}

static void add_item_json(const struct gc_report *report, const struct gc_item *item,
                          struct buf *out)
{
    char time[32];
    buf_addf(out, "{\"kind\":\"%s\"", kind_names[item->kind]);
    if (item->name) {
        buf_adds(out, ",\"name\":");
        buf_add_json_str(out, item->name);
    } else {
        buf_adds(out, ",\"digest\":");
        add_hex(out, &item->digest);
    }
    buf_addf(out, ",\"disk_bytes\":%" PRIu64 ",\"last_used\":\"%s\"", item->bytes,
             text_time(item->used_ns > 0 ? (uint64_t)item->used_ns : 0, time));
    if (item->step) {
        buf_adds(out, ",\"step\":");
        buf_add_json_str(out, item->step);
        buf_adds(out, ",\"project\":");
        buf_add_json_str(out, item->root);
    }
    if (item->result != SIZE_MAX) {
        buf_adds(out, ",\"result\":");
        add_hex(out, &report->items.v[item->result].digest);
    }
    buf_addc(out, '}');
}

static void add_json(const char *path, bool dry_run, const struct gc_report *report,
                     struct buf *out)
{
    const struct cache_stats *before = &report->before, *removed = &report->removed;
    buf_adds(out, "{\"path\":");
    buf_add_json_str(out, path);
    buf_addf(out,
             ",\"dry_run\":%s,\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"actions\":%" PRIu64
             ",\"disk_bytes\":%" PRIu64 ",\"limit_bytes\":%" PRIu64 ",\"over_bytes\":%" PRIu64
             ",\"disk_missing_bytes\":%" PRIu64 ",\"in_use\":%s",
             dry_run ? "true" : "false", before->blobs, before->bytes, before->actions,
             before->disk_bytes, before->limit_bytes, report->over_limit, report->disk_missing,
             report->in_use ? "true" : "false");
    buf_addf(out,
             ",\"removed\":{\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"actions\":%" PRIu64
             ",\"disk_bytes\":%" PRIu64 ",\"other_bytes\":%" PRIu64 "},\"items\":[",
             removed->blobs, removed->bytes, removed->actions, removed->disk_bytes,
             report->others_bytes);
    for (size_t i = 0; i < report->items.n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_item_json(report, &report->items.v[i], out);
    }
    buf_adds(out, "]}\n");
}

static void add_why(const struct gc_report *report, bool sized, struct buf *out)
{
    char size[16];
    const char *before = "";
    if (report->over_limit) {
        buf_addf(out, "%s over %s", text_size(report->over_limit, size),
                 sized ? "that size" : "the limit");
        before = "; ";
    }
    if (report->disk_missing)
        buf_addf(out, "%sless than 5 %% of the disk is free, %s more is wanted", before,
                 text_size(report->disk_missing, size));
}

static void add_age(int64_t used_ns, struct buf *out)
{
    char age[16];
    uint64_t now = clock_realtime_ns();
    uint64_t ns = used_ns > 0 && (uint64_t)used_ns < now ? now - (uint64_t)used_ns : 0;
    buf_addf(out, "%8s ago", text_duration(ns / 1000000, age));
}

/* One line a result with what goes along with it, and one for each other kind. */
static void add_list(const struct gc_report *report, struct buf *out)
{
    char size[16];
    uint64_t *bytes = mem_zalloc(report->items.n + 1, sizeof *bytes);
    uint64_t other_n[GC_KINDS] = {0}, other_bytes[GC_KINDS] = {0};
    size_t shown = 0, results = 0;
    for (size_t i = 0; i < report->items.n; i++) {
        const struct gc_item *item = &report->items.v[i];
        if (item->kind == GC_RESULT) {
            results++;
            bytes[i] += item->bytes;
        } else if (item->result != SIZE_MAX) {
            bytes[item->result] += item->bytes;
        } else {
            other_n[item->kind]++;
            other_bytes[item->kind] += item->bytes;
        }
    }
    for (size_t i = 0; i < report->items.n && shown < SHOWN; i++) {
        const struct gc_item *item = &report->items.v[i];
        char hex[DIGEST_HEX + 1];
        if (item->kind != GC_RESULT)
            continue;
        shown++;
        digest_hex(&item->digest, hex);
        buf_addf(out, "  result %.12s", hex);
        add_age(item->used_ns, out);
        buf_addf(out, "  %8s", text_size(bytes[i], size));
        if (item->step) {
            buf_adds(out, "  ");
            buf_add_shown(out, item->step, strlen(item->step));
            buf_adds(out, " in ");
            buf_add_shown(out, item->root, strlen(item->root));
        }
        buf_addc(out, '\n');
    }
    if (results > shown)
        buf_addf(out, "  and %zu more results (--json lists all)\n", results - shown);
    static const char *const what[] = {
        [GC_BLOB] = "blobs without such a result",
        [GC_BAD] = "set aside as damaged",
        [GC_TMP] = "never finished",
        [GC_STAT] = "stat caches of projects that are gone",
        [GC_GIT] = "what was known of repositories, long not committed to",
        [GC_SNAPSHOT] = "snapshots of input trees",
        [GC_LAYER] = "layers of images",
        [GC_IMAGE] = "blobs of images",
    };
    for (size_t kind = GC_BLOB; kind < GC_KINDS; kind++)
        if (other_n[kind])
            buf_addf(out, "  %s: %" PRIu64 ", %s\n", what[kind], other_n[kind],
                     text_size(other_bytes[kind], size));
    free(bytes);
}

static void add_text(const char *path, const struct options *options,
                     const struct gc_report *report, struct buf *out)
{
    bool nothing = report->items.n == 0;
    buf_addf(out, "%s: ", path);
    cache_add_amount(&report->before, out);
    cache_add_limit(&report->before, out);
    buf_addc(out, '\n');
    if (nothing && report->target == report->before.disk_bytes) {
        buf_adds(out, "nothing to remove\n");
        return;
    }
    buf_adds(out, options->dry_run ? "would remove " : "removed ");
    cache_add_amount(&report->removed, out);
    if (report->over_limit || report->disk_missing)
        buf_adds(out, ": ");
    add_why(report, options->size_set, out);
    buf_addc(out, '\n');
    if (options->dry_run)
        add_list(report, out);
    if (report->in_use)
        buf_adds(out, "the rest is in use just now\n");
}

int cache_show_gc(struct cache *cache, const struct options *options, struct err *err)
{
    struct gc_options how = {.size = options->size_set ? options->size : GC_TO_LIMIT,
                             .dry_run = options->dry_run};
    struct gc_report report;
    struct buf out = BUF_INIT;
    int rc = cache_gc(cache, &how, &report, err);
    if (rc == 0 && options->json)
        add_json(cache_path(cache), options->dry_run, &report, &out);
    else if (rc == 0)
        add_text(cache_path(cache), options, &report, &out);
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    gc_report_release(&report);
    return rc;
}
