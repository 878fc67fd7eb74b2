/* init_look.c - which tools are at home in a project, and in which of its folders (see init.h). */
#include "cli/init.h"

#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH   3
#define MAX_FOLDERS 400 /* looked at; a project with more has its parts near the top */
#define MAX_PARTS   24
#define MAX_TEXT    ((size_t)512 * 1024)

/* The order is that in which they are told. */
static const struct init_kind *const kinds[] = {
    &init_cmake, &init_meson,  &init_cargo,     &init_go,
    &init_node,  &init_python, &init_autotools, &init_make,
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* What lies below these is somebody else's, made by tools, or there to be looked at. */
static const char *const passed_over[] = {
    "node_modules", "vendor",  "third_party", "third-party", "external", "deps",     "target",
    "build",        "dist",    "out",         "venv",        "example",  "examples", "test",
    "tests",        "testing", "testdata",    "fixtures",    "docs",     "doc",      "bench",
    "benches",      "fuzz",    "contrib",     "samples",     "templates"};

static bool is_passed_over(const char *name)
{
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++) {
        if (!strcmp(name, passed_over[i]))
            return true;
    }
    /* Outputs cannot be named below the last ones. */
    return strpbrk(name, "*?[\\") || *name == '.' || *name == '_' || !strncmp(name, "build-", 6) ||
           !strncmp(name, "cmake-build", 11);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_dir(struct init_dir *dir)
{
    DIR *stream = opendir(dir->path);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        const char *name = arena_strdup(dir->arena, entry->d_name);
        char *path = path_join(dir->path, name);
        struct stat st;
        if (!strcmp(name, ".") || !strcmp(name, "..") || lstat(path, &st) < 0)
            ;
        else if (S_ISDIR(st.st_mode))
            vec_push(&dir->folders, name);
        else
            vec_push(&dir->names, name);
        free(path);
    }
    if (stream)
        closedir(stream);
    if (dir->names.n)
        qsort(dir->names.v, dir->names.n, sizeof *dir->names.v, by_name);
    if (dir->folders.n)
        qsort(dir->folders.v, dir->folders.n, sizeof *dir->folders.v, by_name);
}

bool init_has(const struct init_dir *dir, const char *name)
{
    if (strchr(name, '/')) {
        char *path = path_join(dir->path, name);
        struct stat st;
        bool there = stat(path, &st) == 0;
        free(path);
        return there;
    }
    vec_each (const char *const, at, &dir->names) {
        if (!strcmp(*at, name))
            return true;
    }
    vec_each (const char *const, at, &dir->folders) {
        if (!strcmp(*at, name))
            return true;
    }
    return false;
}

const char *init_first(const struct init_dir *dir, const char *const *names)
{
    for (; *names; names++) {
        if (init_has(dir, *names))
            return *names;
    }
    return NULL;
}

const char *init_text(const struct init_dir *dir, const char *name)
{
    struct buf text = BUF_INIT;
    char *path = path_join(dir->path, name);
    const char *found = "";
    if (file_read(path, MAX_TEXT, &text, NULL) == 0 && text.len)
        found = arena_strndup(dir->arena, text.data, text.len);
    free(path);
    buf_release(&text);
    return found;
}

struct init_step *init_step(struct init_part *part, const char *name, const char *run)
{
    vec_push(&part->steps, (struct init_step){.name = name, .run = run});
    return &vec_last(&part->steps);
}

static void free_part(struct init_part *part)
{
    vec_each (struct init_step, step, &part->steps) {
        vec_release(&step->inputs);
        vec_release(&step->outputs);
        vec_release(&step->needs);
        vec_release(&step->env);
    }
    vec_release(&part->steps);
    vec_release(&part->tools);
    vec_release(&part->leave);
}

/* Whether one of that kind lies above and takes care of it. */
static bool belongs_above(const struct init_plan *plan, const struct init_kind *kind,
                          const char *dir)
{
    vec_each (const struct init_part, part, &plan->parts) {
        bool above = !*part->dir || path_is_below(dir, part->dir);
        if (part->covers && above && !strcmp(part->id, kind->id) && strcmp(part->dir, dir) != 0)
            return true;
    }
    return false;
}

/* Files that are there to be read by people, or by other programs than the part's. */
static void leave_prose(const struct init_dir *dir, struct init_part *part)
{
    static const char *const starts[] = {"CHANGELOG",    "CHANGES",      "CONTRIBUTING",
                                         "CODE_OF_COND", "SECURITY",     ".gitlab-ci.yml",
                                         ".travis.yml",  ".editorconfig"};
    static const char *const folders[] = {".github", ".gitlab", ".circleci", ".vscode", ".idea"};
    const char *text = init_text(dir, part->found);
    vec_each (const char *const, name, &dir->names) {
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
            if (!strncmp(*name, starts[i], strlen(starts[i])) && !strstr(text, *name))
                vec_push(&part->leave, *name);
        }
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (init_has(dir, folders[i]))
            vec_push(&part->leave, folders[i]);
    }
}

static void look_at(const struct init_dir *dir, struct init_plan *plan)
{
    bool any = false; /* part of it is told by another tool's files, here or above */
    vec_each (const struct init_part, part, &plan->parts)
        any = any || !*part->dir || path_is_below(dir->dir, part->dir);
    for (size_t i = 0; i < N_KINDS && plan->parts.n < MAX_PARTS; i++) {
        struct init_part part = {.kind = kinds[i]->kind, .id = kinds[i]->id, .dir = dir->dir};
        if ((kinds[i]->wrapper && any) || belongs_above(plan, kinds[i], dir->dir))
            continue;
        if (kinds[i]->look(dir, &part)) {
            leave_prose(dir, &part);
            vec_push(&plan->parts, part);
            any = true;
        } else {
            free_part(&part);
        }
    }
}

void init_look(const char *root, const struct init_machine *machine, struct init_plan *plan)
{
    /* Breadth first, so that what lies above is known before what lies below. */
    VEC(struct init_dir) dirs = VEC_INIT;
    struct arena *arena = &plan->arena;
    const char *slash = strrchr(root, '/');
    plan->name = arena_strdup(arena, slash && slash[1] ? slash + 1 : "project");
    vec_push(&dirs,
             (struct init_dir){
                 .machine = machine, .arena = arena, .path = arena_strdup(arena, root), .dir = ""});
    for (size_t i = 0; i < dirs.n; i++) {
        read_dir(&dirs.v[i]);
        look_at(&dirs.v[i], plan);
        size_t depth = *dirs.v[i].dir ? 1 : 0;
        for (const char *c = dirs.v[i].dir; *c; c++)
            depth += *c == '/';
        for (size_t k = 0; k < dirs.v[i].folders.n && depth < MAX_DEPTH; k++) {
            const char *name = dirs.v[i].folders.v[k], *above = dirs.v[i].dir;
            if (is_passed_over(name) || !utf8_valid(name, strlen(name)) || dirs.n >= MAX_FOLDERS)
                continue;
            const char *dir = *above ? arena_printf(arena, "%s/%s", above, name) : name;
            const char *path = arena_printf(arena, "%s/%s", root, dir);
            vec_push(&dirs, (struct init_dir){
                                .machine = machine, .arena = arena, .path = path, .dir = dir});
        }
    }
    for (size_t i = 0; i < dirs.n; i++) {
        vec_release(&dirs.v[i].names);
        vec_release(&dirs.v[i].folders);
    }
    vec_release(&dirs);
}

void init_release(struct init_plan *plan)
{
    vec_each (struct init_part, part, &plan->parts)
        free_part(part);
    vec_release(&plan->parts);
    arena_release(&plan->arena);
}
