/* hook_fix.c - fixers in the hook: run until they rest, and what they did taken over (see hook.h).
 */
#include "cli/hook.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS  5
#define FILES_SHOWN 10

static void add_path(struct buf *out, size_t i, const struct git_fix *fix)
{
    if (i < FILES_SHOWN) {
        buf_adds(out, i ? ", " : "");
        buf_add_shown(out, fix->path, strlen(fix->path));
    } else if (i == FILES_SHOWN) {
        buf_adds(out, " ...");
    }
}

static void add_fixes(struct buf *out, const struct git_fixes *fixes)
{
    for (size_t i = 0; i < fixes->n; i++)
        add_path(out, i, &fixes->v[i]);
}

/* One run of the fixers; *more: they have changed the tree. */
static int one_round(struct hook_fixing *fixing, struct hook_commit *commit,
                     struct hook_checkout *checkout, const struct config *config, const char *from,
                     bool *more, int *code, struct err *err)
{
    char now[GIT_TREE_HEX + 1] = "";
    *more = false;
    *code = hook_run(fixing->options, commit, checkout, HOOK_FIXERS, fixing->git, now);
    if (*code == HOOK_NONE)
        *code = EXIT_OK;
    else
        fixing->rested = *code == EXIT_OK && !strcmp(now, commit->tree);
    if (*code != EXIT_OK || !*now || fixing->rested)
        return 0;
    *more = true;
    git_fixes_release(&fixing->fixes);
    memcpy(commit->tree, now, sizeof now);
    int rc = git_fixes_find(&commit->place, checkout->dir, from, now, &fixing->fixes, err);
    return rc == 0 ? hook_checkout_again(commit, config, checkout, err) : rc;
}

/* Only the working tree has the fixes, for somebody to look at. */
static int stop(struct hook_fixing *fixing, const struct hook_commit *commit,
                const struct hook_checkout *checkout, struct err *err)
{
    struct git_applied applied;
    struct buf text = BUF_INIT;
    int rc = git_fixes_apply(&commit->place, checkout->dir, &fixing->fixes, false, &applied, err);
    add_fixes(&text, &fixing->fixes);
    fflush(stdout);
    if (rc == 0)
        fprintf(stderr,
                "hook: %s in the working tree: %s\nhook: stopped, so that you look at it: git "
                "diff; then \"git add\" it and commit again\n",
                applied.n_written ? "fixed" : "fixed already", buf_str(&text));
    git_applied_release(&applied);
    buf_release(&text);
    return rc;
}

static void say_too_late(const struct hook_fixing *fixing)
{
    struct buf text = BUF_INIT;
    add_fixes(&text, &fixing->fixes);
    fflush(stdout);
    fprintf(stderr,
            "hook: there is something to be fixed in %s\nhook: stopped, since it is too late to "
            "change what is %s: \"kiln hook run\" fixes what is staged; to go on without it: git "
            "%s --no-verify\n",
            buf_str(&text), strcmp(fixing->git, "push") != 0 ? "committed" : "pushed", fixing->git);
    buf_release(&text);
}

int hook_fix(struct hook_fixing *fixing, struct hook_commit *commit, struct hook_checkout *checkout,
             struct hook_answer *answer, int *code, struct err *err)
{
    char from[GIT_TREE_HEX + 1];
    enum config_fixes becomes = answer->config->hook.fix;
    bool more = true;
    int rc = 0;
    memcpy(from, commit->tree, sizeof from);
    for (int round = 0; rc == 0 && more && *code == EXIT_OK && answer->fixers; round++) {
        if (round == MAX_ROUNDS) {
            struct buf text = BUF_INIT;
            add_fixes(&text, &fixing->fixes);
            rc = err_set(err, ERR_CONFIG,
                         "the fixers find something to fix each time anew, in %d rounds, in %s; "
                         "nothing was fixed: two of them may disagree",
                         MAX_ROUNDS, buf_str(&text));
            buf_release(&text);
            break;
        }
        rc = one_round(fixing, commit, checkout, answer->config, from, &more, code, err);
        if (rc != 0 || !more)
            break;
        if (fixing->fixes.n && !fixing->may_apply) {
            say_too_late(fixing);
            *code = EXIT_STEP_FAILED;
        } else {
            hook_answer_release(answer);
            rc = hook_ask(fixing->options, commit, answer, err);
        }
    }
    if (rc == 0 && *code == EXIT_OK && fixing->fixes.n && becomes == CONFIG_FIXES_STOP) {
        rc = stop(fixing, commit, checkout, err);
        *code = EXIT_STEP_FAILED;
    }
    return rc;
}

int hook_fix_end(struct hook_fixing *fixing, const struct hook_commit *commit,
                 const struct hook_checkout *checkout, bool passed, struct err *err)
{
    struct git_applied applied = {0};
    struct buf text = BUF_INIT;
    const struct git_fixes *fixes = &fixing->fixes;
    int rc = 0;
    if (!fixes->n)
        return 0;
    add_fixes(&text, fixes);
    if (passed)
        rc = git_fixes_apply(&commit->place, checkout->dir, fixes, true, &applied, err);
    if (rc == 0 && passed) {
        fflush(stdout);
        fprintf(stderr, "hook: fixed %zu file%s: %s", fixes->n, fixes->n > 1 ? "s" : "",
                buf_str(&text));
        buf_reset(&text);
        for (size_t i = 0; i < applied.n_merged; i++)
            add_path(&text, i, applied.merged[i]);
        if (applied.n_merged)
            fprintf(stderr, "; what is not staged is kept in %s", buf_str(&text));
        fputc('\n', stderr);
    } else if (!passed) {
        fprintf(stderr, "hook: not fixed, since steps failed: %s\n", buf_str(&text));
    }
    git_applied_release(&applied);
    buf_release(&text);
    return rc;
}

void hook_fixing_release(struct hook_fixing *fixing)
{
    git_fixes_release(&fixing->fixes);
}
