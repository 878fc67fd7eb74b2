/*
 * debug_past.c - kiln debug --run: a failure of the past, made again.
 *
 * What ran is on record (engine/failure.h), what it read is in the cache (cache/kept_inputs.h). An
 * isolated step gets a box as it had; a step of the host gets what it read as files in a directory
 * of kiln's own, which goes when its shell ends. The pipeline as it is now is not looked at, and
 * neither the project nor its records are written to.
 */
#include "cli/debug.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/box_dir.h"
#include "cache/kept_inputs.h"
#include "cli/shell.h"
#include "config/lock.h"
#include "engine/failure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct past {
    const struct options *options;
    struct failure failure;
    char *imported; /* where the run came from; NULL: from here */
    struct box_dir *dir;
    char *folder;    /* in dir: for the files */
    char *lock_path; /* in dir, or NULL */
};

/* -- which failure ----------------------------------------------------------------------------- */

struct names {
    struct buf list;
    char *only;
    size_t n;
};

static void add_name(void *ctx, const struct failure *failure)
{
    struct names *names = ctx;
    const char *step = failure->exec.name;
    buf_adds(&names->list, names->n++ ? ", " : "");
    buf_add_shown(&names->list, step, strlen(step));
    free(names->only);
    names->only = mem_strdup(step);
}

static int no_failure(const struct past *past, const char *step, const struct names *names,
                      struct err *err)
{
    struct buf shown = BUF_INIT;
    const char *run = past->options->run_id;
    int rc;
    if (step)
        buf_add_shown(&shown, step, strlen(step));
    if (!names->n)
        rc = err_set(err, ERR_USAGE,
                     "run %s has no failure on record: nothing failed in it, or an older kiln made "
                     "it; \"kiln logs --run %s\" lists its steps",
                     run, run);
    else if (step)
        rc = err_set(err, ERR_USAGE,
                     "run %s has no failure of \"%s\" on record, but of %s; \"kiln logs --run %s\" "
                     "tells what became of the others",
                     run, buf_str(&shown), buf_str(&names->list), run);
    else
        rc = err_set(err, ERR_USAGE,
                     "%zu steps failed in run %s: %s; name one: kiln debug --run %s STEP", names->n,
                     run, buf_str(&names->list), run);
    buf_release(&shown);
    return rc;
}

static int find_failure(struct past *past, const struct app *app, struct err *err)
{
    const char *step = past->options->n_args ? past->options->args[0] : NULL;
    struct names names = {0};
    bool found = false;
    int rc = 0;
    char *run_dir = records_run_dir(app->records, past->options->run_id);
    if (!run_dir)
        return err_set(err, ERR_USAGE, "there is no run %s (\"kiln runs\" lists them)",
                       past->options->run_id);
    past->imported = records_imported(app->records, past->options->run_id);
    failure_each(run_dir, add_name, &names);
    if (!step && names.n == 1)
        step = names.only;
    if (step)
        rc = failure_read(run_dir, step, &past->failure, &found, err);
    if (rc == 0 && found && past->failure.inputs == FAILURE_UNFINISHED &&
        failure_finish(run_dir, step, app->cache)) {
        failure_release(&past->failure);
        rc = failure_read(run_dir, step, &past->failure, &found, err);
    }
    if (rc == 0 && !found)
        rc = no_failure(past, step, &names, err);
    buf_release(&names.list);
    free(names.only);
    free(run_dir);
    return rc;
}

/* -- what it read ------------------------------------------------------------------------------ */

static int not_kept(const struct past *past, struct err *err)
{
    const struct failure *failure = &past->failure;
    struct buf what = BUF_INIT, name = BUF_INIT, why = BUF_INIT;
    char size[16];
    buf_add_shown(&name, failure->exec.name, strlen(failure->exec.name));
    buf_addf(&what, "what \"%s\" read in run %s ", buf_str(&name), past->options->run_id);
    if (failure->why)
        buf_add_shown(&why, failure->why, strlen(failure->why));
    switch (failure->inputs) {
    case FAILURE_CHANGED:
        buf_addf(&what, "was not kept: %s changed while it ran", buf_str(&why));
        break;
    case FAILURE_TOO_MUCH:
        buf_addf(&what, "was not kept: %zu files with %s are more than kiln keeps of a failure",
                 failure->files, text_size(failure->bytes, size));
        break;
    case FAILURE_REFUSED: buf_addf(&what, "was not kept: %s", buf_str(&why)); break;
    case FAILURE_UNFINISHED: buf_adds(&what, "was not kept: kiln ended before it was"); break;
    default:
        buf_adds(&what, past->imported ? "did not come with the bundle, or is no longer in the "
                                         "cache"
                                       : "is no longer in the cache: it was collected, or cleared");
        break;
    }
    int rc = err_set(err, ERR_USAGE,
                     "%s; \"kiln explain --last-pass %s\" tells what was other than when it last "
                     "passed, \"kiln logs --run %s %s\" what it wrote",
                     buf_str(&what), buf_str(&name), past->options->run_id, buf_str(&name));
    buf_release(&what);
    buf_release(&name);
    buf_release(&why);
    return rc;
}

