/*
 * system_packages.h - what software this machine has, as one digest: what a step in the sandbox can
 * depend on beside its inputs.
 *
 * It is made of the names, versions and architectures of the installed packages, so it is equal on
 * machines that have the same, whenever and in whatever order they were installed; of an outline of
 * /usr/local and /opt, where software comes without packages; and of which program
 * /etc/alternatives chose. Databases of rpm are not read, their stats stand for them: machines do
 * not share results then. One whose packages kiln cannot list has the stats of its system
 * directories instead.
 *
 * A struct belongs to whoever made it; one thread at a time.
 */
#ifndef KILN_ENGINE_SYSTEM_PACKAGES_H
#define KILN_ENGINE_SYSTEM_PACKAGES_H

#include "base/digest.h"

#include <stdbool.h>

/* Zeroed, it knows nothing yet. */
struct system_packages {
    bool known;
    struct digest glance; /* of the stats that change with nearly everything that is installed */
    struct digest stamp;  /* of the databases' stats when they were read, and of the outline */
    struct digest digest;
};

/* Looks whether anything was installed since, and reads the databases only then; below root ("" is
 * the machine's). True when the digest is another than before, or the first. */
bool system_packages_look(struct system_packages *packages, const char *root);
/* Whether it is known to be the same as then, after a glance that costs no more than some stats: a
 * file that was written to in its place is not seen. Any thread. */
bool system_packages_stand(const struct system_packages *packages, const char *root);

#endif
