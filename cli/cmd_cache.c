/*
 * cmd_cache.c - kiln cache stats, kiln cache clear.
 *
 *     --json    {"path", "blobs", "bytes", "actions", "limit_bytes"}; of clear: what was removed
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void add_json(const char *path, const struct cache_stats *stats, struct buf *out)
{
    buf_adds(out, "{\"path\":");
    buf_add_json_str(out, path);
    buf_addf(out,
             ",\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"actions\":%" PRIu64
             ",\"limit_bytes\":%" PRIu64 "}\n",
             stats->blobs, stats->bytes, stats->actions, stats->limit_bytes);
}

/* "56 results, 1234 files, 4.1 MiB" */
static void add_amount(const struct cache_stats *stats, struct buf *out)
{
    char size[16];
    buf_addf(out, "%" PRIu64 " result%s, %" PRIu64 " blob%s, %s", stats->actions,
             stats->actions == 1 ? "" : "s", stats->blobs, stats->blobs == 1 ? "" : "s",
             text_size(stats->bytes, size));
}

static int show_stats(struct cache *cache, const struct options *options, struct err *err)
{
    struct cache_stats stats;
    struct buf out = BUF_INIT;
    if (cache_stats(cache, &stats, err) < 0)
        return -(int)err->kind;
    if (options->json) {
        add_json(cache_path(cache), &stats, &out);
    } else {
        char limit[16];
        buf_adds(&out, cache_path(cache));
        buf_adds(&out, ": ");
        add_amount(&stats, &out);
        buf_addf(&out, ", %s%s\n", stats.limit_bytes ? "limit " : "no limit",
                 stats.limit_bytes ? text_size(stats.limit_bytes, limit) : "");
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return 0;
}

/* Asks on the terminal; anything but a yes is a no. */
static int confirm(struct cache *cache, bool *yes, struct err *err)
{
    struct cache_stats stats;
    struct buf text = BUF_INIT;
    char answer[16] = "";
    *yes = false;
    if (cache_stats(cache, &stats, err) < 0)
        return -(int)err->kind;
    buf_addf(&text, "Remove ");
    add_amount(&stats, &text);
    buf_addf(&text, " from %s? [y/N] ", cache_path(cache));
    fwrite(text.data, 1, text.len, stderr);
    fflush(stderr);
    buf_release(&text);
    if (fgets(answer, sizeof answer, stdin)) {
        answer[strcspn(answer, "\r\n")] = '\0';
        *yes = !strcasecmp(answer, "y") || !strcasecmp(answer, "yes");
    } else {
        fputc('\n', stderr);
    }
    return 0;
}

static int clear(struct cache *cache, const struct options *options, struct err *err)
{
    struct cache_stats removed;
    struct buf out = BUF_INIT;
    bool yes = options->yes;
    if (!yes && confirm(cache, &yes, err) < 0)
        return -(int)err->kind;
    if (!yes) {
        fputs("kiln: nothing was removed\n", stderr);
        return 0;
    }
    if (cache_clear(cache, &removed, err) < 0)
        return -(int)err->kind;
    if (options->json) {
        add_json(cache_path(cache), &removed, &out);
    } else {
        buf_addf(&out, "%s: removed ", cache_path(cache));
        add_amount(&removed, &out);
        buf_addc(&out, '\n');
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return 0;
}

static int open_cache(struct cache **out, bool clearing, struct err *err)
{
    bool read_only = false;
    char *path = cache_default_path();
    if (!path)
        return err_set(
            err, ERR_SYSTEM,
            "there is no place for the cache: set HOME, XDG_CACHE_HOME or KILN_CACHE_DIR");
    int code = cache_open(path, out, &read_only, err);
    if (code == 0 && read_only && clearing) {
        char *why = mem_strdup(err_text(err));
        code = err_set(err, ERR_SYSTEM, "the cache at %s can only be read, not cleared: %s", path,
                       why);
        free(why);
    } else if (code == 0) {
        err_release(err);
    }
    free(path);
    return code;
}

int command_cache(const struct options *options)
{
    struct cache *cache = NULL;
    struct err err = ERR_INIT;
    int rc, code = EXIT_OK;
    bool clearing = !strcmp(options->subcommand, "clear");
    if (clearing && !options->yes && !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO)))
        rc = err_set(&err, ERR_USAGE,
                     "clearing the cache asks first, and there is no terminal to ask on; --yes "
                     "clears it without asking");
    else
        rc = open_cache(&cache, clearing, &err);
    if (rc == 0)
        rc = clearing ? clear(cache, options, &err) : show_stats(cache, options, &err);
    if (rc < 0) {
        complain(options, err_text(&err));
        code = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
    }
    err_release(&err);
    cache_close(cache);
    return output_end(options, code);
}
