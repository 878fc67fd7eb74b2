#include "cli/debug_child.h"

#include "base/mem.h"
#include "base/vec.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void debug_child_init(struct debug_child *child, uv_loop_t *loop, const struct options *options,
                      const char *root)
{
    *child =
        (struct debug_child){.loop = loop,
                             .exe = realpath("/proc/self/exe", NULL),
                             .root = mem_strdup(root),
                             .config = options->config ? realpath(options->config, NULL) : NULL,
                             .output = options->json ? STDERR_FILENO : STDOUT_FILENO};
}

static void closed(uv_handle_t *handle)
{
    struct debug_child *child = handle->data;
    child->on = false;
    child->ended(child->ctx);
}

static void exited(uv_process_t *process, int64_t status, int number)
{
    struct debug_child *child = process->data;
    child->code = number ? 128 + number : (int)status;
    uv_close((uv_handle_t *)process, closed);
}

void debug_child_run(struct debug_child *child, FILE *out, bool terminal,
                     const char *const *arguments)
{
    VEC(const char *) argv = VEC_INIT;
    vec_push(&argv, child->exe);
    if (child->config) {
        vec_push(&argv, "--config");
        vec_push(&argv, child->config);
    }
    vec_push(&argv, "-C");
    vec_push(&argv, child->root);
    for (; *arguments; arguments++)
        vec_push(&argv, *arguments);
    vec_push(&argv, NULL);
    uv_stdio_container_t stdio[3] = {
        {.flags = terminal ? UV_INHERIT_FD : UV_IGNORE, .data.fd = STDIN_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = child->output},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
    uv_process_options_t options = {.exit_cb = exited,
                                    .file = child->exe,
                                    .args = (char **)argv.v,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    fflush(out);
    child->process.data = child;
    child->on = true;
    child->code = 0;
    int rc = uv_spawn(child->loop, &child->process, &options);
    if (rc < 0) {
        fprintf(out, "kiln can't be started: %s\n", uv_strerror(rc));
        uv_close((uv_handle_t *)&child->process, closed);
    }
    vec_release(&argv);
}

void debug_child_end(struct debug_child *child)
{
    if (child->on && uv_is_active((uv_handle_t *)&child->process))
        uv_process_kill(&child->process, SIGHUP);
}

void debug_child_release(struct debug_child *child)
{
    free(child->exe);
    free(child->root);
    free(child->config);
}
