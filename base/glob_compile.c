#include "base/glob_private.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*is)(int c);
} named_classes[] = {
    {"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
    {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
    {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
};

/* One end of a range in a class: a character, perhaps behind a backslash. NULL when the text ends.
 */
static const char *take_member(const char *p, const char *end, uint32_t *scalar)
{
    if (p < end && *p == '\\')
        p++;
    if (p >= end)
        return NULL;
    return p + glob_take_scalar(p, end, scalar);
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

const char *glob_take_class(const char *p, const char *end, uint32_t wanted, bool *in,
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

/* Compiles one component of n > 0 bytes; returns NULL, or why it is malformed. */
static const char *compile_part(struct arena *arena, const char *text, size_t n,
                                struct glob_component *part)
{
    const char *why = NULL;
    text = arena_strndup(arena, text, n); /* classes are read from it as long as the set lives */
    const char *end = text + n;
    struct glob_token *tokens = arena_alloc(arena, n * sizeof(*tokens));
    char *literal = arena_alloc(arena, n + 1);
    size_t n_tokens = 0, n_literal = 0, n_stars = 0;
    bool others = false;
    if (n == 2 && text[0] == '*' && text[1] == '*') {
        *part = (struct glob_component){.kind = C_DEEP};
        return NULL;
    }
    for (const char *p = text; p < end;) {
        struct glob_token token = {.kind = T_BYTE, .byte = (unsigned char)*p};
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
            p = glob_take_class(p, end, 0, &in, &why);
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
    *part =
        (struct glob_component){.kind = C_WILD, .text = literal, .n = n_literal, .tokens = tokens};
    if (!others && !n_stars)
        part->kind = C_LITERAL;
    else if (!others && n_stars == 1 && tokens[0].kind == T_STAR)
        part->kind = n_literal ? C_SUFFIX : C_ANY;
    else
        part->n = n_tokens;
    return NULL;
}

static bool is_literal(const struct glob_component *part, const char *text)
{
    return part->kind == C_LITERAL && !strcmp(part->text, text);
}

static void find_prefix(struct arena *arena, struct glob_pattern *pattern)
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
static const char *compile(struct arena *arena, const char *text, struct glob_pattern *pattern)
{
    *pattern = (struct glob_pattern){.negated = *text == '!'};
    text += pattern->negated;
    if (!*text)
        return "it is empty; write \".\" for the whole project";
    if (*text == '/')
        return "it is absolute; write it relative to the project's root";
    VEC(struct glob_component) parts = VEC_INIT;
    const char *why = NULL;
    for (const char *end = text + strlen(text); text < end && !why;) {
        const char *slash = memchr(text, '/', (size_t)(end - text));
        size_t n = (size_t)((slash ? slash : end) - text);
        struct glob_component part;
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
            vec_last(&parts) = (struct glob_component){.kind = C_ANY};
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
