/*
 * hints.c - why an isolated step may have failed: what its log names stands in the project, but the
 * step was not given it.
 *
 * The end of the log is taken apart into words. A word that looks like a path, or that stands in a
 * line which tells that something is not there, is looked up where the step would have: from its
 * directory, from the project, below the place where the project was mounted, and beside the files
 * that the same line or one shortly before it names (as compilers do with what a file includes).
 *
 * A program that is not found is looked for where the caller of kiln would find it.
 */
#include "engine/private.h"

#include "base/glob.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL      ((size_t)64 * 1024)
#define MAX_HINTS 3
#define MAX_TRIED 2000 /* paths looked up */
#define NEAR      3    /* lines that what a line names may be meant for */

/* A directory of what a line names. */
struct beside {
    char *dir;
    size_t line;
};

struct search {
    struct engine *e;
    const struct instance *in;
    const struct node *node;
    const char *mount; /* where the project was inside */
    const char *path;  /* where the step finds programs, when one was not found; or NULL */
    struct map tried;
    VEC(struct beside) beside;
    size_t line;
    bool absent;    /* the line tells that something is not there */
    bool announced; /* the line before it says that the next one does */
    bool module;    /* and that it is one of Python's */
};

/* -- words ------------------------------------------------------------------------------------- */

/* Colours and the like are no part of any word; quotes beyond ASCII are quotes. */
static void clean(struct buf *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->data[i];
        if (c == 0x1b && i + 1 < text->len && text->data[i + 1] == '[') {
            for (i += 2; i < text->len && !(text->data[i] >= '@' && text->data[i] <= '~');)
                i++;
            continue;
        }
        if (c == 0xe2 && i + 2 < text->len && (unsigned char)text->data[i + 1] == 0x80 &&
            (unsigned char)text->data[i + 2] >= 0x98 && (unsigned char)text->data[i + 2] <= 0x9d) {
            i += 2;
            c = '"';
        }
        text->data[kept++] = c < ' ' && c != '\n' ? ' ' : (char)c;
    }
    text->len = kept;
}

static bool tells_absence(const char *line)
{
    static const char *const phrases[] = {
        "no such file",    "not found",     "cannot find",     "can't find",
        "could not find",  "cannot open",   "can't open",      "no rule to make target",
        "does not exist",  "doesn't exist", "unable to find",  "couldn't read",
        "not an existing", "can't cd to",   "no module named", "no matching files",
        "nonexistent",
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (strcasestr(line, phrases[i]))
            return true;
    }
    return false;
}

static bool looks_like_path(const char *word)
{
    const char *dot = strrchr(word, '.');
    return strchr(word, '/') || (dot && dot > word && isalpha((unsigned char)dot[1]));
}

/* -- what stands where ------------------------------------------------------------------------- */

