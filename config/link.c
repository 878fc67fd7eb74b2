/* What only the steps together can show: what "needs" names, the order, and who owns which output.
 */
#include "config/reader.h"

#include "base/file.h"
#include "base/map.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct need {
    const char *name;
    uint32_t step;
    struct config_pos pos;
};

static int compare_needs(const void *a, const void *b)
{
    return strcmp(((const struct need *)a)->name, ((const struct need *)b)->name);
}

static void enter_step(struct config_reader *r, size_t step)
{
    config_enter_step(r, r->steps[step].name.text);
}

static int fail_unknown_need(struct config_reader *r, uint32_t node)
{
    const char *name = config_string(r, node);
    size_t n = r->config->n_steps;
    const char **names = mem_zalloc(n, sizeof(*names));

    for (size_t i = 0; i < n; i++)
        names[i] = r->steps[i].name.text;
    const char *nearest = text_nearest(name, names, n);
    free(names);
    if (nearest)
        return config_fail(r, r->doc.nodes.v[node].pos,
                           "\"needs\" names the unknown step %s; did you mean \"%s\"?",
                           config_quote(r, name), nearest);
    return config_fail(r, r->doc.nodes.v[node].pos,
                       "\"needs\" names the unknown step %s; add that step or remove the need",
                       config_quote(r, name));
}

/* Resolves one step's "needs" against the names; list is scratch with room for them all. */
static int resolve_needs(struct config_reader *r, const struct map *names, uint32_t step,
                         struct need *list)
{
    uint32_t node = r->needs[step];
    size_t n = 0;

    config_doc_each(item, &r->doc, node)
    {
        const char *name = config_string(r, item);
        struct config_pos pos = r->doc.nodes.v[item].pos;
        uintptr_t index = (uintptr_t)map_get_str(names, name);
        if (!index)
            return fail_unknown_need(r, item);
        if (index - 1 == step)
            return config_fail(r, pos, "the step needs itself; remove this need");
        if (r->steps[index - 1].fix)
            return config_fail(r, pos,
                               "%s has \"fix\" and is needed by no step: the hook runs it before "
                               "all others anyway; remove this need",
                               config_quote(r, name));
        list[n++] = (struct need){r->steps[index - 1].name.text, (uint32_t)(index - 1), pos};
    }
    if (n)
        qsort(list, n, sizeof(*list), compare_needs);
    uint32_t *needs = arena_zalloc(&r->config->arena, n, sizeof(*needs));
    for (size_t i = 0; i < n; i++) {
        needs[i] = list[i].step;
        if (i == 0 || list[i].step != list[i - 1].step)
            continue;
        struct config_pos a = list[i - 1].pos, b = list[i].pos;
        bool in_order = a.line < b.line || (a.line == b.line && a.column < b.column);
        return config_fail(r, in_order ? b : a,
                           "\"needs\" names %s twice, first at %u:%u; remove one of the two",
                           config_quote(r, list[i].name), in_order ? a.line : b.line,
                           in_order ? a.column : b.column);
    }
    r->steps[step].needs = needs;
    r->steps[step].n_needs = n;
    return 0;
}

static int resolve_all_needs(struct config_reader *r)
{
    struct map names = MAP_INIT;
    size_t n = r->config->n_steps, most = 0;
    int code = 0;

    for (size_t i = 0; i < n; i++) {
        map_put_str(&names, r->steps[i].name.text, (void *)(uintptr_t)(i + 1));
        if (r->needs[i] && r->doc.nodes.v[r->needs[i]].n > most)
            most = r->doc.nodes.v[r->needs[i]].n;
    }
    struct need *list = mem_zalloc(most, sizeof(*list));
    for (uint32_t i = 0; i < n && code == 0; i++) {
        if (!r->needs[i])
            continue;
        enter_step(r, i);
        code = resolve_needs(r, &names, i, list);
    }
    free(list);
    map_release(&names);
    return code;
}

