/*
 * hints_rules.h - the lines by which programs tell that something is not there, and how what they
 * name leads to files.
 *
 * Private to engine/hints*.c. A table; any thread.
 */
#ifndef KILN_ENGINE_HINTS_RULES_H
#define KILN_ENGINE_HINTS_RULES_H

#include <stdbool.h>

/* All but the phrase may be absent: then each word that may be a path is taken as it stands. */
struct hint_rule {
    const char *phrase;         /* in the line, in letters of either case */
    const char *const *endings; /* what is named is looked for with each of these behind it */
    const char *const *files;   /* what is missing, whatever is named beside it: in the directory
                                   that is named on the line or shortly before it, else where the
                                   step works, */
    bool up;                    /* and in the directories above */
    bool dotted;                /* names are modules: dots part directories */
    bool first;                 /* only the first name in quotes counts */
    bool from_later;            /* names in quotes are from the file that is named next */
    bool go;                    /* packages of Go, below the name in go.mod */
    const char *path;           /* a variable with directories in which it is looked for, too */
};

/* The rule for the line, or NULL: it tells of nothing that is not there. */
const struct hint_rule *hint_rule_of(const char *line);
/* Of what a line like "Cannot find source file:" announces. */
extern const struct hint_rule hint_rule_plain;

#endif
