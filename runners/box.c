/*
 * box.c - the back end for isolated steps: a host runner, whose commands are the OCI runtime's,
 * each started in a nest (nest.h).
 *
 * The runtime writes what it has to say of itself to a log in the box's directory; so what a step
 * writes is the step's own, and a runtime that fails is told apart from a step that does.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/host_private.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_RUNTIME "crun"
#define RUNTIME_LOG     "runtime.log"
#define MAX_LOG         ((size_t)64 * 1024)

struct box_runner {
    struct runner base;
    uv_loop_t *loop;
    struct runner *host;
    struct box_reach reach;
    struct box_means means;
    bool borrows_host, closing;
    size_t n_live; /* executions */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct box_exec {
    struct box_runner *box;
    struct runner_callbacks callbacks;
    void *ctx;
    struct box_cgroup cgroup;
    uint64_t file_size; /* its limit, or 0 */
    box_wishes wishes;
    char *log;     /* the runtime's, or NULL */
    char *program; /* what the box was to run */
    char *lost;    /* owns exit.lost */
    pid_t pid;     /* 0: not started */
    /* With a terminal that the runtime makes: */
    struct box_console *console;
    struct runner_terminal terminal; /* the caller's; without: ... */
    struct runner_exec *exec;        /* ... the host runner's, which takes it */
    int leader;                      /* of the one that was made, until it is told of */
    bool told;
};

/* --- the end --- */

static void box_free(void *ctx)
{
    struct box_runner *box = ctx;
    void (*closed)(void *ctx) = box->closed;
    void *closed_ctx = box->closed_ctx;
    box_means_close(&box->means);
    free(box->reach.dir);
    free(box->reach.veil);
    free(box);
    if (closed)
        closed(closed_ctx);
}

static void exec_free(struct box_exec *exec)
{
    box_cgroup_remove(&exec->cgroup);
    box_wishes_release(&exec->wishes);
    box_console_close(exec->console);
    if (exec->leader >= 0)
        close(exec->leader);
    if (exec->log)
        unlink(exec->log);
    free(exec->log);
    free(exec->program);
    free(exec->lost);
    free(exec);
}

/* What the runtime says of itself, without its own decoration; NULL when it says nothing. */
static char *read_log(const char *path)
{
    struct buf text = BUF_INIT, out = BUF_INIT;
    struct err err = ERR_INIT;
    if (file_read(path, MAX_LOG, &text, &err) < 0)
        buf_reset(&text);
    err_release(&err);
    for (const char *line = buf_str(&text); *line;) {
        size_t n = strcspn(line, "\n");
        json_t *entry = json_loadb(line, n, 0, NULL);
        const char *level = json_string_value(json_object_get(entry, "level"));
        const char *message = json_string_value(json_object_get(entry, "msg"));
        if (message && (!level || strcmp(level, "warning") != 0)) {
            if (out.len)
                buf_adds(&out, "; ");
            buf_adds(&out, message);
        }
        json_decref(entry);
        line += n + (line[n] == '\n');
    }
    buf_release(&text);
    return out.len ? buf_detach(&out) : NULL;
}

/* Whether the runtime says that it found no such program, or one that cannot be run: that is the
 * command's own failure. Returns its exit code, or 0. */
static int command_failure(const char *said)
{
    bool found = !strstr(said, "not found in $PATH") && !strstr(said, "o such file or directory");
    if (!strstr(said, "executable") && !strstr(said, "exec"))
        return 0;
    return found ? 126 : 127;
}

