/*
 * cmd_cache.c - kiln cache stats, kiln cache clear, and what all of kiln cache begin with.
 *
 *     --json    {"path", "blobs", "bytes", "actions", "disk_bytes", "limit_bytes", "snapshots",
 *                "snapshot_bytes", "images", "image_bytes", "box_bytes", "mount_bytes", "mounts"};
 * of clear: what was removed
 */
#include "cli/cmd_cache.h"

#include "base/mem.h"
#include "base/text.h"
#include "runners/box.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* But for the brace at its end. */
static void add_json(const char *path, const struct cache_stats *stats, struct buf *out)
{
    buf_adds(out, "{\"path\":");
    buf_add_json_str(out, path);
    buf_addf(out,
             ",\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"actions\":%" PRIu64
             ",\"disk_bytes\":%" PRIu64 ",\"limit_bytes\":%" PRIu64,
             stats->blobs, stats->bytes, stats->actions, stats->disk_bytes, stats->limit_bytes);
    buf_addf(out,
             ",\"snapshots\":%" PRIu64 ",\"snapshot_bytes\":%" PRIu64 ",\"images\":%" PRIu64
             ",\"image_bytes\":%" PRIu64 ",\"box_bytes\":%" PRIu64 ",\"mount_bytes\":%" PRIu64,
             stats->snapshots, stats->snapshot_bytes, stats->images, stats->image_bytes,
             stats->box_bytes, stats->mount_bytes);
}

void cache_add_amount(const struct cache_stats *stats, struct buf *out)
{
    char size[16];
    buf_addf(out, "%" PRIu64 " result%s, %" PRIu64 " blob%s, %s", stats->actions,
             stats->actions == 1 ? "" : "s", stats->blobs, stats->blobs == 1 ? "" : "s",
             text_size(stats->disk_bytes, size));
}

/* What of that serves isolated steps, and what is kept besides. */
static void add_lines(struct cache *cache, const struct cache_stats *stats, struct buf *out)
{
    char size[16];
    if (stats->snapshots || stats->snapshot_bytes)
        buf_addf(out, "  snapshots of input trees: %" PRIu64 ", %s\n", stats->snapshots,
                 text_size(stats->snapshot_bytes, size));
    if (stats->images || stats->image_bytes)
        buf_addf(out, "  blobs and layers of images: %" PRIu64 ", %s\n", stats->images,
                 text_size(stats->image_bytes, size));
    if (stats->mount_bytes)
        buf_addf(out, "  and cache directories of steps: %s\n",
                 text_size(stats->mount_bytes, size));
    cache_add_mounts(cache, out);
    if (stats->box_bytes)
        buf_addf(out, "  and what isolated steps wrote: %s\n", text_size(stats->box_bytes, size));
}

void cache_add_limit(const struct cache_stats *stats, struct buf *out)
{
    char size[16];
    if (stats->limit_bytes)
        buf_addf(out, ", limit %s", text_size(stats->limit_bytes, size));
    else
        buf_adds(out, ", no limit");
}

