/*
 * break_rules.h - when a step is to be held for a person: rules as data, made from what people
 * write, and one function that is asked at three moments.
 *
 *     rule       condition [ "@" steps ]      without steps: whichever step
 *     condition  "before"                     it is about to start
 *                "after"                      it has ended, however
 *                "failure"                    it has failed
 *                "key-changed"                it is about to start, and its key is not that of its
 *                                             last pass, or it has not passed before
 *                "duration>" time             it has ended, and took longer: 500ms, 30s, 1h30m
 *                "output~" expression         it has ended, and a line of what it wrote matches
 *                                             (pattern.h); an "@" of the expression is written "\@"
 *     steps      a step's name, or a pattern with * ? [ ]; "*" also takes a "/"
 *
 * In place of before@STEP and after@STEP people may write STEP:before (or STEP alone) and
 * STEP:after.
 *
 * Ownership: the struct is the caller's, zeroed to start, break_rules_release() in the end. Rules
 * are told apart by their text, which is canonical. Any thread, one at a time.
 */
#ifndef KILN_ENGINE_BREAK_RULES_H
#define KILN_ENGINE_BREAK_RULES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pattern.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum break_moment {
    BREAK_START, /* the step would start now */
    BREAK_LINE,  /* it wrote a line */
    BREAK_END,   /* it has passed or failed */
    BREAK_MOMENTS,
};

enum break_kind {
    BREAK_BEFORE,
    BREAK_AFTER,
    BREAK_FAILURE,
    BREAK_KEY_CHANGED,
    BREAK_DURATION,
    BREAK_OUTPUT,
    BREAK_KINDS,
};

struct break_rule {
    enum break_kind kind;
    char *text;             /* the rule as it is written, its steps included */
    char *steps;            /* or NULL: all */
    uint64_t ms;            /* DURATION */
    struct pattern pattern; /* OUTPUT */
    uint64_t met;           /* times that it held a step */
};

struct break_rules {
    VEC(struct break_rule) v;
    unsigned asked[BREAK_MOMENTS]; /* how many rules are about that moment */
};

/* What is known at that moment. */
struct break_facts {
    enum break_moment moment;
    const char *step;
    bool key_changed, never_passed; /* START */
    const char *line;               /* LINE: n bytes, which a NUL follows and none is among */
    size_t n;
    bool failed; /* END */
    uint64_t duration_ms;
};

/* Takes the rule in; one that is there already stays as it is. added: may be NULL. ERR_USAGE with
 * what is wrong and what would be right. */
int break_rules_add(struct break_rules *rules, const char *text, bool *added,
                    struct err *err) MUST_CHECK;
/* The same of STEP, STEP:before, STEP:after. */
int break_rules_add_step(struct break_rules *rules, const char *text, struct err *err) MUST_CHECK;
/* False when there is none of that text. */
bool break_rules_remove(struct break_rules *rules, const char *text);
const struct break_rule *break_rules_find(const struct break_rules *rules, const char *text);
void break_rules_release(struct break_rules *rules);

/* The first rule that wants the step held, with why in words added to why; NULL: none does. Costs
 * next to nothing at a moment that no rule is about. */
struct break_rule *break_rules_ask(struct break_rules *rules, const struct break_facts *facts,
                                   struct buf *why);
/* Whether the rule is about that step. */
bool break_rule_is_of(const struct break_rule *rule, const char *step);
/* Whether a rule is about that step at that moment. */
bool break_rules_about(const struct break_rules *rules, enum break_moment moment, const char *step);
/* ERR_USAGE for a rule whose steps are none of these, with the nearest. */
int break_rules_check(const struct break_rules *rules, const char *const *steps, size_t n,
                      struct err *err) MUST_CHECK;

/* "before@NAME": the text of that rule; new. */
char *break_rule_before(const char *step);

#endif