static void on_ending(void *ctx, struct runner_exit *exit, struct buf *line)
{
    struct box_exec *exec = ctx;
    exec->told = true; /* a line is kiln's own */
    bool passed = exit->exit_code == 0 && exit->signal == 0;
    if (passed || exit->cancelled || exit->timed_out || exit->withdrawn || exit->lost)
        return;
    char *said = exec->log ? read_log(exec->log) : NULL;
    const struct box_wish *wish = said ? box_blame(&exec->wishes, said) : NULL;
    int code = said && !wish ? command_failure(said) : 0;
    exit->cause = (int)box_cgroup_cause(&exec->cgroup);
    if (exec->file_size && exit->exit_code == 128 + SIGXFSZ)
        exit->cause = BOX_CAUSE_FILE_SIZE;
    if (said && exit->cause == BOX_CAUSE_NONE && code) {
        exit->exit_code = code;
        buf_adds(line, "kiln: cannot run '");
        buf_add_shown(line, exec->program, strlen(exec->program));
        buf_adds(line, "' in its box: ");
        buf_add_shown(line, said, strlen(said));
        buf_addc(line, '\n');
    } else if (said && exit->cause == BOX_CAUSE_NONE) {
        exec->lost = wish
                         ? mem_printf("its %s %s cannot be put there: %s; choose another place",
                                      wish->secret ? "secret" : "cache directory", wish->path, said)
                         : mem_printf("its box could not be set up: %s", said);
        exit->lost = exec->lost;
    }
    static const char *const causes[] = {
        [BOX_CAUSE_MEMORY] = "it met its limit of memory, and was ended: raise \"memory\" in its "
                             "\"limits\", or make it need less",
        [BOX_CAUSE_PIDS] = "it met its limit of processes: raise \"pids\" in its \"limits\", or "
                           "make it start fewer at a time",
        [BOX_CAUSE_FILE_SIZE] = "it met its limit of a file's size, and was ended: raise "
                                "\"file_size\" in its \"limits\"",
    };
    if (exit->cause != BOX_CAUSE_NONE)
        buf_addf(line, "kiln: %s\n", causes[exit->cause]);
    free(said);
}

/* With a console it has not started before its terminal is there. */
static void tell_started(struct box_exec *exec)
{
    if (exec->told || !exec->pid || (exec->console && exec->leader < 0))
        return;
    exec->told = true;
    if (exec->console && exec->terminal.replaced)
        exec->terminal.replaced(exec->terminal.ctx, exec->leader);
    else if (exec->console)
        host_exec_adopt(exec->exec, exec->leader);
    exec->leader = -1;
    exec->callbacks.started(exec->ctx, exec->pid);
}

static void on_started(void *ctx, pid_t pid)
{
    struct box_exec *exec = ctx;
    exec->pid = pid;
    tell_started(exec);
}

static void on_console(void *ctx, int leader)
{
    struct box_exec *exec = ctx;
    exec->leader = leader;
    tell_started(exec);
}

static int on_spool(void *ctx)
{
    struct box_exec *exec = ctx;
    return exec->callbacks.spool(exec->ctx);
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct box_exec *exec = ctx;
    if (exec->told || !exec->pid) /* else it is the runtime's word, which is in its log */
        exec->callbacks.output(exec->ctx, stream, offset, n);
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct box_exec *exec = ctx;
    struct box_runner *box = exec->box;
    exec->callbacks.exited(exec->ctx, exit);
    exec_free(exec);
    if (--box->n_live == 0 && box->closing && box->borrows_host)
        box_free(box);
}

static void on_filter(void *ctx, int stream, const char *bytes, size_t n, struct buf *out)
{
    struct box_exec *exec = ctx;
    exec->callbacks.filter(exec->ctx, stream, bytes, n, out);
}

/* --- the start --- */

/* Who the step is, by name in an image, always the same in the sandbox; and its nest. */
static int choose_user(struct box_runner *box, struct box_plan *plan, struct err *err)
{
    struct nest_ids ids = {0, 0};
    if (plan->box->root == BOX_ROOT_HOST)
        plan->user = (struct box_user){.uid = BOX_USER_ID, .gid = BOX_USER_ID};
    else if (box_user_find(plan->box, &plan->user, err) < 0)
        return -(int)err->kind;
    else
        ids = (struct nest_ids){plan->user.uid, plan->user.gid};
    plan->nest = box_means_nest(&box->means, &ids, err);
    if (!plan->nest)
        return -(int)err->kind;
    box->reach.group = plan->nest->map.gid.first;
    const struct nest_map *map = &plan->nest->map;
    plan->map = map;
    /* With one id there is only one, whatever it is called inside. */
    plan->nested =
        plan->box->root == BOX_ROOT_HOST || ((plan->user.uid || plan->user.gid) && !map->uid.more);
    if (!plan->nested && (plan->user.uid > map->uid.more || plan->user.gid > map->gid.more))
        return err_set(err, ERR_SYSTEM,
                       "its user %u:%u is beyond the %u ids that kiln may use here; give more in "
                       "/etc/subuid and /etc/subgid",
                       plan->user.uid, plan->user.gid, map->uid.more + 1);
    return 0;
}