/* A binary heap of steps' indices, the least on top: ready steps leave it in the order written. */
static void heap_push(uint32_t *heap, size_t *n, uint32_t step)
{
    size_t i = (*n)++;
    for (; i > 0 && heap[(i - 1) / 2] > step; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = step;
}

static uint32_t heap_pop(uint32_t *heap, size_t *n)
{
    uint32_t top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child = 1; child < *n; child = 2 * i + 1) {
        if (child + 1 < *n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= last)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* Kahn's algorithm. Returns how many steps got a place in order; blocked[] counts what the others
 * still wait for. */
static size_t sort_steps(const struct config_reader *r, uint32_t *order, uint32_t *blocked)
{
    size_t n = r->config->n_steps, n_edges = 0, n_ready = 0, done = 0;
    /* Who needs step i: dependents[first[i]] up to dependents[first[i + 1]]. */
    size_t *first = mem_zalloc(n + 2, sizeof(*first));

    for (size_t i = 0; i < n; i++) {
        n_edges += r->steps[i].n_needs;
        for (size_t k = 0; k < r->steps[i].n_needs; k++)
            first[r->steps[i].needs[k] + 2]++;
    }
    for (size_t i = 2; i < n + 2; i++)
        first[i] += first[i - 1];
    uint32_t *dependents = mem_zalloc(n_edges, sizeof(*dependents));
    uint32_t *ready = mem_zalloc(n, sizeof(*ready));
    for (uint32_t i = 0; i < n; i++) {
        blocked[i] = (uint32_t)r->steps[i].n_needs;
        for (size_t k = 0; k < r->steps[i].n_needs; k++)
            dependents[first[r->steps[i].needs[k] + 1]++] = i;
        if (!blocked[i])
            heap_push(ready, &n_ready, i);
    }
    while (n_ready) {
        uint32_t step = heap_pop(ready, &n_ready);
        order[done++] = step;
        for (size_t k = first[step]; k < first[step + 1]; k++)
            if (--blocked[dependents[k]] == 0)
                heap_push(ready, &n_ready, dependents[k]);
    }
    free(ready);
    free(dependents);
    free(first);
    return done;
}

/* A need of the step that is itself in or behind a cycle; a blocked step has one. */
static uint32_t blocked_need(const struct config_step *step, const uint32_t *blocked)
{
    for (size_t k = 0; k < step->n_needs; k++)
        if (blocked[step->needs[k]])
            return step->needs[k];
    return 0;
}

#define CYCLE_SHOWN 24 /* steps of a cycle that a message lists */

/* Names the whole cycle, begun at its member written first, at the need that closes it. */
static int fail_cycle(struct config_reader *r, const uint32_t *blocked)
{
    size_t n = r->config->n_steps, length = 1;
    uint32_t step = 0, begin, last;
    struct buf path = BUF_INIT;
    struct config_pos pos = {1, 1};

    while (!blocked[step])
        step++;
    for (size_t i = 0; i < n; i++) /* after n moves it is inside a cycle for certain */
        step = blocked_need(&r->steps[step], blocked);
    begin = last = step;
    for (uint32_t i = blocked_need(&r->steps[step], blocked); i != step;
         i = blocked_need(&r->steps[i], blocked), length++)
        if (i < begin)
            begin = i;
    step = begin;
    for (size_t i = 0; i < length; i++) {
        if (i < CYCLE_SHOWN)
            buf_addf(&path, "%s → ", r->steps[step].name.text);
        else if (i == CYCLE_SHOWN)
            buf_addf(&path, "(%zu more) → ", length - CYCLE_SHOWN);
        last = step;
        step = blocked_need(&r->steps[step], blocked);
    }
    buf_adds(&path, r->steps[begin].name.text);
    config_doc_each(item, &r->doc, r->needs[last])
    {
        if (!strcmp(config_string(r, item), r->steps[begin].name.text))
            pos = r->doc.nodes.v[item].pos;
    }
    enter_step(r, last);
    int code = config_fail(
        r, pos, "steps need each other in a circle: %s; remove one of these needs", buf_str(&path));
    buf_release(&path);
    return code;
}

struct owner {
    struct config_text output;
    uint32_t step;
};

/* Paths in an order in which all that lies below one follows it at once: '/' sorts before
 * everything. */
static int compare_owners(const void *a, const void *b)
{
    const char *x = ((const struct owner *)a)->output.text;
    const char *y = ((const struct owner *)b)->output.text;
    while (*x && *x == *y)
        x++, y++;
    int left = *x == '/' ? 1 : *x ? 1 + (unsigned char)*x : 0;
    int right = *y == '/' ? 1 : *y ? 1 + (unsigned char)*y : 0;
    return left - right;
}

static int fail_overlap(struct config_reader *r, const struct owner *upper,
                        const struct owner *lower)
{
    bool equal = !strcmp(upper->output.text, lower->output.text);
    struct config_pos a = upper->output.pos, b = lower->output.pos;
    bool in_order = a.line < b.line || (a.line == b.line && a.column < b.column);
    const struct owner *first = in_order ? upper : lower, *second = in_order ? lower : upper;
    const char *name = config_quote(r, second->output.text);
    const char *other = config_quote(r, first->output.text);

    enter_step(r, second->step);
    if (first->step == second->step && equal)
        return config_fail(r, second->output.pos,
                           "output %s is named twice, first at %u:%u; remove one of the two", name,
                           first->output.pos.line, first->output.pos.column);
    if (equal)
        return config_fail(r, second->output.pos,
                           "output %s belongs to step %s already, at %u:%u; only one step may make "
                           "it: rename one of the two",
                           name, config_quote(r, r->steps[first->step].name.text),
                           first->output.pos.line, first->output.pos.column);
    const char *relation = second == lower ? "lies inside" : "holds";
    if (first->step == second->step)
        return config_fail(r, second->output.pos,
                           "output %s %s %s, at %u:%u; naming the outer one is enough", name,
                           relation, other, first->output.pos.line, first->output.pos.column);
    return config_fail(r, second->output.pos,
                       "output %s %s %s, an output of step %s at %u:%u; let one step make the "
                       "directory or keep them apart",
                       name, relation, other, config_quote(r, r->steps[first->step].name.text),
                       first->output.pos.line, first->output.pos.column);
}

static int check_outputs(struct config_reader *r)
{
    VEC(struct owner) owners = VEC_INIT;
    int code = 0;

    for (uint32_t i = 0; i < r->config->n_steps; i++)
        for (size_t k = 0; k < r->steps[i].n_outputs; k++)
            vec_push(&owners, (struct owner){r->steps[i].outputs[k], i});
    if (owners.n)
        qsort(owners.v, owners.n, sizeof(*owners.v), compare_owners);
    /* Whatever lies between an output and one below it lies below it too: neighbours tell. */
    for (size_t i = 1; i < owners.n && code == 0; i++)
        if (path_is_below(owners.v[i].output.text, owners.v[i - 1].output.text))
            code = fail_overlap(r, &owners.v[i - 1], &owners.v[i]);
    vec_release(&owners);
    return code;
}

int config_link_steps(struct config_reader *r)
{
    size_t n = r->config->n_steps;
    int code = 0;

    if (resolve_all_needs(r) < 0)
        return -ERR_CONFIG;
    uint32_t *order = arena_zalloc(&r->config->arena, n, sizeof(*order));
    uint32_t *blocked = mem_zalloc(n, sizeof(*blocked));
    r->config->order = order;
    if (sort_steps(r, order, blocked) < n)
        code = fail_cycle(r, blocked);
    free(blocked);
    if (code == 0)
        code = check_outputs(r);
    config_enter_step(r, NULL);
    return code;
}