static int show_stats(struct cache *cache, const struct options *options, struct err *err)
{
    struct cache_stats stats;
    struct cache_limits limits;
    struct buf out = BUF_INIT;
    if (cache_stats(cache, &stats, err) < 0 || cache_limits(cache, &limits, err) < 0)
        return -(int)err->kind;
    stats.limit_bytes = limits.limit;
    if (options->json) {
        add_json(cache_path(cache), &stats, &out);
        buf_addc(&out, ',');
        cache_add_mounts_json(cache, &out);
        buf_adds(&out, "}\n");
    } else {
        buf_adds(&out, cache_path(cache));
        buf_adds(&out, ": ");
        cache_add_amount(&stats, &out);
        cache_add_limit(&stats, &out);
        buf_addc(&out, '\n');
        add_lines(cache, &stats, &out);
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return 0;
}

bool cache_ask(const char *text)
{
    char answer[16] = "";
    fputs(text, stderr);
    fflush(stderr);
    if (!fgets(answer, sizeof answer, stdin)) {
        fputc('\n', stderr);
        return false;
    }
    answer[strcspn(answer, "\r\n")] = '\0';
    return !strcasecmp(answer, "y") || !strcasecmp(answer, "yes");
}

/* What clear takes: also what is no content, and counts to no limit. */
static void add_all(const struct cache_stats *stats, struct buf *out)
{
    char size[16];
    cache_add_amount(stats, out);
    if (stats->box_bytes)
        buf_addf(out, ", and %s that isolated steps wrote", text_size(stats->box_bytes, size));
}

static int confirm(struct cache *cache, bool *yes, struct err *err)
{
    struct cache_stats stats;
    struct buf text = BUF_INIT;
    *yes = false;
    if (cache_stats(cache, &stats, err) < 0)
        return -(int)err->kind;
    buf_adds(&text, "Remove ");
    add_all(&stats, &text);
    buf_addf(&text, " from %s? [y/N] ", cache_path(cache));
    *yes = cache_ask(buf_str(&text));
    buf_release(&text);
    return 0;
}

static int clear(struct cache *cache, const struct options *options, struct err *err)
{
    struct cache_stats removed, left;
    struct buf out = BUF_INIT;
    bool yes = options->yes;
    if (!yes && confirm(cache, &yes, err) < 0)
        return -(int)err->kind;
    if (!yes) {
        fputs("kiln: nothing was removed\n", stderr);
        return 0;
    }
    if (cache_clear(cache, &removed, &left, err) < 0)
        return -(int)err->kind;
    if (options->json) {
        add_json(cache_path(cache), &removed, &out);
        buf_adds(&out, "}\n");
    } else {
        buf_addf(&out, "%s: removed ", cache_path(cache));
        add_all(&removed, &out);
        buf_addc(&out, '\n');
        if (left.blobs + left.actions + left.snapshots + left.images + left.box_bytes > 0) {
            buf_adds(&out, "in use by another kiln, and left: ");
            add_all(&left, &out);
            buf_addc(&out, '\n');
        }
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return 0;
}

static int remove_as_nest(void *ctx, const char *path, struct err *err)
{
    (void)ctx;
    return box_remove(path, err);
}

static int open_cache(struct cache **out, const char *to_do, struct err *err)
{
    bool read_only = false;
    char *path = cache_default_path();
    if (!path)
        return err_set(
            err, ERR_SYSTEM,
            "there is no place for the cache: set HOME, XDG_CACHE_HOME or KILN_CACHE_DIR");
    int code = cache_open(path, out, &read_only, err);
    if (code == 0 && read_only && to_do) {
        char *why = mem_strdup(err_text(err));
        code = err_set(err, ERR_SYSTEM, "the cache at %s can only be read, not %s: %s", path, to_do,
                       why);
        free(why);
    } else if (code == 0) {
        err_release(err);
        cache_set_remover(*out, remove_as_nest, NULL);
    }
    free(path);
    return code;
}

int command_cache(const struct options *options)
{
    struct cache *cache = NULL;
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    bool all_right = true;
    bool clearing = !strcmp(options->subcommand, "clear"), gc = !strcmp(options->subcommand, "gc");
    const char *to_do = clearing ? "cleared" : gc && !options->dry_run ? "made smaller" : NULL;
    int rc;
    if (clearing && !options->yes && !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO)))
        rc = err_set(&err, ERR_USAGE,
                     "clearing the cache asks first, and there is no terminal to ask on; --yes "
                     "clears it without asking");
    else
        rc = open_cache(&cache, to_do, &err);
    if (rc == 0)
        rc = clearing && options->caches ? cache_clear_mounts(cache, options, &err)
             : clearing                  ? clear(cache, options, &err)
             : gc                        ? cache_show_gc(cache, options, &err)
             : !strcmp(options->subcommand, "verify")
                 ? cache_show_verify(cache, options, &all_right, &err)
                 : show_stats(cache, options, &err);
    if (rc < 0) {
        complain(options, err_text(&err));
        code = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
    } else if (!all_right) {
        code = EXIT_STEP_FAILED;
    }
    err_release(&err);
    cache_close(cache);
    return output_end(options, code);
}
