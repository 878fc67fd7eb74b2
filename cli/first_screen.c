#include "cli/first_screen.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/init_project.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_SIGNALS 3
#define MAX_FOUND 8
#define MAX_SAID  12

struct first {
    const struct options *options;
    uv_loop_t loop;
    struct control control;
    struct tui *tui;
    uv_fs_event_t watch;
    uv_signal_t signals[N_SIGNALS];
    uv_work_t work;
    bool watching, working, ended, ready;
    int code;
    char *dir; /* where kiln.json is, or would be written */
    char *cwd;
    bool missing;          /* there is none */
    struct err err;        /* what is wrong with the one that is there */
    struct err init_err;   /* why none could be written */
    struct init_plan plan; /* what was found; looked at once */
};

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void end(struct first *f, int code)
{
    if (f->ended)
        return;
    f->ended = true;
    f->code = code;
    tui_free(f->tui);
    f->tui = NULL;
    if (f->watching)
        uv_close((uv_handle_t *)&f->watch, on_closed);
    for (size_t i = 0; i < N_SIGNALS; i++)
        uv_close((uv_handle_t *)&f->signals[i], on_closed);
}

/* -- what is shown ----------------------------------------------------------------------------- */

struct lines {
    VEC(struct tui_line) list;
    struct arena arena; /* of their texts */
};

static void add(struct lines *to, enum tui_tone tone, const char *text)
{
    for (;; text++) {
        size_t n = strcspn(text, "\n");
        vec_push(&to->list, (struct tui_line){tone, arena_strndup(&to->arena, text, n)});
        text += n;
        if (!*text)
            return;
    }
}

static void add_found(struct first *f, struct lines *to)
{
    size_t shown = 0;
    vec_each (const struct init_part, part, &f->plan.parts) {
        struct buf text = BUF_INIT;
        if (shown++ < MAX_FOUND) {
            buf_adds(&text, "  ");
            init_tell(&f->plan, part, &text);
            add(to, TUI_GOOD, buf_str(&text));
        }
        buf_release(&text);
    }
    if (shown > MAX_FOUND)
        add(to, TUI_GOOD, arena_printf(&to->arena, "  and %zu more", shown - MAX_FOUND));
    if (!shown)
        add(to, TUI_PLAIN,
            "  nothing that kiln knows how to build: you get an example to be changed");
}

static void add_welcome(struct first *f, struct lines *to)
{
    add(to, TUI_STRONG, "Welcome to kiln.");
    add(to, TUI_PLAIN,
        "\nkiln runs the steps that build and test a project, remembers their results by what "
        "they read, and runs again only what an edit concerns.\n");
    add(to, TUI_PLAIN, arena_printf(&to->arena, "There is no kiln.json in %s yet.", f->cwd));
    add(to, TUI_PLAIN, "Found here:\n");
    add_found(f, to);
    add(to, TUI_PLAIN, "");
    if (f->init_err.kind != ERR_NONE)
        add(to, TUI_BAD, err_text(&f->init_err));
    else
        add(to, TUI_QUIET,
            f->working ? "Writing kiln.json ..."
                       : "i writes a kiln.json with these steps, as \"kiln init\" does, and "
                         "runs them. q leaves, and nothing has been written.");
}

/* Of what a program said, its end: that is where it says what went wrong. */
static void add_broken(struct lines *to, const char *why)
{
    size_t n = strlen(why), rows = 0;
    while (n > 0 && why[n - 1] == '\n')
        n--;
    const char *end = why + n, *said = strchr(why, '\n'), *from = end;
    while (said && from > said && (from[-1] != '\n' || rows++ < MAX_SAID))
        from--;
    add(to, TUI_STRONG, "This pipeline cannot be read yet.");
    add(to, TUI_PLAIN, "");
    size_t first = said && said < end ? (size_t)(said - why) : n;
    add(to, TUI_BAD, arena_strndup(&to->arena, why, first));
    if (first < n) {
        add(to, TUI_PLAIN, from > said + 1 ? "  ..." : "");
        add(to, TUI_PLAIN, arena_strndup(&to->arena, from, (size_t)(end - from)));
    }
    add(to, TUI_QUIET, "\nSave the file when it is mended: kiln takes it up at once. q leaves.");
}

static void show_lines(struct tui *tui, struct lines *lines, bool can_init)
{
    tui_start(
        tui, &(struct tui_start){.lines = lines->list.v, .n = lines->list.n, .can_init = can_init});
    vec_release(&lines->list);
    arena_release(&lines->arena);
}

void first_screen_tell(struct tui *tui, const char *why)
{
    struct lines lines = {VEC_INIT, ARENA_INIT};
    add_broken(&lines, why);
    show_lines(tui, &lines, false);
}

