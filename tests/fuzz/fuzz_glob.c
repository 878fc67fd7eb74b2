/*
 * Patterns, a line each, up to an empty line, then paths, a line each: what a set reaches agrees
 * with what it has; the last pattern that takes a path decides; and a pattern without wildcards
 * takes what lies at or below its path.
 */
#include "base/file.h"
#include "base/glob.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#define PATTERNS 8

/* Whether one pattern takes the path, its sense aside. */
static bool takes(const char *pattern, const char *path)
{
    struct glob_set *set;
    const char *positive = pattern + (*pattern == '!');
    CLAIM(glob_set_new(&positive, 1, &set, NULL, NULL) == 0);
    bool has = glob_set_has(set, path);
    glob_set_free(set);
    return has;
}

static void check_path(const struct glob_set *set, char *const *patterns, size_t n, char *path)
{
    bool has = glob_set_has(set, path), expected = false;
    for (size_t i = n; i-- > 0;) {
        /* A pattern may begin with "!!": less its first, it is one of the other sense. */
        if (patterns[i][0] == '!' && patterns[i][1] == '!')
            break;
        if (takes(patterns[i], path)) {
            expected = patterns[i][0] != '!';
            CLAIM(has == expected);
            break;
        }
        CLAIM(i > 0 || !has);
    }
    (void)glob_set_names(set, path);
    enum glob_reach above = glob_set_reach(set, "");
    CLAIM(above != GLOB_NONE || !has);
    CLAIM(above != GLOB_WHOLE || has);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        enum glob_reach reach = glob_set_reach(set, path);
        *slash = '/';
        CLAIM(reach != GLOB_NONE || !has);
        CLAIM(reach != GLOB_WHOLE || has);
        CLAIM(above != GLOB_NONE || reach != GLOB_WHOLE);
        CLAIM(above != GLOB_WHOLE || reach != GLOB_NONE);
        above = reach;
    }
}

static void check_literal(const char *pattern, const char *path)
{
    if (glob_is_wild(pattern) || *pattern == '!')
        return;
    struct glob_set *set = NULL;
    char *normal = path_normalize(pattern);
    bool fine = glob_set_new(&pattern, 1, &set, NULL, NULL) == 0;
    CLAIM(fine == (*pattern && normal));
    if (fine) {
        size_t n = strlen(pattern);
        bool folder = pattern[n - 1] == '/' && *normal;
        CLAIM(glob_set_has(set, path) ==
              (path_is_below(path, normal) && !(folder && strcmp(path, normal) == 0)));
        CLAIM(glob_set_names(set, path) == (strcmp(path, normal) == 0));
    }
    glob_set_free(set);
    free(normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *patterns[PATTERNS];
    size_t n = 0;
    while (n < PATTERNS && input.left) {
        char *line = input_line(&input);
        if (!*line) {
            free(line);
            break;
        }
        patterns[n++] = line;
    }
    struct glob_set *set = NULL;
    struct err err = ERR_INIT;
    size_t bad = SIZE_MAX;
    int rc = glob_set_new((const char *const *)patterns, n, &set, &bad, &err);
    CLAIM(rc == 0 ? set && err.kind == ERR_NONE : bad < n && err.kind == ERR_CONFIG);
    for (int paths = 0; input.left && paths < 16; paths++) {
        char *line = input_line(&input);
        char *path = path_normalize(line);
        if (path && *path) {
            for (size_t i = 0; i < n; i++)
                check_literal(patterns[i], path);
            if (rc == 0)
                check_path(set, patterns, n, path);
        }
        free(path);
        free(line);
    }
    glob_set_free(set);
    for (size_t i = 0; i < n; i++)
        free(patterns[i]);
    err_release(&err);
    return 0;
}