static bool is_given(struct search *s, const char *path)
{
    struct arena arena = ARENA_INIT;
    struct tree_entry entry;
    bool found = false;
    /* What can't be told is not complained about. */
    if (trees_find(s->e->trees, &s->in->input_root, path, &arena, &entry, &found, NULL) < 0)
        found = true;
    arena_release(&arena);
    return found;
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
    if (s->absent && folder && gives(s->node->exec, folder) && !is_given(s, folder))
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

/* Takes the path as it would be found from that directory of the project. */
static bool consider_from(struct search *s, const char *dir, const char *word, struct hints *out)
{
    char *joined = path_join(dir, word);
    char *path = path_normalize(joined);
    bool there = path && *path && consider(s, path, out);
    if (there) {
        const char *slash = strrchr(path, '/');
        struct beside beside = {mem_strndup(path, slash ? (size_t)(slash - path) : 0), s->line};
        vec_push(&s->beside, beside);
    }
    free(path);
    free(joined);
    return there;
}

/* An absolute path. */
static void take_absolute(struct search *s, const char *word, struct hints *out)
{
    const char *root = s->e->opt.root;
    size_t prefix = strlen(s->mount);
    if (path_is_below(word, s->mount) && word[prefix] == '/') {
        consider_from(s, "", word + prefix + strspn(word + prefix, "/"), out);
    } else if (s->absent && path_is_below(word, root) && !map_get_str(&s->tried, root)) {
        map_put_str(&s->tried, root, (void *)1);
        vec_push(&out->list, mem_printf("\"%s\" has the project at %s, not at %s; use paths from "
                                        "the project's folder, or set \"mount\": \"same\"",
                                        s->node->exec->name, s->mount, root));
    }
}

/* From everywhere that the step may have looked at. */
static void take_relative(struct search *s, const char *word, struct hints *out)
{
    const char *cwd = s->node->exec->cwd;
    size_t had = out->list.n, n_beside = s->beside.n;
    if (consider_from(s, cwd, word, out) || (*cwd && consider_from(s, "", word, out)))
        return;
    for (size_t i = n_beside; s->absent && i-- > 0 && out->list.n == had;)
        (void)consider_from(s, s->beside.v[i].dir, word, out);
}

static void take_module(struct search *s, char *word, struct hints *out)
{
    size_t had = out->list.n;
    for (char *dot = word; (dot = strchr(dot, '.'));)
        *dot = '/';
    char *file = mem_printf("%s.py", word);
    take_relative(s, file, out);
    if (out->list.n == had)
        take_relative(s, word, out);
    free(file);
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

static void take_program(struct search *s, const char *name, struct hints *out)
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

/* The value of PATH. */
static const char *path_of(char **envp)
{
    for (; *envp; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    }
    return "";
}

/* -- lines ------------------------------------------------------------------------------------- */

static void take_word(struct search *s, char *word, struct hints *out)
{
    size_t n = strlen(word);
    while (n && strchr(".!?", word[n - 1]))
        word[--n] = '\0';
    if (!n || n >= PATH_MAX || !utf8_valid(word, n) || (!s->absent && !looks_like_path(word)))
        return;
    if (s->path && s->absent && !strchr(word, '/'))
        take_program(s, word, out);
    if (*word == '/')
        take_absolute(s, word, out);
    else if (s->module)
        take_module(s, word, out);
    else
        take_relative(s, word, out);
}

static void forget_beside(struct search *s, size_t before)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->beside.n; i++) {
        if (s->beside.v[i].line < before)
            free(s->beside.v[i].dir);
        else
            s->beside.v[kept++] = s->beside.v[i];
    }
    s->beside.n = kept;
}

static bool announces(const char *line)
{
    size_t n = strlen(line);
    while (n && line[n - 1] == ' ')
        n--;
    return n && line[n - 1] == ':';
}

static void take_line(struct search *s, char *line, struct hints *out)
{
    char *rest = NULL;
    bool tells = tells_absence(line);
    s->absent = tells || s->announced;
    s->announced = tells && announces(line);
    s->module = strcasestr(line, "no module named") != NULL;
    if (++s->line > NEAR)
        forget_beside(s, s->line - NEAR);
    for (char *word = strtok_r(line, " \t\"'`()<>,:;=[]{}|*?", &rest);
         word && out->list.n < MAX_HINTS; word = strtok_r(NULL, " \t\"'`()<>,:;=[]{}|*?", &rest))
        take_word(s, word, out);
}

static bool read_tail(const struct flight *flight, struct buf *out)
{
    uint64_t from = flight->spooled > TAIL ? flight->spooled - TAIL : 0;
    char *to = buf_reserve(out, TAIL + 1);
    ssize_t n = flight->spool >= 0 ? pread(flight->spool, to, TAIL, (off_t)from) : -1;
    if (n <= 0)
        return false;
    out->len = (size_t)n;
    if (from) { /* begins in the middle of a line */
        char *newline = memchr(out->data, '\n', out->len);
        size_t cut = newline ? (size_t)(newline - out->data) + 1 : 0;
        memmove(out->data, out->data + cut, out->len -= cut);
    }
    return true;
}

void hints_of(struct engine *e, const struct flight *flight, const char *mount, struct hints *out)
{
    struct search s = {
        .e = e, .in = flight->owner, .node = &e->nodes.v[flight->node], .mount = mount};
    const struct op_exec *exec = s.node->exec;
    struct buf text = BUF_INIT;
    char **envp = NULL;
    if (flight->exit.exit_code == 127 && !exec->image) {
        envp = key_environment(e, exec, secrets_values(flight->secrets));
        s.path = path_of(envp);
    }
    if (read_tail(flight, &text)) {
        clean(&text);
        *buf_reserve(&text, 1) = '\0';
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\n", &rest); line && out->list.n < MAX_HINTS;
             line = strtok_r(NULL, "\n", &rest))
            take_line(&s, line, out);
    }
    key_environment_free(envp);
    buf_release(&text);
    map_release(&s.tried);
    forget_beside(&s, SIZE_MAX);
    vec_release(&s.beside);
}

void hints_release(struct hints *hints)
{
    vec_each (char *, hint, &hints->list)
        free(*hint);
    vec_release(&hints->list);
}
