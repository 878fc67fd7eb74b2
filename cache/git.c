#include "cache/git.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one whose headers kiln was made with: another one may have other structures. */
#define LIBRARY "libgit2.so." LIBGIT2_SOVERSION

static _Noreturn void no_libgit2(void)
{
    const char *why = dlerror();
    fprintf(stderr,
            "kiln: cannot load %s, which it needs to read git repositories: %s; install it, or "
            "build kiln anew\n",
            LIBRARY, why ? why : "it lacks a function");
    abort();
}

void git_load(struct git *git)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        no_libgit2();
#define GIT_FIND(name)                                     \
    do {                                                   \
        void *found = dlsym(library, "git_" #name);        \
        if (!found)                                        \
            no_libgit2();                                  \
        memcpy((void *)&git->name, &found, sizeof(found)); \
    } while (0);
    GIT_CALLS(GIT_FIND)
#undef GIT_FIND
    dlclose(library); /* it stays; this only ends our claim */
    /* The first to load it keeps it initialised, for good: ended by one thread it would lose what
     * it remembers for the others. */
    if (git->libgit2_init() > 1)
        git->libgit2_shutdown();
}
