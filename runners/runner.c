/* runner.c - the calls of every back end, handed on to the one that is meant. */
#include "runners/runner.h"

int runner_start(struct runner *runner, const struct runner_request *request,
                 const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                 struct err *err)
{
    *out = NULL;
    if (!request->argv || !request->argv[0])
        return err_set(err, ERR_USAGE, "the command is empty: name a program to run");
    return runner->ops->start(runner, request, callbacks, ctx, out, err);
}

void runner_cancel(struct runner_exec *exec)
{
    exec->runner->ops->cancel(exec);
}

void runner_withdraw(struct runner_exec *exec)
{
    exec->runner->ops->withdraw(exec);
}

bool runner_input(struct runner_exec *exec, const char *bytes, size_t n)
{
    return exec->runner->ops->input(exec, bytes, n);
}

void runner_resize(struct runner_exec *exec, const struct winsize *size)
{
    exec->runner->ops->resize(exec, size);
}

void runner_go_on(struct runner *runner)
{
    runner->ops->go_on(runner);
}

bool runner_works(const struct runner *runner)
{
    return runner->ops->works(runner);
}

void runner_close(struct runner *runner, void (*closed)(void *ctx), void *ctx)
{
    runner->ops->close(runner, closed, ctx);
}
