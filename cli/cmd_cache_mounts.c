/*
 * cmd_cache_mounts.c - the cache directories of steps in kiln cache stats and kiln cache clear.
 *
 *     stats --json            "mounts": [{"name", "project", "bytes", "used"}] ("used": RFC 3339)
 *     clear --caches --json   {"mounts": [the same]}: what was removed
 */
#include "cli/cmd_cache.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct directory {
    char *name, *label, *project;
    int64_t used_ns;
    uint64_t bytes;
};

typedef VEC(struct directory) directories;

static void note(void *ctx, const struct cache_mount *mount)
{
    directories *list = ctx;
    vec_push(list, ((struct directory){.name = mem_strdup(mount->name),
                                       .label = mem_strdup(mount->label),
                                       .project = mem_strdup(mount->project),
                                       .used_ns = mount->used_ns,
                                       .bytes = mount->bytes}));
}

static int by_project(const void *a, const void *b)
{
    const struct directory *x = a, *y = b;
    int order = strcmp(x->project, y->project);
    return order ? order : strcmp(x->name, y->name);
}

static void list_all(struct cache *cache, directories *list)
{
    cache_each_mount(cache, note, list);
    if (list->n)
        qsort(list->v, list->n, sizeof *list->v, by_project);
}

static void list_release(directories *list)
{
    vec_each (struct directory, dir, list) {
        free(dir->name);
        free(dir->label);
        free(dir->project);
    }
    vec_release(list);
}

static void add_list_json(const directories *list, struct buf *out)
{
    char time[32];
    buf_adds(out, "\"mounts\":[");
    for (size_t i = 0; i < list->n; i++) {
        const struct directory *dir = &list->v[i];
        buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
        buf_add_json_str(out, dir->label);
        buf_adds(out, ",\"project\":");
        buf_add_json_str(out, *dir->project ? dir->project : NULL);
        buf_addf(out, ",\"bytes\":%" PRIu64 ",\"used\":\"%s\"}", dir->bytes,
                 text_time((uint64_t)dir->used_ns, time));
    }
    buf_addc(out, ']');
}

void cache_add_mounts_json(struct cache *cache, struct buf *out)
{
    directories list = VEC_INIT;
    list_all(cache, &list);
    add_list_json(&list, out);
    list_release(&list);
}

void cache_add_mounts(struct cache *cache, struct buf *out)
{
    directories list = VEC_INIT;
    char size[16], ago[16];
    int width = 0;
    list_all(cache, &list);
    vec_each (struct directory, dir, &list)
        width = (int)strlen(dir->label) > width ? (int)strlen(dir->label) : width;
    vec_each (struct directory, dir, &list) {
        int64_t since = (int64_t)clock_realtime_ns() - dir->used_ns;
        buf_addf(out, "    %-*s  %8s, used %s ago", width, dir->label, text_size(dir->bytes, size),
                 text_duration((uint64_t)(since > 0 ? since : 0) / 1000000, ago));
        if (*dir->project) {
            buf_adds(out, ", of ");
            buf_add_shown(out, dir->project, strlen(dir->project));
        }
        buf_addc(out, '\n');
    }
    list_release(&list);
}

/* Leaves in the list those of that name. */
static int choose(directories *list, const char *label, struct err *err)
{
    VEC(const char *) labels = VEC_INIT;
    size_t n = 0;
    vec_each (struct directory, dir, list)
        vec_push(&labels, dir->label);
    const char *nearest = text_nearest(label, labels.v, labels.n);
    int rc = 0;
    for (size_t i = 0; i < list->n && rc == 0; i++)
        n += !strcmp(list->v[i].label, label);
    if (!n)
        rc = err_set(err, ERR_USAGE, "there is no cache directory \"%s\"%s%s%s", label,
                     nearest ? "; did you mean \"" : "; \"kiln cache stats\" lists them",
                     nearest ? nearest : "", nearest ? "\"?" : "");
    vec_release(&labels);
    for (size_t i = 0; i < list->n && rc == 0;) {
        if (!strcmp(list->v[i].label, label)) {
            i++;
            continue;
        }
        directories gone = VEC_INIT;
        vec_push(&gone, list->v[i]);
        memmove(&list->v[i], &list->v[i + 1], (--list->n - i) * sizeof *list->v);
        list_release(&gone);
    }
    return rc;
}

static bool confirm(const directories *list)
{
    uint64_t bytes = 0;
    char size[16];
    for (size_t i = 0; i < list->n; i++)
        bytes += list->v[i].bytes;
    char *text = mem_printf("Remove %zu cache director%s of steps, %s? [y/N] ", list->n,
                            list->n == 1 ? "y" : "ies", text_size(bytes, size));
    bool yes = cache_ask(text);
    free(text);
    return yes;
}

/* Goes on past one that is in use; fails with the first. */
static int remove_all(struct cache *cache, directories *list, struct buf *out, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct directory *dir = &list->v[i];
        struct err why = ERR_INIT;
        char size[16];
        bool found;
        if (cache_clear_mount(cache, dir->name, &found, &why) == 0) {
            buf_addf(out, "removed the cache directory \"%s\" (%s) of ", dir->label,
                     text_size(dir->bytes, size));
            buf_add_shown(out, dir->project, strlen(dir->project));
            buf_addc(out, '\n');
            continue;
        }
        if (rc == 0)
            rc = err_move(err, &why);
        err_release(&why);
        directories gone = VEC_INIT;
        vec_push(&gone, *dir);
        memmove(&list->v[i], &list->v[i + 1], (--list->n - i) * sizeof *list->v);
        list_release(&gone);
        i--;
    }
    return rc;
}

int cache_clear_mounts(struct cache *cache, const struct options *options, struct err *err)
{
    directories list = VEC_INIT;
    struct buf out = BUF_INIT;
    list_all(cache, &list);
    int rc = options->caches_name ? choose(&list, options->caches_name, err) : 0;
    if (rc == 0 && list.n && !options->yes && !confirm(&list)) {
        fputs("kiln: nothing was removed\n", stderr);
    } else if (rc == 0) {
        rc = remove_all(cache, &list, &out, err);
        if (options->json) {
            buf_reset(&out);
            buf_addc(&out, '{');
            add_list_json(&list, &out);
            buf_adds(&out, "}\n");
        } else if (!list.n && rc == 0) {
            buf_adds(&out, "there are no cache directories of steps\n");
        }
        fwrite(buf_str(&out), 1, out.len, stdout);
    }
    buf_release(&out);
    list_release(&list);
    return rc;
}
