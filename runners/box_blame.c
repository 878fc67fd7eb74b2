/*
 * box_blame.c - which cache directory or secret is meant where a runtime fails to make a place: it
 * quotes the path, inside or below the root's place outside, of what it could not make or mount.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_OUTSIDE "/" BOX_NEST "/rootfs"
#define QUOTES       "`'\""

void box_wishes_init(box_wishes *wishes, const struct runner_box *box)
{
    for (size_t i = 0; i < box->n_caches; i++)
        vec_push(wishes, (struct box_wish){mem_strdup(box->caches[i].path), false});
    for (size_t i = 0; i < box->n_secrets; i++)
        vec_push(wishes, (struct box_wish){mem_strdup(box->secrets[i].path), true});
}

void box_wishes_release(box_wishes *wishes)
{
    vec_each (struct box_wish, wish, wishes)
        free(wish->path);
    vec_release(wishes);
}

/* As the step would name what the runtime quotes. */
static char *inside(const char *quoted, size_t n)
{
    char *text = mem_strndup(quoted, n);
    const char *root = strstr(text, ROOT_OUTSIDE "/");
    char *path = root           ? mem_strdup(root + strlen(ROOT_OUTSIDE))
                 : *text == '/' ? mem_strdup(text)
                                : mem_printf("/%s", text);
    free(text);
    return path;
}

const struct box_wish *box_blame(const box_wishes *wishes, const char *said)
{
    const struct box_wish *found = NULL;
    size_t longest = 1; /* "/" is everybody's */
    for (said += strcspn(said, QUOTES); *said; said += strcspn(said, QUOTES)) {
        size_t n = strcspn(++said, QUOTES);
        char *path = inside(said, n);
        for (size_t i = 0; i < wishes->n; i++) {
            if (path_is_below(wishes->v[i].path, path) && strlen(path) > longest) {
                found = &wishes->v[i];
                longest = strlen(path);
            }
        }
        free(path);
        said += n + (said[n] != '\0');
    }
    return found;
}
