/* cmd_hook.c - kiln hook: what is about to be committed is tested. */
#include "cli/hook.h"

#include <string.h>

static int exit_code_of(const struct err *err)
{
    return err->kind == ERR_SYSTEM || err->kind == ERR_CORRUPT ? EXIT_KILN : EXIT_USAGE;
}

static int run(const struct options *options)
{
    struct hook_commit commit;
    struct hook_answer answer = {0};
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    int rc = hook_commit_find(options, &commit, &err);
    if (rc == 0)
        rc = hook_ask(options, &commit, &answer, &err);
    if (rc != 0) {
        complain(options, err_text(&err));
        code = exit_code_of(&err);
    } else if (answer.all_cached) {
        if (answer.n_steps)
            printf("hook: all %zu steps cached\n", answer.n_steps);
        else
            puts("hook: all steps passed, as the kiln that watches has seen");
    } else {
        fprintf(stderr, "hook: %s%s%s\n", answer.first ? answer.first : "",
                answer.first ? ": " : "", answer.why);
        code = EXIT_STEP_FAILED;
    }
    hook_answer_release(&answer);
    hook_commit_release(&commit);
    err_release(&err);
    return code;
}

int command_hook(const struct options *options)
{
    (void)options->subcommand; /* there is one */
    return run(options);
}