/* What a command in the nest is given by name. */
static int reach_arguments(const struct box_runner *box, const struct runner_request *request,
                           struct err *err)
{
    int rc = 0;
    for (size_t i = 0; request->argv[i] && rc == 0; i++)
        rc = box_let_read(&box->reach, request->argv[i], err);
    return rc;
}

static int reach_box(const struct box_runner *box, const struct runner_box *what, struct err *err)
{
    int rc = box_let_through(&box->reach, what->dir, err);
    for (size_t i = 0; i < what->n_layers && rc == 0; i++)
        rc = box_let_through(&box->reach, what->layers[i], err);
    for (size_t i = 0; i < what->n_view && rc == 0; i++)
        rc = box_let_through(&box->reach, what->view[i], err);
    for (size_t i = 0; i < what->n_caches && rc == 0; i++)
        rc = box_let_through(&box->reach, what->caches[i].dir, err);
    return rc;
}

static int make_nest(const struct box_runner *box, const struct box_plan *plan,
                     struct box_exec *exec, struct nest *nest, struct err *err)
{
    struct buf bundle = BUF_INIT;
    int rc = box_cgroup_make(&exec->cgroup, &plan->box->limits, nest, err);
    if (rc == 0)
        rc = box_bundle(plan, &bundle, err);
    nest_enter_namespace(nest, plan->nest->ids.gid, box->reach.dir, box->reach.veil);
    if (rc == 0)
        rc = box_root_nest(plan, nest, err);
    if (rc == 0)
        nest_file(nest, "config.json", bundle.data, bundle.len, 0400);
    if (bundle.data)
        explicit_bzero(bundle.data, bundle.len);
    buf_release(&bundle);
    return rc;
}

static int start_in_nest(struct box_runner *box, const struct runner_request *request,
                         const struct nest *nest, int user, int file, struct box_exec *exec,
                         struct runner_exec **out, struct err *err)
{
    struct buf block = BUF_INIT;
    nest_pack(nest, &block);
    struct host_extra extra = {.nest = &block,
                               .user = user,
                               .file = file,
                               .pty_later = exec->console != NULL,
                               .ending = on_ending};
    struct runner_callbacks callbacks = {.started = on_started,
                                         .spool = on_spool,
                                         .output = on_output,
                                         .exited = on_exited,
                                         .filter = exec->callbacks.filter ? on_filter : NULL};
    int rc = host_exec_start_extra(box->host, request, &extra, &callbacks, exec, out, err);
    exec->exec = *out;
    if (request->secret)
        explicit_bzero(block.data, block.len);
    buf_release(&block);
    return rc;
}

static int start_runtime(struct box_runner *box, const struct runner_request *request,
                         struct box_exec *exec, struct runner_exec **out, struct err *err)
{
    char *nest_path = path_join(request->box->dir, BOX_NEST);
    char *state = path_join(nest_path, "state");
    struct box_plan plan = {.request = request,
                            .box = request->box,
                            .filter = box->means.filter,
                            .is_crun = box->means.is_crun,
                            .init = box->means.init,
                            .nest_path = nest_path};
    struct nest nest = NEST_INIT;
    char *log = mem_printf("%s%s/" RUNTIME_LOG, plan.is_crun ? "file:" : "", request->box->dir);
    exec->log = path_join(request->box->dir, RUNTIME_LOG);
    exec->file_size = request->box->limits.file_size;
    box_wishes_init(&exec->wishes, request->box);
    int rc = choose_user(box, &plan, err);
    if (rc == 0)
        rc = reach_box(box, request->box, err);
    if (rc == 0)
        rc = make_nest(box, &plan, exec, &nest, err);
    /* So the terminal has the size that the caller gives it, whether or not the runtime follows
     * that of its own; not every other one allows this. */
    if (rc == 0 && plan.is_crun && (request->terminal || request->pty)) {
        if (request->terminal)
            exec->terminal = *request->terminal;
        rc = box_console_open(box->loop, request->box->dir, on_console, exec, &exec->console, err);
    }
    if (rc == 0) {
        const char *argv[16];
        size_t n = 0;
        argv[n++] = box->means.program;
        argv[n++] = "--root";
        argv[n++] = state;
        argv[n++] = "--log";
        argv[n++] = log;
        argv[n++] = "--log-format";
        argv[n++] = "json";
        /* kiln sets limits itself: the runtime shall have nothing to do with control groups. */
        argv[n++] = plan.is_crun ? "--cgroup-manager" : "--rootless";
        argv[n++] = plan.is_crun ? "disabled" : "true";
        argv[n++] = "run";
        argv[n++] = "--bundle";
        argv[n++] = nest_path;
        if (exec->console) {
            argv[n++] = "--console-socket";
            argv[n++] = box_console_path(exec->console);
        }
        argv[n++] = "kiln";
        argv[n] = NULL;
        static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
        struct runner_request inner = *request;
        inner.argv = argv;
        inner.envp = envp;
        inner.root = "/";
        inner.cwd = "";
        inner.box = NULL;
        if (exec->console)
            inner.terminal = NULL;
        rc = start_in_nest(box, &inner, &nest, plan.nest->fd, box->means.file, exec, out, err);
    }
    nest_release(&nest);
    box_user_release(&plan.user);
    free(log);
    free(state);
    free(nest_path);
    return rc;
}

