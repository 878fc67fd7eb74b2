/*
 * test_cache_tree.h - entries of directories, for the tests of trees.
 */
#ifndef KILN_TEST_CACHE_TREE_H
#define KILN_TEST_CACHE_TREE_H

#include "test_cache.h"

#include "cache/tree.h"

static inline struct tree_entry file(const char *name, struct digest digest, bool executable)
{
    return (struct tree_entry){
        .kind = TREE_FILE, .name = name, .digest = digest, .executable = executable};
}

static inline struct tree_entry dir(const char *name, struct digest digest)
{
    return (struct tree_entry){.kind = TREE_DIR, .name = name, .digest = digest};
}

static inline struct tree_entry symlink_to(const char *name, const char *target)
{
    return (struct tree_entry){.kind = TREE_SYMLINK, .name = name, .target = target};
}

#endif
