/*
 * caches.c - the cache directories that a step has while it runs: all of them are taken before it
 * starts, or none, so nobody waits while he holds one.
 */
#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/wants.h"

#include "cache/mounts.h"
#include "runners/box.h"

#include <stdlib.h>

struct flight_caches {
    size_t n;
    struct mount **mounts; /* by the exec's caches */
    int rc;                /* < 0: err tells why they could not be made */
    struct err err;
};

void caches_release(struct flight_caches *caches)
{
    if (!caches)
        return;
    for (size_t i = 0; i < caches->n; i++)
        mount_close(caches->mounts[i]);
    err_release(&caches->err);
    free(caches->mounts);
    free(caches);
}

static int take(struct engine *e, const struct graph_cache *cache, struct mount **out,
                struct err *err)
{
    static const enum mount_sharing sharing[] = {
        [GRAPH_SHARING_SHARED] = MOUNT_SHARED,
        [GRAPH_SHARING_PRIVATE] = MOUNT_PRIVATE,
        [GRAPH_SHARING_LOCKED] = MOUNT_LOCKED,
    };
    struct mount_request request = {.root = e->opt.caches_root ? e->opt.caches_root : e->opt.root,
                                    .name = cache->name,
                                    .sharing = sharing[cache->sharing],
                                    .owner = e->boxes.owner.uid,
                                    .group = e->boxes.owner.gid};
    return mount_open(e->opt.cache, &request, out, err);
}

bool caches_take(struct engine *e, const struct op_exec *exec, struct flight_caches **out,
                 const char **busy)
{
    *out = NULL;
    if (!exec->n_caches)
        return true;
    struct flight_caches *caches = mem_zalloc(1, sizeof *caches);
    caches->mounts = mem_zalloc(exec->n_caches, sizeof *caches->mounts);
    caches->rc = boxes_need(e, false, &caches->err);
    for (size_t i = 0; i < exec->n_caches && caches->rc == 0; i++) {
        caches->rc = take(e, &exec->caches[i], &caches->mounts[i], &caches->err);
        caches->n = i + 1;
        if (caches->rc == 0 && !caches->mounts[i]) {
            caches_release(caches);
            *busy = exec->caches[i].name;
            return false;
        }
    }
    *out = caches;
    return true;
}

int caches_check(const struct flight_caches *caches, struct err *err)
{
    if (!caches || caches->rc == 0)
        return 0;
    return err_set(err, caches->err.kind, "%s", err_text(&caches->err));
}

size_t caches_mounts(const struct flight_caches *caches, const struct op_exec *exec,
                     struct arena *arena, const struct box_cache **out)
{
    struct box_cache *list = arena_zalloc(arena, exec->n_caches + 1, sizeof *list);
    size_t n = caches ? caches->n : 0;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct box_cache){exec->caches[i].path, mount_dir(caches->mounts[i])};
    *out = list;
    return n;
}
