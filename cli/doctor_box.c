/* doctor_box.c - whether all of it together works: a sandbox step that does nothing. */
#include "cli/doctor.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/box.h"
#include "runners/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 60000

struct attempt {
    int spool; /* what it says, without a name */
    bool ended, passed;
    char *why; /* it did not; owned */
};

static void on_started(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
}

static int on_spool(void *ctx)
{
    return ((struct attempt *)ctx)->spool;
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    (void)ctx;
    (void)stream;
    (void)offset;
    (void)n;
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct attempt *attempt = ctx;
    char text[512];
    ssize_t n = attempt->spool < 0 ? 0 : pread(attempt->spool, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    attempt->ended = true;
    attempt->passed = !exit->lost && exit->exit_code == 0;
    attempt->why = exit->lost        ? mem_strdup(exit->lost)
                   : exit->timed_out ? mem_strdup("it did not end")
                                     : mem_printf("/bin/true exits with %d%s%s", exit->exit_code,
                                                  *text ? ": " : "", text);
}

static int make_parts(const char *dir, struct err *err)
{
    static const char *const parts[] = {"", "/upper"};
    struct box_owner owner;
    if (box_owner(&owner, err) < 0)
        return -(int)err->kind;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *path = mem_printf("%s%s", dir, parts[i]);
        int rc = i && mkdir(path, 0755) < 0 ? -1
                 : geteuid() == 0           ? chown(path, owner.uid, owner.gid)
                                            : 0;
        if (rc < 0)
            rc = err_sys(err, errno, "%s", path);
        free(path);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run(const char *cache, const char *dir, struct attempt *attempt, struct err *err)
{
    static const char *const argv[] = {"/bin/true", NULL};
    static const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
    static const struct runner_callbacks callbacks = {
        .started = on_started, .spool = on_spool, .output = on_output, .exited = on_exited};
    struct runner_box box = {.root = BOX_ROOT_HOST, .mount = BOX_PROJECT, .dir = dir, .user = ""};
    struct runner_request request = {
        .argv = argv, .envp = envp, .root = "/", .cwd = "", .box = &box, .timeout_ms = LIMIT_MS};
    struct runner *runner = NULL;
    struct runner_exec *exec;
    uv_loop_t loop;
    int rc = uv_loop_init(&loop);
    if (rc < 0)
        return err_sys(err, -rc, "cannot make an event loop");
    rc = runner_box_new(&loop, &(struct runner_box_options){.dir = cache}, &runner, err);
    if (rc == 0)
        rc = runner_start(runner, &request, &callbacks, attempt, &exec, err);
    while (rc == 0 && !attempt->ended)
        uv_run(&loop, UV_RUN_ONCE);
    if (runner)
        runner_close(runner, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    int closed = uv_loop_close(&loop);
    (void)closed;
    return rc;
}

void doctor_box(const char *cache, const char *dir, struct probe *probe)
{
    struct attempt attempt = {.spool = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    struct err err = ERR_INIT;
    char *base = mem_printf("%s/.probe-XXXXXX", dir);
    probe->name = "sandbox";
    bool made = mkdtemp(base) != NULL;
    int rc = made ? make_parts(base, &err) : err_sys(&err, errno, "%s", dir);
    if (rc == 0)
        rc = run(cache, base, &attempt, &err);
    if (rc == 0 && attempt.passed) {
        buf_adds(&probe->found, "runs /bin/true");
    } else {
        probe->verdict = PROBE_MISSING;
        buf_adds(&probe->found, rc < 0 ? err_text(&err) : attempt.why);
        buf_adds(&probe->means, "Steps can't be isolated, though all that they need is there.");
        buf_adds(&probe->remedy, "The kernel's log may say more.");
        buf_adds(&probe->commands, "sudo dmesg | tail\n");
    }
    err_release(&err);
    if (made && file_remove_tree(AT_FDCWD, base, &err) < 0)
        buf_addf(&probe->found, "; %s", err_text(&err));
    err_release(&err);
    if (attempt.spool >= 0)
        close(attempt.spool);
    free(attempt.why);
    free(base);
}
