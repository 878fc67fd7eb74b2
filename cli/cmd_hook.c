/* cmd_hook.c - kiln hook: what is about to be committed, or pushed, is tested. */
#include "cli/hook.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int hook_exit_code(const struct err *err)
{
    return err->kind == ERR_SYSTEM || err->kind == ERR_CORRUPT ? EXIT_KILN : EXIT_USAGE;
}

static bool has_git(const char *path)
{
    bool found = false;
    while (!found && *path) {
        size_t n = strcspn(path, ":");
        char *file = mem_printf("%.*s/git", (int)n, path);
        found = n && access(file, X_OK) == 0;
        free(file);
        path += n + (path[n] == ':');
    }
    return found;
}

/* What git tells its hooks is not the steps': a variable that they pass has the value that it has
 * elsewhere, so that their keys are the same. git puts its own programs in front of PATH. */
static void forget_git(void)
{
    static const char *const names[] = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX",
                                        "GIT_IMPLICIT_WORK_TREE"};
    const char *own = getenv("GIT_EXEC_PATH"), *path = getenv("PATH");
    size_t n = own ? strlen(own) : 0;
    while (n && path && !strncmp(path, own, n) && path[n] == ':')
        path += n + 1;
    if (n && path && has_git(path)) {
        char *rest = mem_strdup(path);
        setenv("PATH", rest, 1);
        free(rest);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

/* Clients with windows may be started without; the user has one all the same. */
static void find_home(void)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char space[4096];
    if ((!home || !*home) && getpwuid_r(getuid(), &entry, space, sizeof space, &found) == 0 &&
        found)
        setenv("HOME", found->pw_dir, 1);
}

/* -- the message ------------------------------------------------------------------------------- */

/* Steps see it where they pass this variable, and then it is in their key. */
#define MESSAGE "KILN_COMMIT_MSG"
/* A variable has room for some more. */
#define MESSAGE_BYTES ((size_t)100000)
#define SCISSORS      " ------------------------ >8 ------------------------\n"

/* What stands above the line from which on git takes nothing: with "git commit -v" the whole change
 * follows it. Comments stay: whether git will strip them it alone knows. */
static void cut(struct buf *text)
{
    for (size_t at = 0; at < text->len; at += strcspn(text->data + at, "\n") + 1)
        if (at + 1 < text->len && !strncmp(text->data + at + 1, SCISSORS, strlen(SCISSORS))) {
            buf_truncate(text, at);
            return;
        }
}

/* file NULL: there is none. */
static int take_message(const char *file, struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;
    unsetenv(MESSAGE);
    if (file)
        rc = file_read(file, (size_t)64 << 20, &text, err);
    if (file && rc == 0) {
        cut(&text);
        if (text.len > MESSAGE_BYTES || strlen(buf_str(&text)) != text.len)
            rc = err_set(err, ERR_CONFIG,
                         "the message in %s can't be given to steps: it %s; make it shorter", file,
                         text.len > MESSAGE_BYTES ? "is longer than 100 kB" : "has a zero byte");
        else
            setenv(MESSAGE, buf_str(&text), 1);
    }
    buf_release(&text);
    return rc;
}

/* -- run --------------------------------------------------------------------------------------- */

static int stopped(const struct options *options, const struct err *err, const char *git)
{
    complain(options, err_text(err));
    fprintf(stderr, "hook: stopped; to go on without it: git %s --no-verify\n", git);
    return hook_exit_code(err);
}

static void say_cached(const struct hook_answer *answer)
{
    if (answer->n_steps > 1)
        printf("hook: all %zu steps cached\n", answer->n_steps);
    else if (answer->n_steps == 1)
        puts("hook: 1 step cached");
    else
        puts("hook: all steps passed, as the kiln that watches has seen");
}

/* Something has to run. */
static int test_in_checkout(struct hook_fixing *fixing, struct hook_commit *commit,
                            struct hook_answer *answer, int *code, struct err *err)
{
    struct hook_checkout checkout = {.lock = -1};
    int rc = hook_checkout_make(fixing->options, commit, answer->config, &checkout, err);
    if (rc == 0)
        rc = hook_fix(fixing, commit, &checkout, answer, code, err);
    if (rc == 0 && *code == EXIT_OK) {
        if (answer->all_cached)
            say_cached(answer);
        else
            *code = hook_run(fixing->options, commit, &checkout,
                             fixing->rested ? HOOK_OTHERS : HOOK_STEPS, fixing->git, NULL);
        if (*code == HOOK_NONE)
            *code = EXIT_OK;
        rc = hook_fix_end(fixing, commit, &checkout, *code == EXIT_OK, err);
    }
    hook_checkout_release(&checkout);
    return rc;
}

