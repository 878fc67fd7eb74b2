#include "engine/break_rules.h"

#include "base/mem.h"
#include "base/text.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define REMEDY "it is one of before, after, failure, key-changed, duration>TIME, output~EXPRESSION"

/* The grammar's conditions: the name, and what stands behind it before a value. */
static const struct condition {
    const char *name;
    char value; /* 0: it has none */
    enum break_moment moment;
} conditions[BREAK_KINDS] = {
    [BREAK_BEFORE] = {"before", 0, BREAK_START},
    [BREAK_AFTER] = {"after", 0, BREAK_END},
    [BREAK_FAILURE] = {"failure", 0, BREAK_END},
    [BREAK_KEY_CHANGED] = {"key-changed", 0, BREAK_START},
    [BREAK_DURATION] = {"duration", '>', BREAK_END},
    [BREAK_OUTPUT] = {"output", '~', BREAK_LINE},
};

/* -- reading ----------------------------------------------------------------------------------- */

/* n bytes of what was written, fit for a message. */
static char *shown(const char *text, size_t n)
{
    struct buf buf = BUF_INIT;
    buf_add_shown(&buf, text, n > 100 ? 100 : n);
    buf_adds(&buf, n > 100 ? "..." : "");
    return buf_detach(&buf);
}

static int wrong(struct err *err, const char *format, const char *text, size_t n)
{
    char *word = shown(text, n);
    char *words = mem_printf("%s \"%s\"", format, word);
    int rc = err_set(err, ERR_USAGE, "%s", words);
    free(words);
    free(word);
    return rc;
}

static int unknown(struct err *err, const char *name, size_t n)
{
    const char *names[BREAK_KINDS];
    for (size_t i = 0; i < BREAK_KINDS; i++)
        names[i] = conditions[i].name;
    char *word = mem_strndup(name, n), *text = shown(name, n);
    const char *near = text_nearest(word, names, BREAK_KINDS);
    int rc = near ? err_set(err, ERR_USAGE, "there is no condition \"%s\"; did you mean \"%s\"?",
                            text, near)
                  : err_set(err, ERR_USAGE, "there is no condition \"%s\"; " REMEDY, text);
    free(text);
    free(word);
    return rc;
}

/* Where the condition ends: at the first "@" that no backslash stands before. */
static size_t condition_length(const char *text)
{
    size_t n = 0;
    for (; text[n] && text[n] != '@'; n++) {
        if (text[n] == '\\' && text[n + 1])
            n++;
    }
    return n;
}

static int read_duration(struct break_rule *rule, const char *value, size_t n, struct err *err)
{
    char *time = mem_strndup(value, n);
    bool good = text_parse_duration(time, &rule->ms);
    free(time);
    return good ? 0
                : wrong(err, "duration> wants a time such as 500ms, 30s or 1h30m, not", value, n);
}

static int read_expression(struct break_rule *rule, const char *value, size_t n, struct err *err)
{
    struct buf text = BUF_INIT;
    if (!n)
        return err_set(err, ERR_USAGE, "output~ wants an expression: output~'[0-9]+ failed'");
    for (size_t i = 0; i < n; i++) {
        if (value[i] == '\\' && i + 1 < n && value[++i] != '@')
            buf_addc(&text, '\\');
        buf_addc(&text, value[i]);
    }
    pattern_set(&rule->pattern, buf_str(&text));
    int rc = 0;
    if (!pattern_ready(&rule->pattern)) {
        char *word = shown(text.data, text.len);
        rc = err_set(err, ERR_USAGE,
                     "output~ wants an expression as grep -E has them, not \"%s\": %s", word,
                     rule->pattern.invalid ? rule->pattern.invalid : "it is none");
        free(word);
    }
    buf_release(&text);
    return rc;
}

static void rule_release(struct break_rule *rule)
{
    pattern_release(&rule->pattern);
    free(rule->text);
    free(rule->steps);
}

static int read_rule(struct break_rule *rule, const char *text, struct err *err)
{
    size_t n = condition_length(text), name = 0;
    while (name < n && text[name] != '>' && text[name] != '~')
        name++;
    const char *value = text + name;
    enum break_kind kind = 0;
    while (kind < BREAK_KINDS && (strlen(conditions[kind].name) != name ||
                                  memcmp(conditions[kind].name, text, name) != 0))
        kind++;
    if (kind == BREAK_KINDS)
        return unknown(err, text, name);
    rule->kind = kind;
    char wanted = conditions[kind].value, found = name < n ? *value : '\0';
    if (wanted != found && wanted)
        return err_set(err, ERR_USAGE, "%s wants %s behind it: %s", conditions[kind].name,
                       wanted == '>' ? "a time" : "an expression",
                       wanted == '>' ? "duration>30s" : "output~'[0-9]+ failed'");
    if (wanted != found)
        return err_set(err, ERR_USAGE, "%s has no value; write just %s, or %s@STEP",
                       conditions[kind].name, conditions[kind].name, conditions[kind].name);
    if (text[n] == '@' && !text[n + 1])
        return err_set(err, ERR_USAGE, "behind the @ a step's name is wanted, or a pattern: %s@%s",
                       conditions[kind].name, "test");
    rule->text = mem_strdup(text);
    rule->steps = text[n] ? mem_strdup(text + n + 1) : NULL;
    if (kind == BREAK_DURATION)
        return read_duration(rule, value + 1, n - name - 1, err);
    if (kind == BREAK_OUTPUT)
        return read_expression(rule, value + 1, n - name - 1, err);
    return 0;
}

/* -- the list ---------------------------------------------------------------------------------- */

