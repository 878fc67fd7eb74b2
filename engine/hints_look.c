/* hints_look.c - where what a step missed could be (see hints_private.h). */
#include "engine/hints_private.h"

#include "base/file.h"
#include "base/glob.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIED  2000 /* paths looked up */
#define MAX_MODULE ((size_t)64 * 1024)

/* -- what stands where ------------------------------------------------------------------------- */

static bool find(const struct search *s, const char *path, bool *is_dir)
{
    struct arena arena = ARENA_INIT;
    struct tree_entry entry = {.kind = TREE_FILE};
    bool found = false;
    /* What can't be told is not complained about. */
    if (trees_find(s->e->trees, &s->in->input_root, path, &arena, &entry, &found, NULL) < 0)
        found = true;
    *is_dir = found && entry.kind == TREE_DIR;
    arena_release(&arena);
    return found;
}

static bool is_given(const struct search *s, const char *path)
{
    bool is_dir;
    return find(s, path, &is_dir);
}

static bool stands_in_project(struct search *s, const char *path)
{
    struct stat st;
    char *full = path_join(s->e->opt.root, path);
    bool stands = lstat(full, &st) == 0;
    free(full);
    return stands && !worktree_ignores(s->e->worktree, path) && !glob_is_wild(path) &&
           strncmp(path, ".git/", 5) != 0 && strcmp(path, ".git") != 0 && path[0] != '!';
}

static bool gives(const struct op_exec *exec, const char *path)
{
    for (size_t i = 0; i < exec->n_outputs; i++) {
        if (path_is_below(path, exec->outputs[i]))
            return true;
    }
    return false;
}

static bool needs(const struct engine *e, const struct node *node, const struct node *other)
{
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        if (&e->nodes.v[*dep] == other)
            return true;
    }
    return false;
}

/* On the host an output that is a directory may be there from before, here it never is. */
static char *about_own_output(struct search *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_strndup(path, (size_t)(slash - path)) : NULL;
    char *hint = NULL;
    if (s->rule && folder && gives(s->node->exec, folder) && !is_given(s, folder))
        hint = mem_printf("%s is not there when \"%s\" begins, only its inputs are; let its "
                          "command make it first: mkdir -p %s",
                          folder, s->node->exec->name, folder);
    free(folder);
    return hint;
}

/* The hint about an output of some step, or NULL where there is nothing to say. */
static char *about_output(struct search *s, const struct node *maker, const char *path)
{
    if (maker == s->node)
        return about_own_output(s, path);
    if (needs(s->e, s->node, maker))
        return NULL;
    return mem_printf("%s is made by \"%s\", which \"%s\" does not need; add \"%s\" to its "
                      "\"needs\"",
                      path, maker->exec->name, s->node->exec->name, maker->exec->name);
}

/* Says what there is to say about the normalised path. True: it is there for the step. */
static bool consider(struct search *s, const char *path, struct hints *out)
{
    if (is_given(s, path))
        return true;
    if (map_get_str(&s->tried, path) || s->tried.count >= MAX_TRIED)
        return false;
    map_put_str(&s->tried, path, (void *)1);
    char *hint = NULL;
    const struct node *maker = NULL;
    vec_each (struct node, node, &s->e->nodes)
        maker = gives(node->exec, path) ? node : maker;
    if (maker)
        hint = about_output(s, maker, path);
    else if (stands_in_project(s, path))
        hint = mem_printf("%s exists in the project, but is not among the inputs of \"%s\"; add "
                          "\"%s\" to its \"inputs\"",
                          path, s->node->exec->name, path);
    if (hint)
        vec_push(&out->list, hint);
    return false;
}

static void note_beside(struct search *s, const char *path)
{
    struct beside beside = {.line = s->line};
    (void)find(s, path, &beside.itself);
    const char *slash = strrchr(path, '/');
    beside.dir =
        beside.itself ? mem_strdup(path) : mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    vec_push(&s->beside, beside);
}

/* Takes the path as it would be found from that directory of the project. True: it is there. */
static bool consider_from(struct search *s, const struct hint_rule *rule, const char *dir,
                          const char *word, struct hints *out)
{
    static const char *const none[] = {"", NULL};
    size_t had = out->list.n;
    bool there = false;
    char *joined = path_join(dir, word);
    for (const char *const *ending = rule && rule->endings ? rule->endings : none;
         *ending && !there && out->list.n == had; ending++) {
        char *whole = mem_printf("%s%s", joined, *ending);
        char *path = path_normalize(whole);
        there = path && (!*path || consider(s, path, out));
        if (there)
            note_beside(s, path);
        free(path);
        free(whole);
    }
    free(joined);
    return there;
}

void hints_look_absolute(struct search *s, const char *word, struct hints *out)
{
    const char *root = s->e->opt.root;
    size_t prefix = strlen(s->mount);
    if (path_is_below(word, s->mount)) {
        const char *rest = word + prefix + strspn(word + prefix, "/");
        consider_from(s, *rest ? s->rule : NULL, "", rest, out);
    } else if (s->rule && path_is_below(word, root) && !map_get_str(&s->tried, root)) {
        map_put_str(&s->tried, root, (void *)1);
        vec_push(&out->list, mem_printf("\"%s\" has the project at %s, not at %s; use paths from "
                                        "the project's folder, or set \"mount\": \"same\"",
                                        s->node->exec->name, s->mount, root));
    }
}

