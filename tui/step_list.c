#include "tui/step_list.h"

#include "base/mem.h"
#include "tui/fuzzy.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

#define HIDDEN_WIDTH 5 /* " +120" */

/* The rows while they are made: the children of each step are steps of `below`, from `first[i]` on;
 * what nothing needs are the children of `n`. */
struct making {
    struct step_list *list;
    const struct model *model;
    size_t n;
    size_t *first, *below; /* n + 2; n */
    uint32_t *level;
};

static uint64_t how_long(const struct model_step *step)
{
    return step->duration_ms > 0 ? step->duration_ms : step->ran_ms;
}

/* What needs a look first. */
static int weight(const struct model_step *step)
{
    static const int weights[STATE_N] = {
        [STATE_FAILED] = 0, [STATE_RUNNING] = 1, [STATE_CANCELLED] = 2,
        [STATE_QUEUED] = 3, [STATE_WAITING] = 4, [STATE_SKIPPED] = 5,
        [STATE_PASSED] = 6, [STATE_CACHED] = 7,  [STATE_IDLE] = 8,
    };
    return weights[step->state];
}

static int compare(const void *left, const void *right, void *ctx)
{
    const struct making *making = ctx;
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    const struct model_step *x = &making->model->steps.v[a], *y = &making->model->steps.v[b];
    int order = 0;
    if (making->list->form == STEPS_LEVELS && !step_list_filtered(making->list) &&
        making->level[a] != making->level[b])
        return making->level[a] < making->level[b] ? -1 : 1;
    if (making->list->sort == SORT_STATE)
        order = weight(x) - weight(y);
    else if (making->list->sort == SORT_DURATION && how_long(x) != how_long(y))
        order = how_long(x) > how_long(y) ? -1 : 1;
    else if (making->list->sort == SORT_PROCESSOR && x->cpu_ms != y->cpu_ms)
        order = x->cpu_ms > y->cpu_ms ? -1 : 1;
    else if (making->list->sort == SORT_MEMORY && x->memory_bytes != y->memory_bytes)
        order = x->memory_bytes > y->memory_bytes ? -1 : 1;
    else if (making->list->sort == SORT_NAME)
        order = strcmp(x->name, y->name);
    if (order)
        return order;
    return a < b ? -1 : a > b;
}

static bool matches(const struct step_list *list, const struct model_step *step)
{
    if (list->only == ONLY_FAILED && step->state != STATE_FAILED)
        return false;
    if (list->only == ONLY_ACTIVE && step->state != STATE_RUNNING && step->state != STATE_QUEUED &&
        step->state != STATE_WAITING)
        return false;
    return !list->filter || fuzzy_score(list->filter, step->name) >= 0;
}

bool step_list_filtered(const struct step_list *list)
{
    return list->only != ONLY_ALL || list->filter;
}

static void find_parents(const struct making *making)
{
    struct step_list *list = making->list;
    vec_clear(&list->parents);
    for (size_t i = 0; i < making->n; i++)
        vec_push(&list->parents, STEPS_NONE);
    for (size_t i = 0; i < making->n; i++) {
        const struct model_step *step = &making->model->steps.v[i];
        vec_each (const size_t, need, &step->needs) {
            /* A step that came without its pipeline may stand anywhere. */
            if (*need < i && list->parents.v[*need] == STEPS_NONE)
                list->parents.v[*need] = i;
            if (*need < i && making->level[*need] >= making->level[i])
                making->level[i] = making->level[*need] + 1;
        }
    }
}

static void find_children(const struct making *making)
{
    size_t n = making->n, *at = making->first;
    const struct step_list *list = making->list;
    for (size_t i = 0; i < n; i++)
        at[(list->parents.v[i] == STEPS_NONE ? n : list->parents.v[i]) + 1]++;
    for (size_t i = 1; i < n + 2; i++)
        at[i] += at[i - 1];
    size_t *next = mem_alloc((n + 1) * sizeof *next);
    memcpy(next, at, (n + 1) * sizeof *next);
    for (size_t i = 0; i < n; i++)
        making->below[next[list->parents.v[i] == STEPS_NONE ? n : list->parents.v[i]]++] = i;
    free(next);
    for (size_t i = 0; i <= n && list->sort != SORT_PIPELINE; i++)
        if (at[i + 1] - at[i] > 1)
            qsort_r(making->below + at[i], at[i + 1] - at[i], sizeof *at, compare,
                    (void *)(uintptr_t)making);
}

static void add_row(const struct making *making, struct step_row row)
{
    struct step_list *list = making->list;
    const struct model_step *step = &making->model->steps.v[row.step];
    list->place.v[row.step] = list->rows.n;
    uint32_t width = (uint32_t)width_text(step->name, strnlen(step->name, 64)) + row.depth;
    if (row.parent && step_list_is_folded(list, step->name))
        width += HIDDEN_WIDTH;
    if (width > list->widest)
        list->widest = width;
    vec_push(&list->rows, row);
}

