/*
 * gitignore(5), pattern by pattern. What the manual page leaves open is as git does it: a line ends
 * at LF, a CR before it is dropped, trailing spaces count only behind a backslash, a byte order
 * mark at the start is passed over, and bytes are matched, not characters.
 */
#include "cache/ignore_rules.h"

#include "base/mem.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    const char *pattern; /* without '!', leading and trailing '/' */
    size_t len;
    bool negated, directories_only;
    bool anywhere; /* no slash: matches the last component alone, at any depth */
    bool literal;  /* no character of the pattern is special */
};

struct ignore_rules {
    char *text; /* the patterns point into it */
    VEC(struct rule) rules;
    bool fold;
};

static unsigned char folded(char c, bool fold)
{
    return (unsigned char)(fold ? tolower((unsigned char)c) : c);
}

static bool named_class_has(const char *name, size_t n, unsigned char c, bool *known)
{
    static const struct {
        const char *name;
        int (*has)(int c);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank},
                   {"cntrl", iscntrl}, {"digit", isdigit}, {"graph", isgraph},
                   {"lower", islower}, {"print", isprint}, {"punct", ispunct},
                   {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strlen(classes[i].name) == n && !memcmp(classes[i].name, name, n))
            return c < 128 && classes[i].has(c);
    *known = false;
    return false;
}

/* Matches c against the class that begins behind '[' at p; returns what follows its ']', or NULL
 * when it is malformed. */
static const char *match_class(const char *p, unsigned char c, bool fold, bool *matched)
{
    bool negated = *p == '!' || *p == '^';
    bool in = false, first = true, known = true;
    unsigned char previous = 0;
    if (negated)
        p++;
    for (;; first = false) {
        unsigned char low = (unsigned char)*p++;
        if (!low)
            return NULL;
        if (low == ']' && !first)
            break;
        if (low == '[' && *p == ':') {
            const char *name = p + 1, *end = strchr(name, ']');
            if (!end)
                return NULL;
            if (end > name && end[-1] == ':') {
                in |= named_class_has(name, (size_t)(end - 1 - name), c, &known);
                if (fold && isupper(c) == 0 && c < 128)
                    in |= named_class_has(name, (size_t)(end - 1 - name), (unsigned char)toupper(c),
                                          &known);
                p = end + 1;
                previous = 0;
                continue;
            }
        }
        if (low == '-' && previous && *p && *p != ']') {
            unsigned char high = (unsigned char)*p++;
            if (high == '\\' && !(high = (unsigned char)*p++))
                return NULL;
            in |= c >= previous && c <= high;
            if (fold && islower(c))
                in |= toupper(c) >= previous && toupper(c) <= high;
            previous = 0;
            continue;
        }
        if (low == '\\' && !(low = (unsigned char)*p++))
            return NULL;
        in |= folded((char)low, fold) == c;
        previous = low;
    }
    *matched = in != negated && c != '/';
    return known ? p : NULL;
}

enum outcome {
    NO,
    YES,
    /* No match, and a star further left can't help by taking more. These two keep a pattern of many
     * stars from taking exponential time. */
    NOT_IN_COMPONENT, /* a '*' came to a slash: only '**' may go on */
    NOT_AT_ALL,       /* the text ran out */
};

/* '**' is a wildcard over components where slashes or an end stand on both sides of it; elsewhere
 * it is '*'. */
