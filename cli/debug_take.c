/*
 * debug_take.c - kiln debug STEP --diff, --take: what was changed in the box that a failed step
 * left, as a patch, and into the working tree.
 *
 *     --diff    a patch that git apply takes on standard output; what it can't have is said on
 *               standard error
 *     --take    a line a file; 0 taken, or nothing to take, 1 when something conflicts (nothing was
 *               written), 2 when there is nothing to take from, 3 when the system would not have it
 */
#include "cli/debug.h"

#include "base/mem.h"
#include "engine/kept_box.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_NAMES 10

struct debug_take {
    const struct options *options;
    struct app app;
    bool take;
    int exit_code;
};

/* -- as a patch -------------------------------------------------------------------------------- */

static void print_patch(const struct debug_take *d, const struct buf *patch)
{
    if (!color_wanted(d->options, STDOUT_FILENO)) {
        fwrite(buf_str(patch), 1, patch->len, stdout);
        return;
    }
    bool head = true;
    for (const char *line = buf_str(patch), *end = line + patch->len; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        int n = (int)((stop ? stop : end) - line);
        head = strncmp(line, "diff ", 5) == 0 || (head && *line != '@');
        const char *color = head           ? "1"
                            : *line == '@' ? "36"
                            : *line == '+' ? "32"
                            : *line == '-' ? "31"
                                           : NULL;
        if (color)
            printf("\033[%sm%.*s\033[m\n", color, n, line);
        else
            printf("%.*s\n", n, line);
        line += n + 1;
    }
}

static void remark_on(const struct debug_take *d, const char *path, const char *text)
{
    struct buf line = BUF_INIT;
    buf_add_shown(&line, path, strlen(path));
    buf_addf(&line, ": %s", text);
    remark(d->options, buf_str(&line));
    buf_release(&line);
}

/* What is there besides: new files are told of, and taken where they are named. */
static void tell_made(const struct debug_take *d, const struct kept_change *changes, size_t n,
                      uint64_t more)
{
    struct buf line = BUF_INIT;
    size_t made = 0, outputs = 0;
    for (size_t i = 0; i < n; i++) {
        outputs += changes[i].class == KEPT_OUTPUT;
        if (changes[i].class != KEPT_MADE || made++ >= MOST_NAMES)
            continue;
        buf_adds(&line, line.len ? ", " : "");
        buf_add_shown(&line, changes[i].at->path, strlen(changes[i].at->path));
    }
    if (made > MOST_NAMES)
        buf_addf(&line, " and %zu more", made - MOST_NAMES);
    if (made) {
        char *text = mem_printf("made inside, and taken only where it is named: %s", line.data);
        remark(d->options, text);
        free(text);
    }
    if (outputs || more) {
        char *text =
            mem_printf("not shown: %" PRIu64 " file%s of outputs%s", outputs + more,
                       outputs + more == 1 ? "" : "s", more ? ", or too many to be listed" : "");
        remark(d->options, text);
        free(text);
    }
    buf_release(&line);
}

static int show(struct debug_take *d, struct kept_box *box)
{
    size_t n, inputs = 0;
    uint64_t more;
    const struct kept_change *changes = kept_box_changes(box, &n, &more);
    struct buf patch = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (changes[i].class != KEPT_INPUT)
            continue;
        const char *why = kept_box_patch(box, &changes[i], &patch);
        inputs++;
        if (why)
            remark_on(d, changes[i].at->path, why);
    }
    print_patch(d, &patch);
    if (inputs == 0)
        remark(d->options, "none of its inputs was changed in the box");
    tell_made(d, changes, n, more);
    buf_release(&patch);
    return EXIT_OK;
}

/* -- taking ------------------------------------------------------------------------------------ */

static const char *word_of(const struct take_item *item)
{
    switch (item->plan.action) {
    case TAKE_CONTENT: return item->now.kind == FILE_ABSENT ? "added" : "replaced";
    case TAKE_MODE: return item->plan.executable ? "is executable now" : "is not executable now";
    case TAKE_MERGE: return "merged with what was edited here";
    case TAKE_REMOVE: return "removed";
    default: return "is so already";
    }
}

