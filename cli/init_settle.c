/* init_settle.c - where the steps of a part can run on this machine (see init.h). */
#include "cli/init.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As runners/box_root.c puts them into a sandbox. */
static const char *const visible[] = {"/usr",   "/bin", "/sbin", "/lib", "/lib32",
                                      "/lib64", "/opt", "/nix",  "/gnu", NULL};
/* As engine/key.c has it. */
static const char *const usual[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin",
                                    "/sbin",           "/bin",           NULL};

struct init_machine init_machine_here(void)
{
    static const char ccache[] = "/usr/lib/ccache";
    const char *path = getenv("PATH");
    struct stat st;
    return (struct init_machine){.path = path ? path : "/usr/bin:/bin",
                                 .visible = visible,
                                 .usual = usual,
                                 .ccache = stat(ccache, &st) == 0 ? ccache : NULL};
}

/* The directory of the program, a new string; NULL: it is not there. *real: where it lies itself.
 */
static char *place_of(const struct init_machine *machine, const char *tool, char **real)
{
    const char *rest = machine->path;
    *real = NULL;
    while (rest && *rest) {
        size_t n = strcspn(rest, ":");
        char *dir = mem_strndup(rest, n), *path = path_join(dir, tool);
        struct stat st;
        bool there = n && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
        if (there)
            *real = realpath(path, NULL);
        free(path);
        if (there)
            return dir;
        free(dir);
        rest += n + (rest[n] == ':');
    }
    return NULL;
}

bool init_tool(const struct init_dir *dir, const char *name)
{
    char *real, *place = place_of(dir->machine, name, &real);
    bool there = place != NULL;
    free(real);
    free(place);
    return there;
}

static bool is_below_any(const char *path, const char *const *dirs, bool itself)
{
    for (; path && *dirs; dirs++) {
        if (itself ? !strcmp(path, *dirs) : path_is_below(path, *dirs))
            return true;
    }
    return false;
}

static bool has_word(const struct buf *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = buf_str(list); *at; at += strcspn(at, ":"), at += *at == ':') {
        if (!strncmp(at, word, n) && (at[n] == ':' || !at[n]))
            return true;
    }
    return false;
}

/* Whether what the part needs can be seen in a sandbox, and what its steps need for finding it. */
static void look_for_tools(struct arena *arena, struct init_part *part,
                           const struct init_machine *machine)
{
    struct buf path = BUF_INIT;
    part->sandbox = true;
    vec_each (const char *, tool, &part->tools) {
        char *real, *place = place_of(machine, *tool, &real);
        if (!place) {
            part->missing = part->missing ? part->missing : *tool;
        } else {
            bool seen = is_below_any(place, machine->visible, false) &&
                        is_below_any(real, machine->visible, false);
            if (!seen && part->sandbox) {
                part->sandbox = false;
                part->why =
                    arena_printf(arena, "%s is in %s, which a sandbox does not see", *tool, place);
            }
            if (!is_below_any(place, machine->usual, true) && !has_word(&path, place))
                buf_addf(&path, "%s%s", path.len ? ":" : "", place);
        }
        free(real);
        free(place);
    }
    part->path = path.len ? arena_strdup(arena, buf_str(&path)) : NULL;
    buf_release(&path);
}

bool init_wants_sandbox(const struct init_plan *plan, const struct init_machine *machine)
{
    struct arena arena = ARENA_INIT;
    bool wanted = plan->parts.n == 0;
    vec_each (struct init_part, part, &plan->parts) {
        struct init_part tried = *part;
        look_for_tools(&arena, &tried, machine);
        wanted = wanted || tried.sandbox;
    }
    arena_release(&arena);
    return wanted;
}

void init_settle(struct init_plan *plan, const struct init_machine *machine)
{
    plan->no_sandbox = machine->no_sandbox;
    vec_each (struct init_part, part, &plan->parts) {
        look_for_tools(&plan->arena, part, machine);
        if (part->sandbox && machine->no_sandbox) {
            part->sandbox = false;
            part->why = machine->no_sandbox;
        }
        part->ccache = part->sandbox ? machine->ccache : NULL;
    }
}