static enum outcome wild(const char *start, const char *p, const char *s, bool fold)
{
    for (; *p; p++, s++) {
        if (!*s && *p != '*')
            return NOT_AT_ALL;
        switch (*p) {
        case '?':
            if (*s == '/')
                return NO;
            break;
        case '[': {
            bool matched;
            const char *behind = match_class(p + 1, folded(*s, fold), fold, &matched);
            if (!behind || !matched)
                return NO;
            p = behind - 1;
            break;
        }
        case '*': {
            const char *stars = p;
            while (*p == '*')
                p++;
            bool bounded = stars == start || stars[-1] == '/';
            bool deep = p - stars >= 2 && bounded && (!*p || *p == '/');
            /* Where the text ran out for what follows, it runs out further right too; another '**'
             * says nothing else but that or YES, so several of them don't multiply. */
            for (; deep && *p == '/'; s++) {
                enum outcome rest = wild(start, p + 1, s, fold);
                if (rest == YES || rest == NOT_AT_ALL)
                    return rest;
                s = strchr(s, '/');
                if (!s)
                    return NOT_AT_ALL;
            }
            if (!*p)
                return deep || !strchr(s, '/') ? YES : NOT_IN_COMPONENT;
            for (;; s++) {
                enum outcome rest = wild(start, p, s, fold);
                if (rest != NO)
                    return rest;
                if (!*s)
                    return NOT_AT_ALL;
                if (*s == '/')
                    return NOT_IN_COMPONENT;
            }
        }
        case '\\':
            if (!*++p)
                return NO;
            /* fall through */
        default:
            if (folded(*p, fold) != folded(*s, fold))
                return NO;
        }
    }
    return *s ? NO : YES;
}

static bool equal(const char *a, const char *b, bool fold)
{
    if (!fold)
        return strcmp(a, b) == 0;
    for (; *a && folded(*a, true) == folded(*b, true); a++)
        b++;
    return folded(*a, true) == folded(*b, true);
}

/* Cuts spaces off the end; one behind a backslash stays, and so does what is before it. */
static void trim_spaces(char *line)
{
    char *blank = NULL;
    for (char *p = line; *p; p++) {
        if (*p == ' ') {
            blank = blank ? blank : p;
            continue;
        }
        blank = NULL;
        if (*p == '\\' && !*++p)
            return;
    }
    if (blank)
        *blank = '\0';
}

static void add_line(struct ignore_rules *rules, char *line)
{
    struct rule rule = {.pattern = line};
    if (*line == '#')
        return;
    trim_spaces(line);
    if (*line == '!') {
        rule.negated = true;
        line++;
    }
    size_t len = strlen(line);
    if (len && line[len - 1] == '/') {
        rule.directories_only = true;
        line[--len] = '\0';
    }
    rule.anywhere = !strchr(line, '/');
    if (*line == '/') {
        line++;
        len--;
    }
    if (!len)
        return;
    rule.pattern = line;
    rule.len = len;
    rule.literal = !strpbrk(line, "*?[\\");
    vec_push(&rules->rules, rule);
}

struct ignore_rules *ignore_rules_new(const char *text, size_t n, bool fold)
{
    struct ignore_rules *rules = mem_zalloc(1, sizeof(*rules));
    rules->fold = fold;
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        n -= 3;
    }
    rules->text = mem_strndup(n ? text : "", n);
    char *end = rules->text + n;
    for (char *line = rules->text; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline ? newline : end;
        if (newline && stop > line && stop[-1] == '\r')
            stop[-1] = '\0';
        *stop = '\0';
        add_line(rules, line);
        line = stop + 1;
    }
    return rules;
}

void ignore_rules_free(struct ignore_rules *rules)
{
    if (!rules)
        return;
    vec_release(&rules->rules);
    free(rules->text);
    free(rules);
}

enum ignore_match ignore_rules_match(const struct ignore_rules *rules, const char *path,
                                     bool directory)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = rules->rules.n; i-- > 0;) {
        const struct rule *rule = &rules->rules.v[i];
        if (rule->directories_only && !directory)
            continue;
        const char *text = rule->anywhere ? name : path;
        bool hit = rule->literal ? equal(rule->pattern, text, rules->fold)
                                 : wild(rule->pattern, rule->pattern, text, rules->fold) == YES;
        if (hit)
            return rule->negated ? IGNORE_NO : IGNORE_YES;
    }
    return IGNORE_UNDECIDED;
}