static int test(const struct options *options, struct hook_commit *commit, const char *git,
                bool may_apply)
{
    struct hook_fixing fixing = {.options = options, .git = git, .may_apply = may_apply};
    struct hook_answer answer = {0};
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    int rc = hook_ask(options, commit, &answer, &err);
    if (rc == 0 && answer.all_cached) {
        say_cached(&answer);
    } else if (rc == 0 && options->dry_run) {
        fprintf(stderr, "hook: %s%s%s\n", answer.first ? answer.first : "",
                answer.first ? ": " : "", answer.why);
        code = EXIT_STEP_FAILED;
    } else if (rc == 0) {
        rc = test_in_checkout(&fixing, commit, &answer, &code, &err);
    }
    if (rc != 0)
        code = stopped(options, &err, git);
    hook_fixing_release(&fixing);
    hook_answer_release(&answer);
    err_release(&err);
    return code;
}

static int test_index(const struct options *options, const char *name, const char *message)
{
    /* git has made the tree of a merge, or of what has its message, already. */
    bool may_apply = !strcmp(name, hook_names[0]);
    const char *git = strcmp(name, "pre-merge-commit") != 0 ? "commit" : "merge";
    struct hook_commit commit;
    struct err err = ERR_INIT;
    int code;
    int rc = hook_commit_find(options, &commit, &err);
    if (rc == 0)
        rc = take_message(message, &err);
    if (rc == 0)
        rc = hook_commit_index(&commit, &err);
    if (rc == 0) {
        forget_git();
        code = test(options, &commit, git, may_apply);
    } else {
        code = stopped(options, &err, git);
    }
    hook_commit_release(&commit);
    err_release(&err);
    return code;
}

struct pushing {
    const struct options *options;
    struct hook_commit commit;
    struct map tested; /* ids of commits and of trees */
    int code;
};

static bool is_new(struct pushing *pushing, const char *id)
{
    bool existed;
    (void)map_put(&pushing->tested, id, strlen(id), NULL, &existed);
    return !existed;
}

/* A commit by its id; zero is a ref that is deleted. */
static int test_commit(struct pushing *pushing, const char *id, struct err *err)
{
    struct hook_commit *commit = &pushing->commit;
    if (!id[strspn(id, "0")] || !is_new(pushing, id))
        return 0;
    int rc = git_tree_of_commit(&commit->place, id, commit->tree, err);
    if (rc != 0) {
        struct buf shown = BUF_INIT;
        buf_add_shown(&shown, id, strnlen(id, GIT_TREE_HEX));
        err_wrap(err, "\"%s\", said to be a commit that is pushed", buf_str(&shown));
        buf_release(&shown);
    }
    if (rc != 0 || !is_new(pushing, commit->tree))
        return rc;
    pushing->code = test(pushing->options, commit, "push", false);
    return 0;
}

/* The commits that git says on standard input are about to be pushed: "<ref> <id> <ref> <id>".
 * pre-commit reads that itself, and hands on the last commit in a variable. */
static int test_pushed(const struct options *options)
{
    struct pushing pushing = {.options = options};
    struct err err = ERR_INIT;
    const char *told = getenv("PRE_COMMIT_TO_REF");
    char *line = NULL;
    size_t room = 0;
    bool any = false;
    int rc = hook_commit_find(options, &pushing.commit, &err);
    if (rc == 0)
        rc = take_message(NULL, &err);
    forget_git();
    while (rc == 0 && pushing.code == EXIT_OK && getline(&line, &room, stdin) > 0) {
        char *rest = NULL;
        (void)strtok_r(line, " \n", &rest);
        const char *id = strtok_r(NULL, " \n", &rest);
        any |= id != NULL;
        rc = id ? test_commit(&pushing, id, &err) : 0;
    }
    if (rc == 0 && !any && told && *told)
        rc = test_commit(&pushing, told, &err);
    else if (rc == 0 && !any)
        fputs("hook: nothing was tested: standard input names no commit that is pushed\n", stderr);
    if (rc != 0)
        pushing.code = stopped(options, &err, "push");
    free(line);
    map_release(&pushing.tested);
    hook_commit_release(&pushing.commit);
    err_release(&err);
    return pushing.code;
}

static int run(const struct options *options)
{
    const char *name = options->n_args ? options->args[0] : hook_names[0];
    const char *file = options->n_args > 1 ? options->args[1] : NULL;
    bool message = !strcmp(name, "commit-msg");
    if (!hook_is_name(name)) {
        complain(options, "\"kiln hook run\" tests for pre-commit, pre-merge-commit, commit-msg or "
                          "pre-push");
        return EXIT_USAGE;
    }
    if (options->n_args > 1 + (size_t)message && strcmp(name, "pre-push") != 0) {
        complain(options, message ? "\"kiln hook run commit-msg\" takes one file with the message"
                                  : "\"kiln hook run\" takes no more arguments for this hook");
        return EXIT_USAGE;
    }
    return strcmp(name, "pre-push") == 0 ? test_pushed(options) : test_index(options, name, file);
}

int command_hook(const struct options *options)
{
    find_home();
    if (!strcmp(options->subcommand, "run"))
        return run(options);
    return hook_command_place(options);
}