static void show(struct first *f)
{
    struct lines lines = {VEC_INIT, ARENA_INIT};
    if (f->missing)
        add_welcome(f, &lines);
    else
        add_broken(&lines, err_text(&f->err));
    show_lines(f->tui, &lines, f->missing && !f->working);
}

/* -- what happens ------------------------------------------------------------------------------ */

/* Whether the pipeline can be read now; else why not. */
static bool look(struct first *f)
{
    char *path = NULL, *root = NULL;
    struct config *config = NULL;
    err_release(&f->err);
    f->missing = false;
    if (app_find(f->options, &path, &root, &f->err) < 0)
        f->missing = !f->options->config;
    else if (config_load(path, root, &config, &f->err) == 0)
        config_free(config);
    free(path);
    free(root);
    return f->err.kind == ERR_NONE;
}

static void look_again(struct first *f)
{
    if (f->ended)
        return;
    f->ready = look(f);
    if (f->ready)
        end(f, -1);
    else
        show(f);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct first *f = watch->data;
    (void)name;
    (void)events;
    (void)status;
    if (!f->working)
        look_again(f);
}

static void write_first(uv_work_t *work)
{
    struct first *f = work->data;
    struct init_plan plan = {0};
    struct buf text = BUF_INIT;
    int rc = init_project(f->cwd, &plan, &text, &f->init_err);
    if (rc == 0)
        rc = init_save(f->cwd, &text, &f->init_err);
    (void)rc; /* the screen tells */
    buf_release(&text);
    init_release(&plan);
}

static void on_written(uv_work_t *work, int status)
{
    struct first *f = work->data;
    (void)status;
    f->working = false;
    look_again(f);
}

static void on_command(void *ctx, const struct command *command)
{
    struct first *f = ctx;
    if (command->type == COMMAND_QUIT) {
        end(f, f->missing ? EXIT_OK : EXIT_USAGE);
    } else if (command->type == COMMAND_INIT && f->missing && !f->working) {
        err_release(&f->init_err);
        f->work.data = f;
        f->working = uv_queue_work(&f->loop, &f->work, write_first, on_written) == 0;
        show(f);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    end(handle->data, 128 + number);
}

/* The directory of the file that is wrong, or the one that is to have a first one. */
static char *watched_dir(struct first *f)
{
    char *path = NULL, *root = NULL, *dir = NULL;
    if (app_find(f->options, &path, &root, NULL) == 0)
        dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path) + (strrchr(path, '/') == path));
    free(path);
    free(root);
    return dir ? dir : mem_strdup(f->cwd);
}

static int open_all(struct first *f, const struct tui_options *terminal, struct err *err)
{
    static const int numbers[N_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    struct tui_options options = *terminal;
    const char *slash = strrchr(f->cwd, '/');
    options.loop = &f->loop;
    options.control = &f->control;
    options.project = slash && slash[1] ? slash + 1 : f->cwd;
    for (size_t i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&f->loop, &f->signals[i]);
        f->signals[i].data = f;
        uv_signal_start(&f->signals[i], on_signal, numbers[i]);
    }
    if (tui_new(&options, &f->tui, err) < 0)
        return -(int)err->kind;
    f->dir = watched_dir(f);
    uv_fs_event_init(&f->loop, &f->watch);
    f->watch.data = f;
    f->watching = true;
    /* Where nothing tells of edits one has to come back: no reason to fail. */
    (void)uv_fs_event_start(&f->watch, on_change, f->dir, 0);
    return 0;
}

int first_screen(const struct options *options, const struct tui_options *terminal, struct err *why)
{
    struct first f = {.options = options, .control = {.send = on_command}};
    struct init_machine machine = init_machine_here();
    f.control.ctx = &f;
    f.cwd = getcwd(NULL, 0);
    if (!f.cwd || uv_loop_init(&f.loop) < 0) {
        free(f.cwd);
        return EXIT_USAGE;
    }
    (void)look(&f);
    if (f.missing)
        init_look(f.cwd, &machine, &f.plan);
    struct err err = ERR_INIT;
    if (open_all(&f, terminal, &err) < 0)
        end(&f, EXIT_KILN);
    else
        look_again(&f); /* it may have changed before anybody watched it */
    uv_run(&f.loop, UV_RUN_DEFAULT);
    int closed = uv_loop_close(&f.loop);
    (void)closed;
    if (f.missing || f.ready || f.code > 128 || err.kind != ERR_NONE)
        err_release(why);
    if (err.kind != ERR_NONE)
        *why = err;
    err_release(&f.err);
    err_release(&f.init_err);
    init_release(&f.plan);
    free(f.dir);
    free(f.cwd);
    return f.code;
}
