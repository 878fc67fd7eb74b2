/*
 * hints_private.h - looking for what a step's log names, for engine/hints*.c alone.
 *
 *     hints.c        the log: its lines and words
 *     hints_rules.c  which lines tell that something is not there
 *     hints_look.c   where that could be
 *
 * Loop thread.
 */
#ifndef KILN_ENGINE_HINTS_PRIVATE_H
#define KILN_ENGINE_HINTS_PRIVATE_H

#include "engine/hints_rules.h"
#include "engine/private.h"

/* A directory that a line names, or that of a file that it names. */
struct beside {
    char *dir;
    size_t line;
    bool itself;
};

struct search {
    struct engine *e;
    const struct instance *in;
    const struct node *node;
    const char *mount; /* where the project was inside */
    const char *path;  /* where the step finds programs, when one was not found; or NULL */
    struct map tried;
    VEC(struct beside) beside;
    size_t line;
    const struct hint_rule *rule; /* the line tells that something is not there; or NULL */
    bool announced;               /* the line before it says that the next one does */
    char *later;                  /* a name that is from the file that is named next, or NULL, */
    const struct hint_rule *later_rule;
    size_t later_line; /* and where it stood */
};

/* All of these add at most one hint, for the first thing that the project has and the step has not
 * got. */

/* An absolute path. */
void hints_look_absolute(struct search *s, const char *word, struct hints *out);
/* One from everywhere that the step may have looked at; since: first of all beside what was named
 * since that line, or 0. */
void hints_look_relative(struct search *s, const struct hint_rule *rule, const char *word,
                         size_t since, struct hints *out);
/* The files of the line's rule. */
void hints_look_files(struct search *s, struct hints *out);
/* A package of Go. */
void hints_look_package(struct search *s, const char *word, struct hints *out);
/* A program that was not found. */
void hints_look_program(struct search *s, const char *name, struct hints *out);

#endif
