/*
 * plain_ci.h - what the plain view does where a CI shows its lines: each step's log in a group that
 * folds, errors at the lines of files they name, a summary of the job.
 *
 * Which CI it is says the environment (plain_ci_here()); with PLAIN_CI_NONE nothing here adds
 * anything. What steps write never gives the CI an order: GitHub is told to take none while a log
 * is printed, by a word that nobody can guess, and kiln's own lines are made harmless.
 *
 * Included by view_plain.c, plain_*.c and their tests. Any thread.
 */
#ifndef KILN_CLI_PLAIN_CI_H
#define KILN_CLI_PLAIN_CI_H

#include "base/buf.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum plain_ci { PLAIN_CI_NONE, PLAIN_CI_GITHUB, PLAIN_CI_GITLAB, PLAIN_CI_BUILDKITE };

/* GITHUB_ACTIONS, GITLAB_CI or BUILDKITE is "true" there. */
enum plain_ci plain_ci_here(void);

/* Adds kiln's own words so that no line of them is an order to the CI. */
void plain_ci_words(enum plain_ci ci, const char *text, size_t n, struct buf *out);

/* A group, which is shown folded, but for one of what failed in Buildkite: id tells it from others
 * of the job. In Buildkite what follows is in the next group, so one of kiln's own words is opened
 * behind it. */
void plain_ci_open(enum plain_ci ci, struct buf *out, const char *id, const char *title,
                   bool failed, uint64_t now_ns);
void plain_ci_close(enum plain_ci ci, struct buf *out, const char *id, uint64_t now_ns);

/* Around what a step wrote: orders in it are text. The word is new each time. */
struct plain_ci_hush {
    char word[33];
};
void plain_ci_hush(enum plain_ci ci, struct buf *out, struct plain_ci_hush *hush);
void plain_ci_unhush(enum plain_ci ci, struct buf *out, const struct plain_ci_hush *hush);

/* Where a step's log says that something is wrong. */
struct plain_place {
    char *file;                 /* absolute; exists */
    unsigned long line, column; /* column 0: not known */
    char *text;
};
struct plain_places {
    VEC(struct plain_place) list;
};
/* GitHub: marks the line. */
void plain_ci_error_at(struct buf *out, const char *step, const struct plain_place *place);
/* GitHub: marks the step as a whole. */
void plain_ci_error(struct buf *out, const char *step, const char *text);

/* plain_places.c: the first places, at most that many, of files that exist. root: the project's;
 * mount: as event.h has it. Looks at the beginning of a log that is very long. */
void plain_places_find(struct plain_places *places, size_t most, const char *log, const char *root,
                       const char *mount);
void plain_places_release(struct plain_places *places);

#endif