/* On the host's own files, as the nest's root. */
static int start_plain(struct box_runner *box, const struct runner_request *request,
                       struct box_exec *exec, struct runner_exec **out, struct err *err)
{
    const struct nest_ids ids = {request->nest_uid, request->nest_gid};
    const struct box_nest *where = box_means_nest(&box->means, &ids, err);
    struct nest nest = NEST_INIT;
    if (!where)
        return -(int)err->kind;
    box->reach.group = where->map.gid.first;
    if (reach_arguments(box, request, err) < 0)
        return -(int)err->kind;
    nest_enter_namespace(&nest, ids.gid, box->reach.dir, box->reach.veil);
    int rc = start_in_nest(box, request, &nest, where->fd, -1, exec, out, err);
    nest_release(&nest);
    return rc;
}

int runner_box_owner(struct runner *runner, struct box_owner *out, struct err *err)
{
    static const struct nest_ids root = {0, 0};
    struct box_runner *box = (struct box_runner *)runner;
    const struct box_nest *nest = box_means_nest(&box->means, &root, err);
    if (!nest)
        return -(int)err->kind;
    nest_user_owner(&nest->map, out);
    return 0;
}

static int box_start(struct runner *runner, const struct runner_request *request,
                     const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                     struct err *err)
{
    struct box_runner *box = (struct box_runner *)runner;
    if (request->box && box_means_runtime(&box->means, err) < 0)
        return -(int)err->kind;
    struct box_exec *exec = mem_zalloc(1, sizeof *exec);
    exec->box = box;
    exec->callbacks = *callbacks;
    exec->ctx = ctx;
    exec->leader = -1;
    exec->program = mem_strdup(request->argv[0]);
    int rc = request->box ? start_runtime(box, request, exec, out, err)
                          : start_plain(box, request, exec, out, err);
    if (rc < 0)
        exec_free(exec);
    else
        box->n_live++;
    return rc;
}

/* --- the runner --- */

/* An execution is the host runner's, and so are all calls but these. */
static void box_go_on(struct runner *runner)
{
    runner_go_on(((struct box_runner *)runner)->host);
}

static bool box_works(const struct runner *runner)
{
    return runner_works(((const struct box_runner *)runner)->host);
}

static void box_close(struct runner *runner, void (*closed)(void *ctx), void *ctx)
{
    struct box_runner *box = (struct box_runner *)runner;
    box->closed = closed;
    box->closed_ctx = ctx;
    box->closing = true;
    if (!box->borrows_host)
        runner_close(box->host, box_free, box);
    else if (!box->n_live)
        box_free(box);
}

static const struct runner_ops box_ops = {
    .name = "box",
    .start = box_start,
    .go_on = box_go_on,
    .works = box_works,
    .close = box_close,
};

int runner_box_new(uv_loop_t *loop, const struct runner_box_options *options, struct runner **out,
                   struct err *err)
{
    const char *runtime = options && options->runtime ? options->runtime : getenv("KILN_RUNTIME");
    struct runner *host = options ? options->host : NULL;
    *out = NULL;
    if (!host && runner_host_new(loop, &host, err) < 0)
        return -(int)err->kind;
    struct box_runner *box = mem_zalloc(1, sizeof *box);
    box->base.ops = &box_ops;
    box->loop = loop;
    box->host = host;
    box->borrows_host = options && options->host;
    box->reach.dir = options && options->dir ? mem_strdup(options->dir) : NULL;
    box->reach.veil = box_veil(box->reach.dir);
    box_means_open(&box->means, runtime && *runtime ? runtime : DEFAULT_RUNTIME, box->reach.dir);
    *out = &box->base;
    return 0;
}
