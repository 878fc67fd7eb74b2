/*
 * subid.h - the ranges of user and group ids that an administrator gave to somebody: /etc/subuid
 * and /etc/subgid, as subuid(5) has them, a line each:
 *
 *     user:first:count        user: a name, or a number
 *
 * A line that is not so is passed over, as newuidmap(1) does. Thread safe.
 */
#ifndef KILN_RUNNERS_SUBID_H
#define KILN_RUNNERS_SUBID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct subid_range {
    uint32_t first, count;
};

/* The largest range of that user (name may be NULL) in the text of such a file; false when there is
 * none. */
bool subid_find(const char *text, const char *name, uid_t uid, struct subid_range *out);
/* The same from the file at path; one that can't be read has none. */
bool subid_read(const char *path, const char *name, uid_t uid, struct subid_range *out);

#endif
