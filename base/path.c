/* The names half of file.h: nothing here touches the file system. */
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

char *path_join(const char *a, const char *b)
{
    if (!*a || *b == '/')
        return mem_strdup(b);
    if (!*b)
        return mem_strdup(a);
    size_t n = strlen(a);
    return mem_printf("%s%s%s", a, a[n - 1] == '/' ? "" : "/", b);
}

char *path_normalize(const char *path)
{
    if (*path == '/')
        return NULL;
    char *out = mem_alloc(strlen(path) + 1);
    size_t len = 0;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (!len) {
                free(out);
                return NULL;
            }
            while (len && out[len - 1] != '/')
                len--;
            if (len)
                len--;
        } else if (n && !(n == 1 && p[0] == '.')) {
            if (len)
                out[len++] = '/';
            memcpy(out + len, p, n);
            len += n;
        }
        p += n;
        p += strspn(p, "/");
    }
    out[len] = '\0';
    return out;
}

bool path_is_below(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    if (!n)
        return true;
    if (strncmp(path, prefix, n) != 0)
        return false;
    return prefix[n - 1] == '/' || path[n] == '\0' || path[n] == '/';
}

char *path_xdg(const char *variable, const char *fallback)
{
    const char *base = getenv(variable);
    if (base && *base == '/')
        return path_join(base, "kiln");
    const char *home = getenv("HOME");
    if (!home || *home != '/')
        return NULL;
    char *parent = path_join(home, fallback);
    char *path = path_join(parent, "kiln");
    free(parent);
    return path;
}
