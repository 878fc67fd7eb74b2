/*
 * Any bytes as a .gitignore, and any path: the first byte tells of what kind the path is, the first
 * line is the path. The last line that decides is what decides, so a file says what its first line
 * and the rest say together.
 */
#include "cache/ignore_rules.h"

#include "tests/fuzz/fuzz.h"

static enum ignore_match match(const uint8_t *text, size_t n, bool fold, const char *path,
                               bool directory)
{
    struct ignore_rules *rules = ignore_rules_new((const char *)text, n, fold);
    enum ignore_match match = ignore_rules_match(rules, path, directory);
    CLAIM(match == ignore_rules_match(rules, path, directory));
    CLAIM(match == IGNORE_UNDECIDED || match == IGNORE_YES || match == IGNORE_NO);
    ignore_rules_free(rules);
    return match;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    unsigned flags = input_byte(&input);
    bool fold = flags & 1, directory = flags & 2;
    char *path = input_line(&input);
    enum ignore_match whole = match(input.at, input.left, fold, path, directory);
    const uint8_t *newline = input.left ? memchr(input.at, '\n', input.left) : NULL;
    size_t first = newline ? (size_t)(newline - input.at) + 1 : input.left;
    const uint8_t *rest = input.at + first;
    size_t n_rest = input.left - first;
    if (n_rest && rest[0] != 0xef) { /* not a mark, which counts at the start of a file alone */
        enum ignore_match last = match(rest, n_rest, fold, path, directory);
        if (last == IGNORE_UNDECIDED)
            last = match(input.at, first, fold, path, directory);
        CLAIM(whole == last);
    }
    free(path);
    return 0;
}
