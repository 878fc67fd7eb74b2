/*
 * take_private.h - what taking files shares: looking and planning, writing beside, putting into
 * place (take.c, take_write.c, take_place.c).
 */
#ifndef KILN_CACHE_TAKE_PRIVATE_H
#define KILN_CACHE_TAKE_PRIVATE_H

#include "base/vec.h"
#include "cache/cache_private.h"
#include "cache/take.h"

#include <sys/stat.h>

/* A file that something is to be done with. */
struct taking {
    struct take_item *item;
    struct buf merged; /* MERGE */
    struct stat st;    /* of what the tree holds; where item->now says that it does */
    /* Beside it: what is to come, then what was there; "" while there is nothing. */
    char beside[CACHE_NAME_SIZE];
    bool placed;
};

struct take {
    struct take_request *request;
    int root_fd;
    struct hasher *hasher;
    VEC(struct taking) todo;
    VEC(char *) made; /* directories, in the order they were made in */
};

/* take_write.c: writes what is to come beside its place, in a directory that is made where it is
 * missing. */
int take_write(struct take *take, struct taking *todo, struct err *err) MUST_CHECK;
/* Takes away what lies beside, and directories that are empty: those that were made and, when all
 * was placed, those of files that were removed. */
void take_drop(struct take *take, bool placed);

/* take_place.c: puts all of them into place, or none. */
int take_place(struct take *take, struct err *err) MUST_CHECK;

#endif
