/*
 * hook_place.c - kiln hook install, uninstall, status: where git looks for hooks.
 *
 * A hook that is there already keeps running, before kiln: it lies beside as NAME.before-kiln, and
 * going back is one rename. So is coming: whenever this is interrupted, git finds one whole hook.
 */
#include "cli/hook.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/git_hooks.h"
#include "cli/hook_script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT_BYTES ((size_t)1 << 20)

const char *const hook_names[] = {"pre-commit", "pre-merge-commit", "commit-msg", "pre-push", NULL};

bool hook_is_name(const char *name)
{
    for (const char *const *n = hook_names; *n; n++)
        if (!strcmp(*n, name))
            return true;
    return false;
}

struct place {
    const struct options *options;
    struct hook_commit commit;
    struct git_hooks hooks;
};

struct hook_file {
    char *path, *before;
    bool there, before_there;
    bool runs; /* git runs it: it may be executed */
    enum hook_script_is is;
    char *kiln; /* where ours looks for it */
};

static void look(const struct place *place, const char *name, struct hook_file *out)
{
    struct buf text = BUF_INIT;
    struct stat st;
    *out = (struct hook_file){.path = path_join(place->hooks.folder, name)};
    out->before = mem_printf("%s" HOOK_BEFORE, out->path);
    out->there = lstat(out->path, &st) == 0;
    out->before_there = lstat(out->before, &st) == 0;
    out->runs = access(out->path, X_OK) == 0;
    if (out->there && lstat(out->path, &st) == 0 && S_ISREG(st.st_mode) &&
        file_read(out->path, SCRIPT_BYTES, &text, NULL) == 0)
        out->is = hook_script_read(&text, &out->kiln);
    buf_release(&text);
}

static void hook_file_release(struct hook_file *file)
{
    free(file->path);
    free(file->before);
    free(file->kiln);
}

static int changed(const struct hook_file *file, struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "%s was changed after kiln wrote it; move your lines elsewhere (%s" HOOK_BEFORE
                   " runs first), remove it, and call this again",
                   file->path, strrchr(file->path, '/') + 1);
}

/* -- install ----------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return lstat(a, &x) == 0 && lstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Somebody's hook gets its second name. */
static int put_aside(const struct hook_file *file, struct err *err)
{
    if (file->before_there && !same_file(file->path, file->before))
        return err_set(err, ERR_CONFIG,
                       "there are %s and %s, and neither is kiln's; make one of them, then call "
                       "this again",
                       file->path, file->before);
    if (file->before_there || link(file->path, file->before) == 0)
        return 0;
    if (rename(file->path, file->before) == 0) /* a file system without such links */
        return 0;
    return err_sys(err, errno, "cannot give %s the name %s", file->path, file->before);
}

static int install_one(const struct place *place, const char *name, struct err *err)
{
    struct hook_file file;
    struct buf text = BUF_INIT;
    char *exe = realpath("/proc/self/exe", NULL);
    char *config = place->options->config ? realpath(place->options->config, NULL) : NULL;
    look(place, name, &file);
    hook_script_write(&(struct hook_script){.name = name,
                                            .kiln = exe ? exe : "kiln",
                                            .folder = place->commit.place.prefix,
                                            .config = config},
                      &text);
    int rc = file.is == HOOK_IS_CHANGED ? changed(&file, err) : 0;
    if (rc == 0)
        rc = file_mkdirs(place->hooks.folder, 0777, err);
    if (rc == 0 && file.there && file.is == HOOK_IS_OTHER)
        rc = put_aside(&file, err);
    if (rc == 0)
        rc = file_write_atomic(file.path, text.data, text.len, 0755, err);
    if (rc == 0)
        printf("%s: tests what is %s, by %s%s%s\n", name,
               strcmp(name, "pre-push") != 0 ? "about to be committed" : "about to be pushed",
               file.path, file.there && file.is == HOOK_IS_OTHER ? ", after " : "",
               file.there && file.is == HOOK_IS_OTHER ? strrchr(file.before, '/') + 1 : "");
    hook_file_release(&file);
    buf_release(&text);
    free(exe);
    free(config);
    return rc;
}

static void say_whose(const struct place *place)
{
    if (place->hooks.others)
        printf("hooks: %s is set in %s, for other repositories too: in those that have no "
               "kiln.json this does nothing\n",
               place->hooks.folder, place->hooks.set_in);
    else if (place->hooks.set_in)
        printf("hooks: %s, as core.hooksPath in %s says\n", place->hooks.folder,
               place->hooks.set_in);
    else if (strcmp(place->commit.place.git_dir, place->commit.place.common) != 0)
        printf("hooks: %s, which all working trees of the repository share\n", place->hooks.folder);
    else
        printf("hooks: %s\n", place->hooks.folder);
}

