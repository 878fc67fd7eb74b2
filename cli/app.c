/* app.c - opens what a command needs: the pipeline's file, the cache, the state, the runner (see
 * cli.h). */
#include "cli/cli.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/worktree.h"
#include "config/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int app_find(const struct options *options, char **path, char **root, struct err *err)
{
    char *cwd = getcwd(NULL, 0);
    int rc = 0;
    *path = *root = NULL;
    if (!cwd)
        return err_sys(err, errno, "the current directory can't be told");
    if (options->config) {
        /* A file kept elsewhere describes the project that one stands in; one in or above the
         * current directory, its own folder. */
        *path = realpath(options->config, NULL);
        if (!*path)
            rc = err_set(err, ERR_CONFIG, "%s: %s; --config names the pipeline's file",
                         options->config, strerror(errno));
    } else {
        rc = config_find(cwd, path, err);
        if (rc == 0 && !*path)
            rc =
                err_set(err, ERR_CONFIG,
                        "no kiln.json in %s, nor above it up to the git root; \"kiln init\" writes "
                        "one from what it finds there; or name one with --config FILE, or the "
                        "project with -C DIR",
                        cwd);
    }
    if (rc == 0) {
        size_t n = (size_t)(strrchr(*path, '/') - *path);
        char *folder = mem_strndup(*path, n ? n : 1);
        bool inside = !options->config || path_is_below(cwd, folder);
        *root = mem_strdup(inside ? folder : cwd);
        free(folder);
    }
    free(cwd);
    return rc;
}

/* The stat cache is read, and what it knows is looked at, while the rest is opened. */
static void read_ahead(struct app *app, const char *root, bool watching)
{
    char *cache = cache_default_path();
    if (!cache)
        return;
    char hex[DIGEST_HEX + 1];
    struct digest id = digest_of(root, strlen(root));
    digest_hex(&id, hex);
    app->stat_path = mem_printf("%s/v1/stat/%s", cache, hex);
    if (!app->options->rehash)
        app->stat_ahead = worktree_ahead_new(app->stat_path, root, !watching);
    free(cache);
}

static int open_config(struct app *app, unsigned parts, struct err *err)
{
    char *path = NULL, *root = NULL;
    int rc = app_find(app->options, &path, &root, err);
    if (rc == 0 && stat(path, &app->config_stat) != 0)
        app->config_stat = (struct stat){0};
    if (rc == 0 && (parts & APP_CACHE))
        read_ahead(app, root, parts & APP_WATCHES);
    if (rc == 0)
        rc = config_load(path, root, &app->config, err);
    if (rc == 0)
        app->root = mem_strdup(app->config->root);
    if (rc == 0)
        app->lock_path = mem_printf("%.*s/%s", (int)(strrchr(path, '/') - path), path, LOCK_NAME);
    free(path);
    free(root);
    return rc;
}

static int open_cache(struct app *app, struct err *err)
{
    char *path = cache_default_path();
    if (!path)
        return err_set(
            err, ERR_SYSTEM,
            "there is no place for the cache: set HOME, XDG_CACHE_HOME or KILN_CACHE_DIR");
    int rc = cache_open(path, &app->cache, &app->read_only, err);
    if (rc == 0 && app->read_only) {
        char *text = mem_printf("the cache at %s can only be read: %s", path, err_text(err));
        warn(app->options, text);
        free(text);
        err_release(err);
    }
    if (rc == 0)
        app_remove_as_nest(app);
    if (rc == 0)
        app->scratch_path = path_join(path, "v1/tmp");
    if (rc == 0 && app->stat_path) {
        char *dir = path_join(path, "v1/stat");
        if (!app->read_only && file_mkdirs(dir, 0700, NULL) != 0) {
            free(app->stat_path);
            app->stat_path = NULL;
        } else if (app->options->rehash) {
            unlink(app->stat_path);
        }
        free(dir);
    }
    free(path);
    return rc;
}

/* Without a place for records kiln works all the same; it just can't tell later. */
static void open_state(struct app *app, const char *root)
{
    struct err err = ERR_INIT;
    char *dir = path_xdg("XDG_STATE_HOME", ".local/state");
    if (!dir) {
        warn(app->options, "no run records are kept: set HOME or XDG_STATE_HOME");
        return;
    }
    if (records_open(dir, root, &app->records, &err) < 0) {
        err_wrap(&err, "no run records are kept");
        warn(app->options, err_text(&err));
    } else {
        char *path = path_join(records_dir(app->records), "steps.log");
        if (history_open(path, &app->history, &err) < 0) {
            err_wrap(&err, "reasons can't be told");
            warn(app->options, err_text(&err));
        }
        free(path);
    }
    err_release(&err);
    free(dir);
}

/* Many steps at a time need many descriptors. Steps keep the limit that kiln was started with: they
 * are the helper process' children. */
static void raise_descriptors(void)
{
    const rlim_t enough = 65536;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= enough)
        return;
    limit.rlim_cur = limit.rlim_max < enough ? limit.rlim_max : enough;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* The config that was given, whose file need not be what lies in the folder. */
static int take_config(struct app *app, const struct app_given *given, struct err *err)
{
    int rc = config_parse(buf_str(given->text), given->text->len, given->path, given->root, false,
                          &app->config, err);
    if (rc == 0) {
        app->root = mem_strdup(app->config->root);
        app->lock_path = mem_printf("%.*s/%s", (int)(strrchr(given->path, '/') - given->path),
                                    given->path, LOCK_NAME);
    }
    return rc;
}

int app_open(struct app *app, const struct options *options, unsigned parts, struct err *err)
{
    return app_open_given(app, options, NULL, parts, err);
}

int app_open_given(struct app *app, const struct options *options, const struct app_given *given,
                   unsigned parts, struct err *err)
{
    *app = (struct app){.options = options};
    int rc = uv_loop_init(&app->loop);
    if (rc < 0)
        return err_sys(err, -rc, "cannot make an event loop");
    app->loop_open = true;
    if ((parts & APP_RUNNER) && runner_host_new(&app->loop, &app->runner, err) < 0)
        return -(int)err->kind; /* first, while this process is still small and single */
    raise_descriptors();
    if (given && given->project)
        read_ahead(app, given->root, false);
    if (given && take_config(app, given, err) < 0)
        return -(int)err->kind;
    if ((parts & APP_CONFIG) && open_config(app, parts, err) < 0)
        return -(int)err->kind;
    if ((parts & APP_CACHE) && open_cache(app, err) < 0)
        return -(int)err->kind;
    if ((parts & APP_STATE) && app->root)
        open_state(app, given && given->project ? given->project : app->root);
    return 0;
}

void app_close(struct app *app)
{
    app_close_runners(app);
    if (app->loop_open) {
        uv_run(&app->loop, UV_RUN_DEFAULT);
        int rc = uv_loop_close(&app->loop);
        (void)rc;
    }
    /* What was kept waiting by somebody else's lock. */
    struct err err = ERR_INIT;
    if (app->history && history_flush(app->history, &err) < 0)
        warn(app->options, err_text(&err));
    err_release(&err);
    history_close(app->history);
    records_close(app->records);
    cache_close(app->cache);
    config_free(app->config);
    worktree_ahead_free(app->stat_ahead);
    free(app->stat_path);
    free(app->scratch_path);
    free(app->lock_path);
    free(app->root);
}