/* A directory of its own; for a step of the host, with what it read. */
static int make_folder(struct past *past, struct app *app, struct err *err)
{
    bool host = !strcmp(past->failure.exec.runner, "host"), found = true;
    int rc = box_dir_new(app->cache, geteuid(), getegid(), &past->dir, err);
    if (rc < 0)
        return rc;
    past->folder = path_join(box_dir_path(past->dir), "upper");
    if (host)
        rc = kept_inputs_restore(app->cache, &past->failure.input_root, box_dir_path(past->dir),
                                 "upper", &found, err);
    if (rc == 0 && !found)
        rc = not_kept(past, err);
    if (rc == 0 && host && *past->failure.exec.cwd) { /* outputs may lie there, and nothing else */
        char *cwd = path_join(past->folder, past->failure.exec.cwd);
        if (access(cwd, F_OK) < 0) /* through no link: a stranger's may lead anywhere */
            rc = box_dir_make(past->dir, past->failure.exec.cwd, err);
        free(cwd);
    }
    return rc;
}

/* A reference means what it meant then. */
static int pin_image(struct past *past, struct err *err)
{
    const struct failure *failure = &past->failure;
    struct lock lock = LOCK_INIT;
    struct image_ref ref;
    char *platform = NULL;
    if (!failure->exec.image)
        return 0;
    int rc = image_ref_parse(failure->exec.image, past->folder, &ref, err);
    if (rc < 0)
        return rc;
    if (failure->exec.platform)
        rc = image_platform_parse(failure->exec.platform, &platform, err);
    if (rc == 0) {
        past->lock_path = path_join(box_dir_path(past->dir), LOCK_NAME);
        lock_set(&lock, ref.name, platform ? platform : image_platform(), &failure->image_index,
                 &failure->image);
        rc = lock_write(&lock, past->lock_path, err);
    }
    free(platform);
    lock_release(&lock);
    image_ref_release(&ref);
    return rc;
}

/* -- the place --------------------------------------------------------------------------------- */

static int make_graph(struct past *past, struct app *app, struct shell_place *place,
                      struct err *err)
{
    struct op_exec exec = past->failure.exec;
    struct buf tree = BUF_INIT;
    bool found;
    int rc = kept_inputs_tree(app->cache, &past->failure.input_root, &tree, &found, err);
    if (rc == 0 && !found)
        rc = not_kept(past, err);
    if (rc == 0) {
        place->graph = graph_new("past");
        exec.input = graph_tree(place->graph, &past->failure.input_root, tree.data, tree.len);
        exec.n_secrets = 0; /* nobody has their values */
        if (past->imported) /* the directories are this project's, and its steps would find in them
                               what a stranger left */
            exec.n_caches = 0;
        exec.cache = false;
        exec.timeout_ms = 0;
        exec.retries = 0;
        graph_exec(place->graph, &exec);
    }
    buf_release(&tree);
    return rc;
}

static void add_list(struct buf *out, const struct graph_secret *secrets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? ", " : "");
        buf_add_shown(out, secrets[i].target, strlen(secrets[i].target));
    }
}

/* What is not as it was, and where one is. */
static void tell_place(const struct past *past)
{
    const struct failure *failure = &past->failure;
    struct buf text = BUF_INIT;
    struct utsname machine;
    if (!strcmp(failure->exec.runner, "host"))
        buf_addf(&text, "a copy of what it read, gone when you leave: %s\n", past->folder);
    if (past->imported) {
        buf_adds(&text, "this run is from elsewhere (");
        buf_add_shown(&text, past->imported, strlen(past->imported));
        buf_adds(&text, "): its variables and files are somebody else's\n");
    }
    if (failure->exec.n_secrets) {
        buf_adds(&text, "secrets are not on record; not set here: ");
        add_list(&text, failure->exec.secrets, failure->exec.n_secrets);
        buf_addc(&text, '\n');
    }
    if (past->imported && failure->exec.n_caches)
        buf_adds(&text, "its cache directories are not here\n");
    if (uname(&machine) == 0 &&
        (strcmp(machine.machine, failure->isa) != 0 || strcmp(machine.sysname, failure->os) != 0)) {
        buf_adds(&text, "it ran on another machine: ");
        buf_add_shown(&text, failure->os, strlen(failure->os));
        buf_addc(&text, ' ');
        buf_add_shown(&text, failure->isa, strlen(failure->isa));
        buf_addc(&text, '\n');
    }
    buf_adds(&text, "its command: ");
    buf_add_shown(&text, failure->exec.shown, strlen(failure->exec.shown));
    for (char *line = text.data, *end; line; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        remark(past->options, line);
    }
    buf_release(&text);
}

static int open_place(void *ctx, struct app *app, struct shell_place *out, struct err *err)
{
    struct past *past = ctx;
    if (past->failure.inputs != FAILURE_KEPT)
        return not_kept(past, err);
    if (make_folder(past, app, err) < 0 || pin_image(past, err) < 0 ||
        make_graph(past, app, out, err) < 0)
        return -(int)err->kind;
    out->step = past->failure.exec.name;
    out->root = past->failure.exec.mount_same && app->root ? app->root : past->folder;
    out->lock_path = past->lock_path;
    tell_place(past);
    return 0;
}

int debug_past(const struct options *options)
{
    struct past past = {.options = options};
    struct app app;
    struct err err = ERR_INIT;
    int code;
    if (options->n_args > 1) {
        complain(options, "--run takes one failure: kiln debug --run ID STEP");
        return EXIT_USAGE;
    }
    if (app_open_past(&app, options, APP_CACHE | APP_RUNNER, &err) < 0 ||
        find_failure(&past, &app, &err) < 0) {
        complain(options, err_text(&err));
        code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
        err_release(&err);
    } else {
        cache_use_begin(app.cache); /* gc leaves what is restored */
        code = shell_in_place(options, &app, open_place, &past);
        cache_use_end(app.cache);
    }
    failure_release(&past.failure);
    free(past.folder);
    free(past.lock_path);
    free(past.imported);
    if (past.dir)
        box_dir_drop(past.dir);
    app_close(&app);
    return code;
}
