/*
 * nest_user.h - the user namespace of the nests: which ids of the host it has, and making it.
 *
 * An ordinary user's: 0 is the user, and 1 ... n are the user's subordinate ids (subuid(5)) where
 * newuidmap(1) and newgidmap(1) can map them. Root's: 0 ... 65535 are a range that nobody else has,
 * so nothing in a box is ever the host's root.
 *
 * So what the caller owns outside, root owns inside; where an image's steps are somebody else, that
 * one and root change places.
 *
 * Any thread; nothing is kept.
 */
#ifndef KILN_RUNNERS_NEST_USER_H
#define KILN_RUNNERS_NEST_USER_H

#include "base/err.h"
#include "runners/box.h"

/* The ids of one kind: 0 is first, 1 ... more are those from rest on. */
struct nest_range {
    uint32_t first, rest, more;
};

struct nest_map {
    struct nest_range uid, gid;
    bool by_helper; /* newuidmap and newgidmap must do it */
};

/* Which ids inside are the owner's outside, whom all belongs to that kiln makes for boxes: those of
 * root mostly, or of the user that an image's steps are. */
struct nest_ids {
    uint32_t uid, gid;
};

/* Which ids the caller's nest would have. What is told of subordinate ids is what the files say: a
 * helper that refuses is found by nest_user_open(). */
void nest_user_map(struct nest_map *map);
/* The same, from texts instead of files; for tests. uid_map, gid_map: of the calling process. */
struct nest_files {
    const char *subuid, *subgid, *uid_map, *gid_map;
    const char *user; /* name of the caller, may be NULL */
    uid_t uid;
    gid_t gid;
    bool helper; /* newuidmap and newgidmap are there */
};
void nest_user_map_from(const struct nest_files *files, struct nest_map *map);

/* Whom all belongs to that a nest with these ids may change. */
void nest_user_owner(const struct nest_map *map, struct box_owner *out);

/* One part of a uid_map. */
struct nest_extent {
    uint32_t inside, outside, n;
};
/* The parts (at most 3) of a range in which the inside's id is its first; returns how many. An id
 * beyond the range: as for 0. */
size_t nest_user_extents(const struct nest_range *range, uint32_t id, struct nest_extent out[3]);

/* Makes the namespace; *fd is its descriptor, the caller's. Where the helpers refuse, it has the
 * single mapping, and *map says so; that one has the ids 0 alone. ERR_SYSTEM with the remedy when
 * the machine allows none. */
int nest_user_open(const struct nest_ids *ids, struct nest_map *map, int *fd,
                   struct err *err) MUST_CHECK;

#endif
