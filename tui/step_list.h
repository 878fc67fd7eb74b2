/*
 * step_list.h - which steps the steps pane shows, and in which order.
 *
 *     tree     each step below the first of those that need it; what nothing needs is at the left
 *     levels   what needs nothing first, then what needs only that, and so on
 *     flat     in the pipeline's order
 *
 * Siblings, the steps of a level, or all are sorted. What is filtered is a flat list. The rows are
 * kept and made anew only when something that they depend on has changed, so that a frame costs
 * what is visible, however many steps there are.
 *
 * Ownership: the struct is the caller's, zeroed to start, step_list_release() in the end. Loop
 * thread only; the model is only read.
 */
#ifndef KILN_TUI_STEP_LIST_H
#define KILN_TUI_STEP_LIST_H

#include "base/map.h"
#include "base/vec.h"
#include "tui/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum steps_form { STEPS_TREE, STEPS_LEVELS, STEPS_FLAT, STEPS_FORMS };
enum steps_sort {
    SORT_PIPELINE,
    SORT_STATE,
    SORT_DURATION,
    SORT_NAME,
    SORT_PROCESSOR,
    SORT_MEMORY,
    SORTS
};
enum steps_only { ONLY_ALL, ONLY_FAILED, ONLY_ACTIVE, ONLIES };

#define STEPS_NONE SIZE_MAX

struct step_row {
    size_t step;
    uint32_t depth;  /* in the tree; else 0 */
    uint32_t level;  /* the longest way up, in levels; else 0 */
    uint64_t more;   /* bit d: below this row comes a sibling of its ancestor at depth d, or of
                        itself (d == depth); of the first 64 depths */
    uint32_t hidden; /* folded: how many are not shown */
    bool parent;     /* there is something below it, shown or not */
    bool first;      /* of its level */
};

struct step_list {
    enum steps_form form;
    enum steps_sort sort;
    enum steps_only only;
    char *filter;      /* fuzzy; NULL: none */
    struct map folded; /* names */
    VEC(struct step_row) rows;
    VEC(size_t) place;         /* step -> index into list, STEPS_NONE: not shown */
    VEC(size_t) parents;       /* step -> the one it is below in the tree, or STEPS_NONE */
    uint32_t widest;           /* columns of the longest name with its place in the tree */
    uint64_t structure, state; /* of the model, when they were made */
    bool old;                  /* a choice has changed since; set it with the choice */
    bool made;
};

/* Brings them up to date. */
void step_list_make(struct step_list *list, const struct model *model);
void step_list_release(struct step_list *list);
/* Whether something is chosen that leaves steps out. */
bool step_list_filtered(const struct step_list *list);
/* The place of the step, STEPS_NONE when it is not shown. After step_list_make(). */
size_t step_list_place(const struct step_list *list, size_t step);
/* The step above it in the tree, or STEPS_NONE. */
size_t step_list_parent(const struct step_list *list, size_t step);
bool step_list_is_folded(const struct step_list *list, const char *step);
void step_list_fold(struct step_list *list, const char *step, bool folded);
void step_list_fold_all(struct step_list *list, const struct model *model, bool folded);
/* Unfolds all that the step is below of. */
void step_list_reveal(struct step_list *list, const struct model *model, size_t step);

#endif
