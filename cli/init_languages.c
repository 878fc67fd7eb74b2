/* init_languages.c - Go and Rust (see init.h). */
#include "cli/init.h"

#include <string.h>

static bool look_go(const struct init_dir *dir, struct init_part *part)
{
    part->found = "go.mod";
    if (!init_has(dir, "go.mod"))
        return false;
    bool fetches = strstr(init_text(dir, "go.mod"), "require") && !init_has(dir, "vendor");
    vec_push(&part->tools, "go");
    const char *const steps[][2] = {{"vet", "go vet ./..."}, {"test", "go test -count=1 ./..."}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct init_step *step = init_step(part, steps[i][0], steps[i][1]);
        step->network = fetches;
        step->caches = "go";
    }
    return true;
}

/* Whether something comes from elsewhere. */
static bool has_dependencies(const struct init_dir *dir, const char *text)
{
    static const char *const tables[] = {"dependencies]", "dependencies."};
    if (init_has(dir, "vendor"))
        return false;
    if (strstr(text, "[workspace"))
        return true; /* its members say */
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strstr(text, tables[i]))
            return true;
    }
    return false;
}

static bool look_cargo(const struct init_dir *dir, struct init_part *part)
{
    const char *text = init_text(dir, part->found = "Cargo.toml");
    if (!*text)
        return false;
    const char *locked = init_has(dir, "Cargo.lock") ? " --locked" : "";
    bool fetches = has_dependencies(dir, text);
    part->covers = true;
    vec_push(&part->tools, "cargo");
    vec_push(&part->leave, "target");
    struct init_step *test =
        init_step(part, "test", arena_printf(dir->arena, "cargo test --workspace%s", locked));
    test->network = fetches;
    test->caches = "cargo";
    if (init_has(dir, "clippy.toml") || init_has(dir, ".clippy.toml")) {
        struct init_step *lint = init_step(
            part, "clippy", arena_printf(dir->arena, "cargo clippy --workspace%s", locked));
        lint->network = fetches;
        lint->caches = "cargo";
    }
    return true;
}

const struct init_kind init_go = {"Go", "go", false, look_go};
const struct init_kind init_cargo = {"cargo", "cargo", false, look_cargo};