static int install(const struct place *place, struct err *err)
{
    const struct options *o = place->options;
    struct config *config = NULL;
    int rc = 0;
    if (!o->n_args)
        rc = config_load(place->commit.config, place->commit.root, &config, err);
    if (rc == 0)
        say_whose(place);
    for (const char *const *name = config ? config->hook.stages : o->args;
         rc == 0 && (config ? *name != NULL : name < o->args + o->n_args); name++)
        rc = install_one(place, *name, err);
    config_free(config);
    return rc;
}

/* -- uninstall --------------------------------------------------------------------------------- */

static int uninstall_one(const struct place *place, const char *name, struct err *err)
{
    struct hook_file file;
    int rc = 0;
    look(place, name, &file);
    if (file.is == HOOK_IS_CHANGED) {
        rc = changed(&file, err);
    } else if (file.is == HOOK_IS_OURS && file.before_there) {
        if (rename(file.before, file.path) != 0)
            rc = err_sys(err, errno, "cannot give %s its name %s again", file.before, file.path);
        else
            printf("%s: as it was before\n", name);
    } else if (file.is == HOOK_IS_OURS) {
        if (unlink(file.path) != 0)
            rc = err_sys(err, errno, "cannot remove %s", file.path);
        else
            printf("%s: removed\n", name);
    } else if (place->options->n_args) {
        printf("%s: not kiln's\n", name);
    } else if (file.there && file.before_there && same_file(file.path, file.before)) {
        (void)unlink(file.before); /* an install that was interrupted */
    }
    hook_file_release(&file);
    return rc;
}

static int uninstall(const struct place *place, struct err *err)
{
    const struct options *o = place->options;
    int rc = 0;
    if (!o->n_args)
        for (const char *const *name = hook_names; rc == 0 && *name; name++)
            rc = uninstall_one(place, *name, err);
    for (size_t i = 0; rc == 0 && i < o->n_args; i++)
        rc = uninstall_one(place, o->args[i], err);
    return rc;
}

/* -- status ------------------------------------------------------------------------------------ */

static bool status_one(const struct place *place, const char *name)
{
    struct hook_file file;
    look(place, name, &file);
    bool ours = file.is != HOOK_IS_OTHER;
    printf("%s: ", name);
    if (!file.there)
        puts("there is none");
    else if (!ours)
        printf("not kiln's: %s%s\n", file.path, file.runs ? "" : " (which may not be executed)");
    else
        printf("kiln, as %s%s%s%s%s\n", file.kiln,
               access(file.kiln, X_OK) == 0 ? "" : ", which is gone: kiln is looked for in PATH",
               file.before_there ? ", after " : "",
               file.before_there ? strrchr(file.before, '/') + 1 : "",
               file.runs ? "" : "; but the file may not be executed: git does not run it");
    hook_file_release(&file);
    return ours && file.runs;
}

/* What a commit of the index, as it is now, would have the hook do. */
static int foretell(struct place *place, struct err *err)
{
    struct hook_answer answer = {0};
    int rc = hook_commit_index(&place->commit, err);
    if (rc == 0)
        rc = hook_ask(place->options, &place->commit, &answer, err);
    if (rc == 0 && answer.all_cached && answer.n_steps)
        printf("a commit now: all %zu steps are cached\n", answer.n_steps);
    else if (rc == 0 && answer.all_cached)
        puts("a commit now: all steps have passed, as the kiln that watches has seen");
    else if (rc == 0 && answer.n_steps)
        printf("a commit now: %zu of %zu steps would run (%s: %s)\n", answer.n_run, answer.n_steps,
               answer.first, answer.why);
    else if (rc == 0)
        printf("a commit now: steps would run: %s\n", answer.why);
    hook_answer_release(&answer);
    return rc;
}

static int status(struct place *place, bool *installed, struct err *err)
{
    say_whose(place);
    for (const char *const *name = hook_names; *name; name++)
        *installed |= status_one(place, *name);
    return foretell(place, err);
}

int hook_command_place(const struct options *options)
{
    struct place place = {.options = options};
    struct err err = ERR_INIT;
    bool installed = false, asks = !strcmp(options->subcommand, "status");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->n_args; i++)
        if (!hook_is_name(options->args[i]))
            rc = err_set(&err, ERR_USAGE,
                         "there is no hook \"%s\" for kiln; it can be pre-commit, "
                         "pre-merge-commit, commit-msg and pre-push",
                         options->args[i]);
    if (rc == 0)
        rc = hook_commit_find(options, &place.commit, &err);
    if (rc == 0)
        rc = git_hooks_find(&place.commit.place, &place.hooks, &err);
    if (rc == 0)
        rc = asks                                        ? status(&place, &installed, &err)
             : !strcmp(options->subcommand, "uninstall") ? uninstall(&place, &err)
                                                         : install(&place, &err);
    int code = asks && !installed ? EXIT_STEP_FAILED : EXIT_OK;
    if (rc != 0) {
        fflush(stdout);
        complain(options, err_text(&err));
        code = hook_exit_code(&err);
    }
    git_hooks_release(&place.hooks);
    hook_commit_release(&place.commit);
    err_release(&err);
    return output_end(options, code);
}
