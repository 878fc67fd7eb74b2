#include "cache/git.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The one whose headers kiln was made with: another one may have other structures. */
#define LIBRARY "libgit2.so." LIBGIT2_SOVERSION
/* "kiln itself could not go on" */
#define EXIT_CODE 3

static _Noreturn void no_libgit2(void)
{
    bool few = errno == EMFILE || errno == ENFILE;
    const char *why = dlerror();
    fprintf(stderr, "kiln: cannot load %s, which it needs to read git repositories: %s; %s\n",
            LIBRARY, why ? why : "it lacks a function",
            few ? "allow more (ulimit -n)" : "install it, or build kiln anew");
    _exit(EXIT_CODE);
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
