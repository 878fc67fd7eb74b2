/* bundle_scratch.c - directories for what is on its way into a bundle, or out of one. */
#include "engine/bundle_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LEFT_S 86400

static void sweep(const char *parent, const char *what)
{
    DIR *dir = opendir(parent);
    const struct dirent *entry;
    struct stat st;
    size_t n = strlen(what);
    while (dir && (entry = readdir(dir))) {
        if (!strncmp(entry->d_name, what, n) && entry->d_name[n] == '-' &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtime < time(NULL) - LEFT_S)
            (void)!file_remove_tree(dirfd(dir), entry->d_name, NULL);
    }
    if (dir)
        closedir(dir);
}

int bundle_scratch(const char *parent, const char *what, char **out, struct err *err)
{
    sweep(parent, what);
    *out = mem_printf("%s/%s-XXXXXX", parent, what);
    if (mkdtemp(*out))
        return 0;
    int rc = err_sys(err, errno, "cannot make the directory %s", *out);
    free(*out);
    *out = NULL;
    return rc;
}
