/*
 * kept.c - see kept.h.
 *
 * <state>/projects/<id>/kept/<sha256 of the step's name> has two lines: the absolute path of the
 * box directory, and the digest of the input tree as "<hex>/<size>". A file that is not like this
 * tells of nothing.
 */
#include "engine/kept.h"

#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/rounds.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *place_of(const struct records *records, const char *step)
{
    char hex[DIGEST_HEX + 1];
    struct digest id = digest_of(step, strlen(step));
    digest_hex(&id, hex);
    return mem_printf("%s/kept/%s", records_dir(records), hex);
}

bool kept_find(const struct records *records, const char *step, struct kept *out)
{
    struct buf text = BUF_INIT;
    char *place = place_of(records, step);
    bool found = false;
    *out = (struct kept){0};
    if (file_read(place, PATH_MAX + 256, &text, NULL) == 0) {
        char *end = memchr(text.data, '\n', text.len);
        char hex[DIGEST_HEX + 1];
        uint64_t size;
        if (end && *text.data == '/' &&
            sscanf(buf_str(&text) + (end + 1 - text.data), "%64[0-9a-f]/%" SCNu64, hex, &size) ==
                2 &&
            digest_parse(hex, size, &out->input_root)) {
            out->path = mem_strndup(text.data, (size_t)(end - text.data));
            found = true;
        }
    }
    buf_release(&text);
    free(place);
    return found;
}

void kept_release(struct kept *kept)
{
    free(kept->path);
    *kept = (struct kept){0};
}

/* -- removing ---------------------------------------------------------------------------------- */

struct dropping {
    uv_work_t work;
    struct engine *engine;
    struct box_dir *dir;
};

static void drop_work(uv_work_t *work)
{
    struct dropping *dropping = work->data;
    box_dir_drop(dropping->dir);
}

static void drop_done(uv_work_t *work, int status)
{
    struct dropping *dropping = work->data;
    struct engine *e = dropping->engine;
    (void)status;
    free(dropping);
    engine_job_done(e);
}

void box_dir_release(struct engine *e, struct box_dir *dir)
{
    if (!dir)
        return;
    struct dropping *dropping = mem_zalloc(1, sizeof *dropping);
    dropping->work.data = dropping;
    dropping->engine = e;
    dropping->dir = dir;
    e->n_jobs++;
    uv_queue_work(e->loop, &dropping->work, drop_work, drop_done);
}

/* -- keeping ----------------------------------------------------------------------------------- */

void kept_drop(struct engine *e, const char *step)
{
    struct kept kept;
    if (!e->opt.records || !kept_find(e->opt.records, step, &kept))
        return;
    struct box_dir *old = NULL;
    struct err err = ERR_INIT;
    char *place = place_of(e->opt.records, step);
    unlink(place);
    if (box_dir_open(e->opt.cache, kept.path, &old, &err) == 0)
        box_dir_release(e, old);
    err_release(&err); /* gone, or somebody looks at it: gc's, then */
    free(place);
    kept_release(&kept);
}

bool kept_put(struct engine *e, const char *step, const struct digest *input_root,
              struct box_dir *dir)
{
    if (!dir || !e->opt.records || !box_dir_keep(dir))
        return false;
    kept_drop(e, step);
    char hex[DIGEST_HEX + 1];
    struct buf text = BUF_INIT;
    char *place = place_of(e->opt.records, step);
    char *folder = path_join(records_dir(e->opt.records), "kept");
    digest_hex(input_root, hex);
    buf_addf(&text, "%s\n%s/%" PRIu64 "\n", box_dir_path(dir), hex, input_root->size);
    bool ok = file_mkdirs(folder, 0700, NULL) == 0 &&
              file_write_atomic(place, text.data, text.len, 0600, NULL) == 0;
    buf_release(&text);
    free(folder);
    free(place);
    return ok;
}