/* From the directories that a variable of the step has, if it is set. True: it is there. */
static bool take_from_variable(struct search *s, const struct hint_rule *rule, const char *word,
                               struct hints *out)
{
    const struct op_exec *exec = s->node->exec;
    size_t had = out->list.n, prefix = strlen(s->mount);
    bool there = false;
    for (size_t i = 0; i < exec->n_env; i++) {
        if (strcmp(exec->env[i].name, rule->path) != 0)
            continue;
        char *dirs = mem_strdup(exec->env[i].value), *rest = NULL;
        for (char *dir = strtok_r(dirs, ":", &rest); dir && !there && out->list.n == had;
             dir = strtok_r(NULL, ":", &rest)) {
            if (path_is_below(dir, s->mount))
                there = consider_from(s, rule, dir + prefix + strspn(dir + prefix, "/"), word, out);
            else if (*dir != '/')
                there = consider_from(s, rule, dir, word, out);
        }
        free(dirs);
    }
    return there;
}

void hints_look_relative(struct search *s, const struct hint_rule *rule, const char *word,
                         size_t since, struct hints *out)
{
    const char *cwd = s->node->exec->cwd;
    size_t had = out->list.n, n_beside = s->beside.n;
    for (size_t i = n_beside; since && i-- > 0 && out->list.n == had;) {
        if (s->beside.v[i].line >= since && consider_from(s, rule, s->beside.v[i].dir, word, out))
            return;
    }
    if (out->list.n > had || consider_from(s, rule, cwd, word, out) ||
        (*cwd && consider_from(s, rule, "", word, out)) ||
        (rule && rule->path && out->list.n == had && take_from_variable(s, rule, word, out)))
        return;
    for (size_t i = n_beside; rule && !since && i-- > 0 && out->list.n == had;)
        (void)consider_from(s, rule, s->beside.v[i].dir, word, out);
}

/* -- names that are no paths ------------------------------------------------------------------- */

/* The directory above, in place; false at the top. */
static bool go_up(char *dir)
{
    char *slash = strrchr(dir, '/');
    bool more = *dir != '\0';
    *(slash ? slash : dir) = '\0';
    return more;
}

/* What the line says is not there, where the directory has it. True: nothing is left to say. */
static bool take_files_in(struct search *s, const char *dir, struct hints *out)
{
    size_t had = out->list.n;
    for (const char *const *file = s->rule->files; *file && out->list.n == had; file++) {
        if (consider_from(s, NULL, dir, *file, out))
            return true;
    }
    return out->list.n > had;
}

void hints_look_files(struct search *s, struct hints *out)
{
    bool done = false, named = false;
    for (size_t i = s->beside.n; i-- > 0 && !named;) {
        named = s->beside.v[i].itself;
        if (named) {
            char *dir = mem_strdup(s->beside.v[i].dir); /* others may be noted */
            done = take_files_in(s, dir, out);
            free(dir);
        }
    }
    char *dir = mem_strdup(s->node->exec->cwd);
    bool more = !named || s->rule->up;
    while (more && !done) {
        done = take_files_in(s, dir, out);
        more = s->rule->up && go_up(dir);
    }
    free(dir);
}

/* The name behind "module" in go.mod; NULL when there is none. */
static char *read_module(const char *path)
{
    static const char key[] = "module", blank[] = " \t\"", end[] = " \t\"\r\n";
    struct buf text = BUF_INIT;
    struct err none = ERR_INIT;
    char *name = NULL;
    if (file_read(path, MAX_MODULE, &text, &none) < 0)
        buf_reset(&text);
    for (const char *line = buf_str(&text); *line && !name;) {
        const char *behind = line + strlen(key);
        if (strncmp(line, key, strlen(key)) == 0 && strspn(behind, blank))
            name = mem_strndup(behind + strspn(behind, blank),
                               strcspn(behind + strspn(behind, blank), end));
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    buf_release(&text);
    err_release(&none);
    return name;
}

void hints_look_package(struct search *s, const char *word, struct hints *out)
{
    char *dir = mem_strdup(s->node->exec->cwd), *module = NULL;
    do {
        char *relative = path_join(dir, "go.mod"), *path = path_join(s->e->opt.root, relative);
        module = read_module(path);
        free(path);
        free(relative);
    } while (!module && go_up(dir));
    if (module && path_is_below(word, module) && word[strlen(module)] == '/')
        consider_from(s, NULL, dir, word + strlen(module) + 1, out);
    free(module);
    free(dir);
}

/* -- programs ---------------------------------------------------------------------------------- */

/* The program below one of the directories of the PATH; NULL when it is in none. */
static char *find_program(const char *path, const char *name)
{
    char *dirs = mem_strdup(path), *rest = NULL, *found = NULL;
    for (char *dir = strtok_r(dirs, ":", &rest); dir && !found; dir = strtok_r(NULL, ":", &rest)) {
        struct stat st;
        char *full = path_join(dir, name);
        if (*dir == '/' && access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode))
            found = full;
        else
            free(full);
    }
    free(dirs);
    return found;
}

static bool is_in_sandbox(const char *path)
{
    static const char *const places[] = {"/usr", "/opt", "/bin", "/sbin", "/nix", "/gnu"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (path_is_below(path, places[i]))
            return true;
    }
    return false;
}

void hints_look_program(struct search *s, const char *name, struct hints *out)
{
    const char *ours = getenv("PATH");
    char *theirs = find_program(s->path, name);
    char *found = ours && !theirs ? find_program(ours, name) : NULL;
    if (found && !map_get_str(&s->tried, found)) {
        map_put_str(&s->tried, found, (void *)1);
        vec_push(&out->list,
                 is_in_sandbox(found)
                     ? mem_printf("%s is %s here, which is not in the step's PATH; add \"PATH\" to "
                                  "the \"pass_env\" of \"%s\"",
                                  name, found, s->node->exec->name)
                     : mem_printf("%s is %s here, which is not in the sandbox; install it below "
                                  "/usr or /opt, or set \"runner\": \"host\" for \"%s\"",
                                  name, found, s->node->exec->name));
    }
    free(theirs);
    free(found);
}
