#include "base/glob.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One element of a component with wildcards. */
struct token {
    enum { T_BYTE, T_ANY, T_STAR, T_CLASS } kind;
    unsigned char byte;
    const char *class; /* T_CLASS: what is behind the '[', checked when compiled; in the arena */
    size_t class_len;
};

/* One component of a pattern: what stands between slashes. */
struct component {
    enum {
        C_LITERAL, /* text */
        C_ANY,     /* '*': every name */
        C_SUFFIX,  /* '*' and text */
        C_WILD,    /* tokens */
        C_DEEP,    /* '**': any number of names, also none; never last, never twice in a row */
    } kind;
    const char *text;
    size_t n;
    const struct token *tokens;
};

struct pattern {
    const struct component *parts;
    size_t n_parts; /* 0: the root, so everything */
    bool negated;
    bool dir_only; /* it had a slash at its end: takes what is below, not a file of that name */
    const char *
        prefix; /* the literal components it starts with, joined: most paths are told by it alone */
    size_t prefix_len, n_prefix;
};

struct glob_set {
    struct arena arena;
    struct pattern *patterns;
    size_t n;
};

/* --- classes --- */

static const struct {
    const char *name;
    int (*is)(int c);
} named_classes[] = {
    {"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
    {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
    {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
};

static size_t take_scalar(const char *p, const char *end, uint32_t *scalar)
{
    size_t n = utf8_decode(p, (size_t)(end - p), scalar);
    if (n)
        return n;
    *scalar = 0x110000u + (unsigned char)*p; /* a byte that is no UTF-8 equals itself only */
    return 1;
}

/* One end of a range in a class: a character, perhaps behind a backslash. NULL when the text ends.
 */
static const char *take_member(const char *p, const char *end, uint32_t *scalar)
{
    if (p < end && *p == '\\')
        p++;
    if (p >= end)
        return NULL;
    return p + take_scalar(p, end, scalar);
}

/* [:name:] at p: returns what is behind it, NULL when the name is unknown. */
static const char *take_named(const char *p, const char *end, uint32_t wanted, bool *in)
{
    for (size_t i = 0; i < sizeof(named_classes) / sizeof(named_classes[0]); i++) {
        size_t n = strlen(named_classes[i].name);
        if ((size_t)(end - p) < n + 4 || memcmp(p + 2, named_classes[i].name, n) != 0 ||
            p[n + 2] != ':' || p[n + 3] != ']')
            continue;
        if (wanted < 0x80 && named_classes[i].is((int)wanted))
            *in = true;
        return p + n + 4;
    }
    return NULL;
}

/* Reads the class behind its '['; *in tells whether wanted is in it. Returns what is behind the
 * ']', NULL with *why when it is malformed. */
static const char *take_class(const char *p, const char *end, uint32_t wanted, bool *in,
                              const char **why)
{
    bool negated = p < end && (*p == '!' || *p == '^');
    bool found = false;
    *why = "a '[' is never closed; write \\[ for the character itself";
    p += negated;
    for (const char *first = p; p < end;) {
        if (*p == ']' && p != first) {
            *in = found != negated;
            return p + 1;
        }
        if (end - p > 1 && p[0] == '[' && p[1] == ':') {
            p = take_named(p, end, wanted, &found);
            if (!p) {
                *why =
                    "unknown [:class:]; there are alnum alpha blank cntrl digit graph lower print "
                    "punct space upper xdigit";
                return NULL;
            }
            continue;
        }
        uint32_t low, high;
        p = take_member(p, end, &low);
        if (!p)
            return NULL;
        high = low;
        if (end - p > 1 && p[0] == '-' && p[1] != ']') {
            p = take_member(p + 1, end, &high);
            if (!p)
                return NULL;
            if (high < low) {
                *why = "a range in [] runs backwards";
                return NULL;
            }
        }
        found |= low <= wanted && wanted <= high;
    }
    return NULL;
}

/* --- compiling --- */

/* Compiles one component of n > 0 bytes; returns NULL, or why it is malformed. */
static const char *compile_part(struct arena *arena, const char *text, size_t n,
                                struct component *part)
{
    const char *why = NULL;
    text = arena_strndup(arena, text, n); /* classes are read from it as long as the set lives */
    const char *end = text + n;
    struct token *tokens = arena_alloc(arena, n * sizeof(*tokens));
    char *literal = arena_alloc(arena, n + 1);
    size_t n_tokens = 0, n_literal = 0, n_stars = 0;
    bool others = false;
    if (n == 2 && text[0] == '*' && text[1] == '*') {
        *part = (struct component){.kind = C_DEEP};
        return NULL;
    }
    for (const char *p = text; p < end;) {
        struct token token = {.kind = T_BYTE, .byte = (unsigned char)*p};
        switch (*p++) {
        case '*':
            token.kind = T_STAR;
            while (p < end && *p == '*')
                p++;
            n_stars++;
            break;
        case '?':
            token.kind = T_ANY;
            others = true;
            break;
        case '[': {
            bool in;
            token.kind = T_CLASS;
            token.class = p;
            p = take_class(p, end, 0, &in, &why);
            if (!p)
                return why;
            token.class_len = (size_t)(p - token.class);
            others = true;
            break;
        }
        case '\\':
            if (p == end)
                return "a backslash takes the next character as it is, but none follows";
            token.byte = (unsigned char)*p++;
            break;
        default: break;
        }
        if (token.kind == T_BYTE)
            literal[n_literal++] = (char)token.byte;
        tokens[n_tokens++] = token;
    }
    literal[n_literal] = '\0';
    *part = (struct component){.kind = C_WILD, .text = literal, .n = n_literal, .tokens = tokens};
    if (!others && !n_stars)
        part->kind = C_LITERAL;
    else if (!others && n_stars == 1 && tokens[0].kind == T_STAR)
        part->kind = n_literal ? C_SUFFIX : C_ANY;
    else
        part->n = n_tokens;
    return NULL;
}

static bool is_literal(const struct component *part, const char *text)
{
    return part->kind == C_LITERAL && !strcmp(part->text, text);
}

static void find_prefix(struct arena *arena, struct pattern *pattern)
{
    struct buf prefix = BUF_INIT;
    size_t i = 0;
    for (; i < pattern->n_parts && pattern->parts[i].kind == C_LITERAL; i++) {
        if (i)
            buf_addc(&prefix, '/');
        buf_add(&prefix, pattern->parts[i].text, pattern->parts[i].n);
    }
    pattern->n_prefix = i;
    pattern->prefix_len = prefix.len;
    pattern->prefix = arena_strndup(arena, buf_str(&prefix), prefix.len);
    buf_release(&prefix);
}

/* Compiles one pattern; returns NULL, or what is wrong with it. */
static const char *compile(struct arena *arena, const char *text, struct pattern *pattern)
{
    *pattern = (struct pattern){.negated = *text == '!'};
    text += pattern->negated;
    if (!*text)
        return "it is empty; write \".\" for the whole project";
    if (*text == '/')
        return "it is absolute; write it relative to the project's root";
    VEC(struct component) parts = VEC_INIT;
    const char *why = NULL;
    for (const char *end = text + strlen(text); text < end && !why;) {
        const char *slash = memchr(text, '/', (size_t)(end - text));
        size_t n = (size_t)((slash ? slash : end) - text);
        struct component part;
        why = compile_part(arena, text, n, &part);
        text += n;
        pattern->dir_only = *text == '/';
        while (*text == '/')
            text++;
        if (why || is_literal(&part, "."))
            continue;
        if (!is_literal(&part, "..")) {
            if (part.kind != C_DEEP || !parts.n || vec_last(&parts).kind != C_DEEP)
                vec_push(&parts, part);
        } else if (!parts.n) {
            why = "it leads out of the project; only what lies below the root can be named";
        } else if (vec_last(&parts).kind != C_LITERAL) {
            why = "\"..\" behind a wildcard has no one meaning; write the pattern without it";
        } else {
            parts.n--;
        }
    }
    /* What lies below a name belongs to it, so at the end "a / **" and "a / ** / *" say what "a /
     * *" says. */
    while (!why && parts.n) {
        if (vec_last(&parts).kind == C_DEEP) {
            vec_last(&parts) = (struct component){.kind = C_ANY};
        } else if (parts.n > 1 && vec_last(&parts).kind == C_ANY &&
                   parts.v[parts.n - 2].kind == C_DEEP) {
            parts.n--;
        } else {
            break;
        }
    }
    if (!why) {
        pattern->parts = arena_memdup(arena, parts.v, parts.n * sizeof(*parts.v));
        pattern->n_parts = parts.n;
        find_prefix(arena, pattern);
    }
    vec_release(&parts);
    return why;
}

int glob_set_new(const char *const *patterns, size_t n, struct glob_set **out, size_t *bad,
                 struct err *err)
{
    struct glob_set *set = mem_zalloc(1, sizeof(*set));
    set->patterns = arena_zalloc(&set->arena, n, sizeof(*set->patterns));
    for (; set->n < n; set->n++) {
        const char *why = compile(&set->arena, patterns[set->n], &set->patterns[set->n]);
        if (!why)
            continue;
        if (bad)
            *bad = set->n;
        struct buf shown = BUF_INIT;
        buf_add_shown(&shown, patterns[set->n], strlen(patterns[set->n]));
        int code =
            err_set(err, ERR_CONFIG, "the pattern \"%s\" is not usable: %s", buf_str(&shown), why);
        buf_release(&shown);
        glob_set_free(set);
        return code;
    }
    *out = set;
    return 0;
}

void glob_set_free(struct glob_set *set)
{
    if (!set)
        return;
    arena_release(&set->arena);
    free(set);
}

/* --- matching --- */

/* Whether the token takes what is at p; *taken is the number of bytes. */
static bool token_takes(const struct token *token, const char *p, const char *end, size_t *taken)
{
    uint32_t scalar;
    bool in = false;
    const char *why;
    *taken = 1;
    if (token->kind == T_BYTE)
        return (unsigned char)*p == token->byte;
    *taken = take_scalar(p, end, &scalar);
    if (token->kind == T_ANY)
        return true;
    return take_class(token->class, token->class + token->class_len, scalar, &in, &why) && in;
}

/* Only the last star is ever tried longer: an earlier one has taken the shortest that can do, so
 * this costs at most tokens times bytes. */
static bool wild_matches(const struct component *part, const char *p, const char *end)
{
    const struct token *token = part->tokens, *last = token + part->n;
    const struct token *star = NULL;
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
            star_at += take_scalar(star_at, end, &scalar);
            p = star_at;
            token = star;
        } else {
            return false;
        }
    }
}

static bool part_matches(const struct component *part, const char *name, size_t n)
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
static bool pass_prefix(const struct pattern *pattern, const char *path, const char **rest)
{
    size_t n = pattern->prefix_len;
    if (n && (strncmp(path, pattern->prefix, n) != 0 || (path[n] && path[n] != '/')))
        return false;
    *rest = n && path[n] ? path + n + 1 : path + n;
    return true;
}

/* Whether the first n_parts components match path or a directory above it (strictly above when
 * below). As in wild_matches() only the last '**' is tried longer. */
static bool pattern_takes(const struct pattern *pattern, size_t n_parts, const char *path,
                          bool below)
{
    const char *name;
    if (n_parts < pattern->n_prefix)
        return false; /* no caller asks for that */
    if (!pass_prefix(pattern, path, &name))
        return false;
    const struct component *part = pattern->parts + pattern->n_prefix;
    const struct component *last = pattern->parts + n_parts;
    const struct component *deep = NULL;
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
static bool may_take_below(const struct pattern *pattern, const char *dir)
{
    const struct component *part = pattern->parts, *last = part + pattern->n_parts;
    for (const char *name = dir; *name; name = next_name(name), part++) {
        if (part == last || part->kind == C_DEEP)
            return true;
        if (!part_matches(part, name, (size_t)(name_end(name) - name)))
            return false;
    }
    return true;
}

/* Whether everything below dir matches. */
static bool takes_all_below(const struct pattern *pattern, const char *dir)
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
        const struct pattern *pattern = &set->patterns[i];
        if (pattern_takes(pattern, pattern->n_parts, path, pattern->dir_only && pattern->n_parts))
            return !pattern->negated;
    }
    return false;
}

enum glob_reach glob_set_reach(const struct glob_set *set, const char *dir)
{
    bool more = false, holes = false; /* what patterns behind may add below and take away */
    for (size_t i = set->n; i-- > 0;) {
        const struct pattern *pattern = &set->patterns[i];
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
static bool next_of(const struct pattern *pattern, const char *dir, const char **next)
{
    const struct component *part = pattern->parts, *last = part + pattern->n_parts;
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
        const struct pattern *pattern = &set->patterns[i];
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