static void tell_conflicts(const struct debug_take *d, const struct kept_taken *taken)
{
    for (size_t i = 0; i < taken->n; i++) {
        const struct take_item *item = &taken->items[i];
        if (!item->conflict)
            continue;
        struct buf line = BUF_INIT;
        buf_add_shown(&line, item->path, strlen(item->path));
        if (item->line)
            buf_addf(&line, ":%zu", item->line);
        buf_addf(&line, ": %s", item->conflict);
        complain(d->options, buf_str(&line));
        buf_release(&line);
    }
    char *text = mem_printf("nothing was taken: %zu conflict%s; name the files that are to be "
                            "taken after --take, or mend %s by hand with what --diff shows",
                            taken->conflicts, taken->conflicts == 1 ? "" : "s",
                            taken->conflicts == 1 ? "it" : "them");
    complain(d->options, text);
    free(text);
}

static int take(struct debug_take *d, struct kept_box *box, const char *step, struct err *err)
{
    const struct options *o = d->options;
    struct kept_taken taken;
    size_t n_paths = o->n_args > 1 ? o->n_args - 1 : 0;
    if (kept_box_take(box, o->args + (n_paths ? 1 : 0), n_paths, &taken, err) < 0)
        return err->kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
    if (taken.conflicts) {
        tell_conflicts(d, &taken);
        return EXIT_STEP_FAILED;
    }
    for (size_t i = 0; i < taken.n; i++) {
        struct buf path = BUF_INIT;
        buf_add_shown(&path, taken.items[i].path, strlen(taken.items[i].path));
        printf("%s  %s\n", buf_str(&path), word_of(&taken.items[i]));
        buf_release(&path);
    }
    if (taken.taken)
        printf("%zu file%s taken; kiln run %s tries %s\n", taken.taken, taken.taken == 1 ? "" : "s",
               step, taken.taken == 1 ? "it" : "them");
    else
        printf("nothing to take\n");
    if (taken.left)
        remark_on(d, taken.left, "what was there before, and could not be removed");
    if (taken.secret) {
        char *text = mem_printf("%zu file%s may hold a secret of the step's, and %s taken only "
                                "where named",
                                taken.secret, taken.secret == 1 ? "" : "s",
                                taken.secret == 1 ? "is" : "are");
        remark(o, text);
        free(text);
    }
    return EXIT_OK;
}

/* -- both -------------------------------------------------------------------------------------- */

static int look(struct debug_take *d, const struct graph *graph, struct err *err)
{
    struct app *app = &d->app;
    char *run = NULL, *found = NULL;
    const char *step = d->options->n_args ? d->options->args[0] : NULL;
    struct kept_box *box = NULL;
    int code = EXIT_USAGE, rc = 0;
    if (!step && app->records)
        step = found = last_failure(app->records, graph, &run, err);
    if (!step)
        rc = err->kind ? -(int)err->kind
                       : err_set(err, ERR_USAGE,
                                 "no failure is on record whose step has not passed since; "
                                 "name a step");
    const struct kept_box_options options = {.records = app->records,
                                             .history = app->history,
                                             .cache = app->cache,
                                             .graph = graph,
                                             .root = app->root,
                                             .step = step};
    if (rc == 0)
        rc = kept_box_open(&options, &box, err);
    if (rc == 0)
        rc = kept_box_look(box, err);
    if (rc < 0)
        code = err->kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
    else
        code = d->take ? take(d, box, step, err) : show(d, box);
    kept_box_free(box);
    free(found);
    free(run);
    return code;
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct debug_take *d = ctx;
    struct err err = ERR_INIT;
    (void)sources;
    (void)n_sources;
    d->exit_code = graph ? look(d, graph, &err) : exit_code;
    if (!graph)
        complain(d->options, error);
    else if (err.kind != ERR_NONE)
        complain(d->options, err_text(&err));
    err_release(&err);
    graph_free(graph);
    app_close_runners(&d->app);
}

static int command(const struct options *options, bool take)
{
    struct debug_take d = {.options = options, .take = take, .exit_code = EXIT_KILN};
    struct err err = ERR_INIT;
    if (app_open(&d.app, options, APP_CONFIG | APP_CACHE | APP_STATE | APP_RUNNER, &err) < 0) {
        complain(options, err_text(&err));
        d.exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
    } else {
        pipeline_load(&d.app, on_loaded, &d);
        uv_run(&d.app.loop, UV_RUN_DEFAULT);
    }
    err_release(&err);
    app_close(&d.app);
    return output_end(options, d.exit_code);
}

int debug_diff(const struct options *options)
{
    return command(options, false);
}

int debug_take(const struct options *options)
{
    return command(options, true);
}
