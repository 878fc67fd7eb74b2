#include "base/glob_private.h"

#include <string.h>

/* Whether the token takes what is at p; *taken is the number of bytes. */
static bool token_takes(const struct glob_token *token, const char *p, const char *end,
                        size_t *taken)
{
    uint32_t scalar;
    bool in = false;
    const char *why;
    *taken = 1;
    if (token->kind == T_BYTE)
        return (unsigned char)*p == token->byte;
    *taken = glob_take_scalar(p, end, &scalar);
    if (token->kind == T_ANY)
        return true;
    return glob_take_class(token->class, token->class + token->class_len, scalar, &in, &why) && in;
}

/* Only the last star is ever tried longer: an earlier one has taken the shortest that can do, so
 * this costs at most tokens times bytes. */
static bool wild_matches(const struct glob_component *part, const char *p, const char *end)
{
    const struct glob_token *token = part->tokens, *last = token + part->n;
    const struct glob_token *star = NULL;
    const char *star_at = NULL;
    for (;;) {
        size_t taken;
        uint32_t scalar;
        if (token < last && token->kind == T_STAR) {
            star = ++token;
            star_at = p;
            if (star == last)
                return true;
        } else if (p == end && token == last) {
            return true;
        } else if (p < end && token < last && token_takes(token, p, end, &taken)) {
            p += taken;
            token++;
        } else if (star && star_at < end) {
            star_at += glob_take_scalar(star_at, end, &scalar);
            p = star_at;
            token = star;
        } else {
            return false;
        }
    }
}

static bool part_matches(const struct glob_component *part, const char *name, size_t n)
{
    switch (part->kind) {
    case C_LITERAL: return n == part->n && !memcmp(name, part->text, n);
    case C_ANY: return true;
    case C_SUFFIX: return n >= part->n && !memcmp(name + n - part->n, part->text, part->n);
    case C_WILD: return wild_matches(part, name, name + n);
    case C_DEEP: break;
    }
    return false;
}

static const char *name_end(const char *name)
{
    return strchrnul(name, '/');
}

static const char *next_name(const char *name)
{
    const char *end = name_end(name);
    return *end ? end + 1 : end;
}

/* Passes the literal prefix: true when path is it or lies below it, then with the rest of path in
 * *rest. */
static bool pass_prefix(const struct glob_pattern *pattern, const char *path, const char **rest)
{
    size_t n = pattern->prefix_len;
    if (n && (strncmp(path, pattern->prefix, n) != 0 || (path[n] && path[n] != '/')))
        return false;
    *rest = n && path[n] ? path + n + 1 : path + n;
    return true;
}

/* Whether the first n_parts components match path or a directory above it (strictly above when
 * below). As in wild_matches() only the last '**' is tried longer. */
static bool pattern_takes(const struct glob_pattern *pattern, size_t n_parts, const char *path,
                          bool below)
{
    const char *name;
    if (n_parts < pattern->n_prefix)
        return false; /* no caller asks for that */
    if (!pass_prefix(pattern, path, &name))
        return false;
    const struct glob_component *part = pattern->parts + pattern->n_prefix;
    const struct glob_component *last = pattern->parts + n_parts;
    const struct glob_component *deep = NULL;
    const char *deep_at = NULL;
    for (;;) {
        if (part == last)
            return *name || !below;
        if (part->kind == C_DEEP) {
            deep = ++part;
            deep_at = name;
        } else if (!*name) {
            return false;
        } else if (part_matches(part, name, (size_t)(name_end(name) - name))) {
            name = next_name(name);
            part++;
        } else if (deep) {
            deep_at = next_name(deep_at);
            name = deep_at;
            part = deep;
        } else {
            return false;
        }
    }
}

/* Whether something below dir may match. */
static bool may_take_below(const struct glob_pattern *pattern, const char *dir)
{
    const struct glob_component *part = pattern->parts, *last = part + pattern->n_parts;
    for (const char *name = dir; *name; name = next_name(name), part++) {
        if (part == last || part->kind == C_DEEP)
            return true;
        if (!part_matches(part, name, (size_t)(name_end(name) - name)))
            return false;
    }
    return true;
}

/* Whether everything below dir matches. */
static bool takes_all_below(const struct glob_pattern *pattern, const char *dir)
{
    if (pattern_takes(pattern, pattern->n_parts, dir, false))
        return true;
    size_t n = pattern->n_parts;
    return n && pattern->parts[n - 1].kind == C_ANY && !pattern->dir_only &&
           pattern_takes(pattern, n - 1, dir, false);
}

bool glob_set_has(const struct glob_set *set, const char *path)
{
    for (size_t i = set->n; i-- > 0;) {
        const struct glob_pattern *pattern = &set->patterns[i];
        if (pattern_takes(pattern, pattern->n_parts, path, pattern->dir_only && pattern->n_parts))
            return !pattern->negated;
    }
    return false;
}

enum glob_reach glob_set_reach(const struct glob_set *set, const char *dir)
{
    bool more = false, holes = false; /* what patterns behind may add below and take away */
    for (size_t i = set->n; i-- > 0;) {
        const struct glob_pattern *pattern = &set->patterns[i];
        if (takes_all_below(pattern, dir)) {
            if (pattern->negated)
                break;
            return holes ? GLOB_SOME : GLOB_WHOLE;
        }
        if (may_take_below(pattern, dir)) {
            more |= !pattern->negated;
            holes |= pattern->negated;
        }
    }
    return more ? GLOB_SOME : GLOB_NONE;
}

/* The one name that the pattern may take something of in dir; *next is NULL when there is none.
 * False when it may be any. */
static bool next_of(const struct glob_pattern *pattern, const char *dir, const char **next)
{
    const struct glob_component *part = pattern->parts, *last = part + pattern->n_parts;
    *next = NULL;
    for (const char *name = dir; *name; name = next_name(name), part++) {
        if (part == last || part->kind == C_DEEP)
            return false;
        if (!part_matches(part, name, (size_t)(name_end(name) - name)))
            return true;
    }
    if (part == last || part->kind != C_LITERAL)
        return false;
    *next = part->text;
    return true;
}

bool glob_set_next(const struct glob_set *set, const char *dir, glob_name_cb *name_cb, void *ctx)
{
    for (size_t i = 0; i < set->n; i++) {
        const char *next;
        if (set->patterns[i].negated)
            continue; /* it only takes away */
        if (!next_of(&set->patterns[i], dir, &next) || (next && !name_cb(ctx, next)))
            return false;
    }
    return true;
}

bool glob_set_names(const struct glob_set *set, const char *path)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct glob_pattern *pattern = &set->patterns[i];
        if (!pattern->negated && pattern->n_prefix == pattern->n_parts &&
            !strcmp(pattern->prefix, path))
            return true;
    }
    return false;
}

bool glob_is_wild(const char *pattern)
{
    return strpbrk(pattern + (*pattern == '!'), "*?[\\") != NULL;
}
