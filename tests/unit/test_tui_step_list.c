/* The rows of the steps pane: tree, levels, flat; folded, sorted, filtered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tui/step_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    const char *name, *needs[3];
};

static const struct line demo[] = {
    {"configure", {NULL}},
    {"generate", {"configure"}},
    {"build", {"configure", "generate"}},
    {"lint", {"configure"}},
    {"unit", {"build"}},
    {"spec", {"build"}},
    {"package", {"unit", "spec"}},
};

static void load(struct model *model)
{
    struct event_step_info infos[8] = {{0}};
    size_t n = sizeof demo / sizeof *demo;
    for (size_t i = 0; i < n; i++) {
        infos[i] = (struct event_step_info){.name = demo[i].name, .needs = demo[i].needs};
        while (infos[i].n_needs < 3 && demo[i].needs[infos[i].n_needs])
            infos[i].n_needs++;
    }
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = n;
    model_fold(model, &event);
}

static void finish(struct model *model, const char *step, enum step_status status, uint64_t ms)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .step = step};
    event.u.finished.status = status;
    event.u.finished.duration_ms = ms;
    model_fold(model, &event);
}

/* "lint package .unit ..build+1": a point for each depth, + before what is hidden. */
static void assert_rows(struct step_list *list, const struct model *model, const char *wanted)
{
    struct buf out = BUF_INIT;
    step_list_make(list, model);
    for (size_t i = 0; i < list->rows.n; i++) {
        const struct step_row *row = &list->rows.v[i];
        buf_adds(&out, i ? " " : "");
        for (uint32_t d = 0; d < row->depth; d++)
            buf_addc(&out, '.');
        buf_adds(&out, model->steps.v[row->step].name);
        if (row->hidden)
            buf_addf(&out, "+%u", row->hidden);
        assert_int_equal(step_list_place(list, row->step), i);
    }
    assert_string_equal(buf_str(&out), wanted);
    buf_release(&out);
}

static void test_tree(void **state)
{
    (void)state;
    struct model model;
    struct step_list list = {0};
    model_init(&model);
    load(&model);
    assert_rows(&list, &model, "lint package .unit ..build ...generate ....configure .spec");
    /* unit has a sibling below it, spec none. */
    assert_true(list.rows.v[2].more & 2);
    assert_false(list.rows.v[6].more & 2);
    step_list_fold(&list, "build", true);
    assert_rows(&list, &model, "lint package .unit ..build+2 .spec");
    step_list_fold(&list, "package", true);
    assert_rows(&list, &model, "lint package+5");
    assert_int_equal(step_list_place(&list, 0), STEPS_NONE);
    step_list_reveal(&list, &model, 2);
    assert_rows(&list, &model, "lint package .unit ..build+2 .spec");
    step_list_fold_all(&list, &model, false);
    list.sort = SORT_NAME;
    assert_rows(&list, &model, "lint package .spec .unit ..build ...generate ....configure");
    step_list_release(&list);
    model_release(&model);
}

static void test_levels_and_flat(void **state)
{
    (void)state;
    struct model model;
    struct step_list list = {.form = STEPS_LEVELS};
    model_init(&model);
    load(&model);
    assert_rows(&list, &model, "configure generate lint build unit spec package");
    assert_true(list.rows.v[1].first && !list.rows.v[2].first && list.rows.v[2].level == 1);
    list.form = STEPS_FLAT;
    list.old = true;
    assert_rows(&list, &model, "configure generate build lint unit spec package");
    step_list_release(&list);
    model_release(&model);
}

static void test_sorted_and_filtered(void **state)
{
    (void)state;
    struct model model;
    struct step_list list = {.form = STEPS_FLAT, .sort = SORT_STATE};
    model_init(&model);
    load(&model);
    finish(&model, "spec", STEP_FAILED, 900);
    finish(&model, "build", STEP_PASSED, 4000);
    assert_rows(&list, &model, "spec build configure generate lint unit package");
    /* What a state decides is made anew when one changes. */
    finish(&model, "unit", STEP_FAILED, 7000);
    assert_rows(&list, &model, "unit spec build configure generate lint package");
    list.sort = SORT_DURATION;
    list.old = true;
    assert_rows(&list, &model, "unit build spec configure generate lint package");
    list.sort = SORT_MEMORY;
    list.old = true;
    model.steps.v[model_find(&model, "lint")].memory_bytes = 4096;
    assert_rows(&list, &model, "lint configure generate build unit spec package");
    list.sort = SORT_PROCESSOR;
    list.old = true;
    model.steps.v[model_find(&model, "spec")].cpu_ms = 10;
    assert_rows(&list, &model, "spec configure generate build lint unit package");
    list.sort = SORT_DURATION;
    list.only = ONLY_FAILED;
    list.old = true;
    assert_rows(&list, &model, "unit spec");
    finish(&model, "unit", STEP_PASSED, 1);
    assert_rows(&list, &model, "spec");
    list.only = ONLY_ALL;
    list.filter = mem_strdup("gen");
    list.old = true;
    assert_rows(&list, &model, "generate");
    step_list_release(&list);
    model_release(&model);
}

/* A tree as deep as it is long takes no stack, and rows are made once. */
static void test_deep(void **state)
{
    enum { DEEP = 20000 };
    (void)state;
    struct model model;
    struct step_list list = {0};
    struct event_step_info *infos = mem_zalloc(DEEP, sizeof *infos);
    char(*names)[16] = mem_zalloc(DEEP, sizeof *names);
    const char **needs = mem_zalloc(DEEP, sizeof *needs);
    for (int i = 0; i < DEEP; i++) {
        snprintf(names[i], sizeof names[i], "s%d", i);
        infos[i].name = names[i];
        needs[i] = i ? names[i - 1] : NULL;
        infos[i].needs = &needs[i];
        infos[i].n_needs = i > 0;
    }
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = DEEP;
    model_init(&model);
    model_fold(&model, &event);
    step_list_make(&list, &model);
    assert_int_equal(list.rows.n, DEEP);
    assert_int_equal(list.rows.v[DEEP - 1].depth, DEEP - 1);
    const struct step_row *rows = list.rows.v;
    list.rows.v[0].hidden = 77;
    finish(&model, "s5", STEP_PASSED, 1); /* no order depends on it */
    step_list_make(&list, &model);
    assert_true(list.rows.v == rows && rows[0].hidden == 77);
    step_list_release(&list);
    model_release(&model);
    free(infos);
    free(names);
    free(needs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_levels_and_flat),
        cmocka_unit_test(test_sorted_and_filtered),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