/* Its own stack: a pipeline may be as deep as it likes. */
static void make_tree(const struct making *making)
{
    struct step_list *list = making->list;
    struct level {
        size_t at, end;
    };
    VEC(struct level) stack = VEC_INIT;
    size_t folded_at = STEPS_NONE; /* the row whose rows below are left out ... */
    size_t folded_depth = 0;       /* ... and how deep it is */
    find_children(making);
    vec_push(&stack, ((struct level){making->first[making->n], making->first[making->n + 1]}));
    while (stack.n) {
        struct level *top = &vec_last(&stack);
        if (top->at == top->end) {
            (void)vec_pop(&stack);
            continue;
        }
        size_t step = making->below[top->at++];
        size_t depth = stack.n - 1;
        struct step_row row = {.step = step, .depth = (uint32_t)depth};
        row.parent = making->first[step + 1] > making->first[step];
        if (folded_at != STEPS_NONE && depth <= folded_depth)
            folded_at = STEPS_NONE;
        if (folded_at != STEPS_NONE) {
            list->rows.v[folded_at].hidden++;
        } else {
            for (size_t d = 0; d < stack.n && d < 64; d++)
                row.more |= (uint64_t)(stack.v[d].at < stack.v[d].end) << d;
            if (row.parent && step_list_is_folded(list, making->model->steps.v[step].name)) {
                folded_at = list->rows.n;
                folded_depth = depth;
            }
            add_row(making, row);
        }
        if (row.parent)
            vec_push(&stack, ((struct level){making->first[step], making->first[step + 1]}));
    }
    vec_release(&stack);
}

static void make_list(const struct making *making)
{
    const struct step_list *list = making->list;
    bool filtered = step_list_filtered(list), levels = list->form == STEPS_LEVELS && !filtered;
    VEC(size_t) shown = VEC_INIT;
    for (size_t i = 0; i < making->n; i++)
        if (matches(list, &making->model->steps.v[i]))
            vec_push(&shown, i);
    if (shown.n > 1 && (levels || list->sort != SORT_PIPELINE))
        qsort_r(shown.v, shown.n, sizeof *shown.v, compare, (void *)(uintptr_t)making);
    for (size_t i = 0; i < shown.n; i++) {
        struct step_row row = {.step = shown.v[i]};
        if (levels) {
            row.level = making->level[shown.v[i]];
            row.first = i == 0 || making->level[shown.v[i - 1]] != row.level;
        }
        add_row(making, row);
    }
    vec_release(&shown);
}

void step_list_make(struct step_list *list, const struct model *model)
{
    bool by_state =
        list->only != ONLY_ALL || (list->sort != SORT_PIPELINE && list->sort != SORT_NAME);
    if (list->made && !list->old && list->structure == model->structure &&
        (!by_state || list->state == model->state))
        return;
    size_t n = model->steps.n;
    struct making making = {.list = list,
                            .model = model,
                            .n = n,
                            .first = mem_zalloc(n + 2, sizeof *making.first),
                            .below = mem_zalloc(n + 1, sizeof *making.below),
                            .level = mem_zalloc(n + 1, sizeof *making.level)};
    list->structure = model->structure;
    list->state = model->state;
    list->old = false;
    list->made = true;
    list->widest = 0;
    vec_clear(&list->rows);
    vec_clear(&list->place);
    for (size_t i = 0; i < n; i++)
        vec_push(&list->place, STEPS_NONE);
    find_parents(&making);
    if (list->form == STEPS_TREE && !step_list_filtered(list))
        make_tree(&making);
    else
        make_list(&making);
    free(making.first);
    free(making.below);
    free(making.level);
}

void step_list_release(struct step_list *list)
{
    vec_release(&list->rows);
    vec_release(&list->place);
    vec_release(&list->parents);
    map_release(&list->folded);
    free(list->filter);
    list->filter = NULL;
}

size_t step_list_place(const struct step_list *list, size_t step)
{
    return step < list->place.n ? list->place.v[step] : STEPS_NONE;
}

size_t step_list_parent(const struct step_list *list, size_t step)
{
    return step < list->parents.n ? list->parents.v[step] : STEPS_NONE;
}

bool step_list_is_folded(const struct step_list *list, const char *step)
{
    return list->folded.count > 0 && map_get_str(&list->folded, step) != NULL;
}

void step_list_fold(struct step_list *list, const char *step, bool folded)
{
    if (folded)
        map_put_str(&list->folded, step, (void *)(uintptr_t)1);
    else
        (void)map_del_str(&list->folded, step);
    list->old = true;
}

void step_list_fold_all(struct step_list *list, const struct model *model, bool folded)
{
    map_release(&list->folded);
    list->folded = (struct map)MAP_INIT;
    for (size_t i = 0; i < model->steps.n && folded; i++)
        if (model->steps.v[i].needs.n > 0)
            step_list_fold(list, model->steps.v[i].name, true);
    list->old = true;
}

void step_list_reveal(struct step_list *list, const struct model *model, size_t step)
{
    for (size_t up = step_list_parent(list, step); up != STEPS_NONE;
         up = step_list_parent(list, up))
        if (step_list_is_folded(list, model->steps.v[up].name))
            step_list_fold(list, model->steps.v[up].name, false);
}