static size_t place_of(const struct break_rules *rules, const char *text)
{
    size_t i = 0;
    while (i < rules->v.n && strcmp(rules->v.v[i].text, text) != 0)
        i++;
    return i;
}

const struct break_rule *break_rules_find(const struct break_rules *rules, const char *text)
{
    size_t at = place_of(rules, text);
    return at < rules->v.n ? &rules->v.v[at] : NULL;
}

int break_rules_add(struct break_rules *rules, const char *text, bool *added, struct err *err)
{
    struct break_rule rule = {0};
    bool there = break_rules_find(rules, text) != NULL;
    if (added)
        *added = !there;
    if (there)
        return 0;
    int rc = read_rule(&rule, text, err);
    if (rc < 0) {
        rule_release(&rule);
        return rc;
    }
    vec_push(&rules->v, rule);
    rules->asked[conditions[rule.kind].moment]++;
    return 0;
}

static bool ends_with(const char *text, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}

int break_rules_add_step(struct break_rules *rules, const char *text, struct err *err)
{
    size_t n = strlen(text);
    bool after = ends_with(text, n, ":after");
    n -= after ? strlen(":after") : ends_with(text, n, ":before") ? strlen(":before") : 0;
    if (!n)
        return err_set(err, ERR_USAGE, "a step's name is wanted, or a pattern: test%s",
                       after ? ":after" : "");
    char *rule = mem_printf("%s@%.*s", after ? "after" : "before", (int)n, text);
    int rc = break_rules_add(rules, rule, NULL, err);
    free(rule);
    return rc;
}

bool break_rules_remove(struct break_rules *rules, const char *text)
{
    size_t at = place_of(rules, text);
    if (at == rules->v.n)
        return false;
    rules->asked[conditions[rules->v.v[at].kind].moment]--;
    rule_release(&rules->v.v[at]);
    memmove(&rules->v.v[at], &rules->v.v[at + 1], (rules->v.n - at - 1) * sizeof *rules->v.v);
    rules->v.n--;
    return true;
}

void break_rules_release(struct break_rules *rules)
{
    vec_each (struct break_rule, rule, &rules->v)
        rule_release(rule);
    vec_release(&rules->v);
    *rules = (struct break_rules){0};
}

char *break_rule_before(const char *step)
{
    return mem_printf("before@%s", step);
}

/* -- asking ------------------------------------------------------------------------------------ */

bool break_rule_is_of(const struct break_rule *rule, const char *step)
{
    return !rule->steps || strcmp(rule->steps, step) == 0 || fnmatch(rule->steps, step, 0) == 0;
}

bool break_rules_about(const struct break_rules *rules, enum break_moment moment, const char *step)
{
    if (!rules->asked[moment])
        return false;
    for (size_t i = 0; i < rules->v.n; i++) {
        const struct break_rule *rule = &rules->v.v[i];
        if (conditions[rule->kind].moment == moment && break_rule_is_of(rule, step))
            return true;
    }
    return false;
}

static bool is_met(const struct break_rule *rule, const struct break_facts *facts, struct buf *why)
{
    char took[16], most[16];
    switch (rule->kind) {
    case BREAK_BEFORE: buf_adds(why, "it is about to start"); return true;
    case BREAK_AFTER: buf_adds(why, "it has ended"); return true;
    case BREAK_FAILURE:
        if (facts->failed)
            buf_adds(why, "it failed");
        return facts->failed;
    case BREAK_KEY_CHANGED:
        if (facts->key_changed || facts->never_passed)
            buf_adds(why, facts->never_passed ? "it has not passed before"
                                              : "its key is not that of its last pass");
        return facts->key_changed || facts->never_passed;
    case BREAK_DURATION:
        if (facts->duration_ms <= rule->ms)
            return false;
        buf_addf(why, "it took %s, which is more than %s", text_duration(facts->duration_ms, took),
                 text_duration(rule->ms, most));
        return true;
    case BREAK_OUTPUT:
        if (!pattern_matches(&rule->pattern, facts->line, facts->n))
            return false;
        buf_adds(why, "it wrote: ");
        buf_add_shown(why, facts->line, facts->n > 200 ? 200 : facts->n);
        return true;
    case BREAK_KINDS: break;
    }
    return false;
}

struct break_rule *break_rules_ask(struct break_rules *rules, const struct break_facts *facts,
                                   struct buf *why)
{
    if (!rules->asked[facts->moment])
        return NULL;
    vec_each (struct break_rule, rule, &rules->v) {
        if (conditions[rule->kind].moment == facts->moment && break_rule_is_of(rule, facts->step) &&
            is_met(rule, facts, why)) {
            rule->met++;
            return rule;
        }
    }
    return NULL;
}

int break_rules_check(const struct break_rules *rules, const char *const *steps, size_t n,
                      struct err *err)
{
    for (size_t i = 0; i < rules->v.n; i++) {
        const struct break_rule *rule = &rules->v.v[i];
        bool any = false;
        for (size_t k = 0; k < n && !any; k++)
            any = break_rule_is_of(rule, steps[k]);
        if (any)
            continue;
        char *text = shown(rule->steps ? rule->steps : "", rule->steps ? strlen(rule->steps) : 0);
        const char *near = rule->steps ? text_nearest(rule->steps, steps, n) : NULL;
        int rc =
            near ? err_set(err, ERR_USAGE,
                           "no step is called \"%s\", which is to be held; did you mean \"%s\"?",
                           text, near)
                 : err_set(err, ERR_USAGE,
                           "no step is called \"%s\", which is to be held; \"kiln plan\" lists "
                           "the steps",
                           text);
        free(text);
        return rc;
    }
    return 0;
}
