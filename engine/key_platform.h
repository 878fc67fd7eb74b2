/*
 * key_platform.h - what stands around a step, as the pairs that its Command and Action name as
 * their platform.
 *
 * All that shapes a result is in the key, and this is the part of it that is neither command nor
 * input: the machine, the runner, the image or the system's packages, the user, the network, where
 * the project is. Limits and cache directories shape none and are left out (decision 0003).
 *
 *     ISA, OSFamily          uname's machine and system
 *     kiln-image             a container's manifest, "sha256:..."
 *     kiln-mount             where the project is inside, or "same" (as kiln-root); absent on the
 * host kiln-network           "none", "host"; absent on the host kiln-platform          which
 * variant of the image was asked for; absent where none was kiln-root              the project's
 * folder, where the step sees it (host, "mount": "same") kiln-runner            "host", "sandbox",
 * "container" kiln-secret:/PATH      the keyed hash of a secret that is a file (secret.h)
 *     kiln-system            of the sandbox: the digest of the system's packages
 *     kiln-user              a container's user, where one was asked for
 *
 * Any thread.
 */
#ifndef KILN_ENGINE_KEY_PLATFORM_H
#define KILN_ENGINE_KEY_PLATFORM_H

#include "base/arena.h"
#include "base/digest.h"
#include "cache/action.h"
#include "engine/graph.h"

#include <stdbool.h>
#include <stddef.h>

#define PLATFORM_IMAGE  "kiln-image"
#define PLATFORM_SECRET "kiln-secret:"
#define PLATFORM_SYSTEM "kiln-system"

struct platform_facts {
    const char *isa, *os;        /* uname */
    const char *root;            /* the project's folder on the host */
    const char *image;           /* a container's manifest digest; NULL: not known (yet) */
    const struct digest *system; /* the sandbox's: system_packages() */
    const char *const *secrets;  /* for each of the exec's: its keyed hash; NULL: none is known */
};

/* The pairs, sorted by name; *out is in the arena, strings are its or the caller's. Returns their
 * number. */
size_t exec_platform(const struct op_exec *exec, const struct platform_facts *facts,
                     struct arena *arena, struct action_pair **out);

/* "image", "system packages": what people call the pair of that name, or NULL for any other. */
const char *platform_word(const char *name);

#endif
