/*
 * room.c - the directories in which a step's outputs are to lie are there when its command begins:
 * for "build/app" that is build/, on the host in the working tree, in a box in what it writes.
 *
 * They are no inputs: a directory without files is none, and what lies in them and is declared
 * belongs to a step.
 */
#include "engine/private.h"
#include "engine/running.h"

#include <stdlib.h>
#include <string.h>

void room_on_host(const struct engine *e, const struct op_exec *exec)
{
    outputs_make_parents(e->opt.root, exec->outputs, exec->n_outputs);
}

/* Whether all that there is on the way to the directory are directories, and some is missing. What
 * leads elsewhere is left to the command. */
static int is_wanting(const struct engine *e, const struct digest *root, const char *dir,
                      bool *wanting, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct tree_entry entry = {.kind = TREE_DIR};
    bool found = true;
    int rc = 0;
    for (size_t n = 0; dir[n] && found && entry.kind == TREE_DIR && rc == 0; n += dir[n] == '/') {
        n += strcspn(dir + n, "/");
        rc = trees_find(e->trees, root, arena_strndup(&arena, dir, n), &arena, &entry, &found, err);
    }
    *wanting = rc == 0 && !found;
    arena_release(&arena);
    return rc;
}

int room_in_box(const struct engine *e, const struct op_exec *exec, const struct digest *root,
                const struct box_dir *dir, struct err *err)
{
    char *last = NULL;
    int rc = 0;
    for (size_t i = 0; i < exec->n_outputs && rc == 0; i++) {
        const char *slash = strrchr(exec->outputs[i], '/');
        size_t n = slash ? (size_t)(slash - exec->outputs[i]) : 0;
        if (!n || (last && strlen(last) == n && memcmp(last, exec->outputs[i], n) == 0))
            continue;
        free(last);
        last = mem_strndup(exec->outputs[i], n);
        bool wanting;
        rc = is_wanting(e, root, last, &wanting, err);
        if (rc == 0 && wanting)
            rc = box_dir_make(dir, last, err);
    }
    free(last);
    return rc;
}
