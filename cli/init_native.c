/* init_native.c - CMake, meson, autotools and make (see init.h). */
#include "cli/init.h"

#include <string.h>

/* Where their files go: a build directory of one's own, which is mostly called build, stays. */
#define BUILD "build/kiln"

static bool says(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

static bool look_cmake(const struct init_dir *dir, struct init_part *part)
{
    const char *text = init_text(dir, part->found = "CMakeLists.txt");
    /* Without a project it is a piece of another. */
    if (!says(text, "project"))
        return false;
    part->covers = true;
    /* What cmake takes by itself is make. */
    bool ninja = !init_tool(dir, "make") && init_tool(dir, "ninja");
    vec_push(&part->tools, "cmake");
    vec_push(&part->tools, ninja ? "ninja" : "make");
    vec_push(&part->tools, "cc");
    bool tests = says(text, "enable_testing") || says(text, "include(CTest)") ||
                 says(text, "include (CTest)") || says(text, "add_test");
    struct init_step *build =
        init_step(part, "build",
                  arena_printf(dir->arena,
                               "cmake -S . -B " BUILD "%s -DCMAKE_BUILD_TYPE=RelWithDebInfo\n"
                               "cmake --build " BUILD " --parallel \"$(nproc)\"",
                               ninja ? " -G Ninja" : ""));
    vec_push(&build->outputs, BUILD);
    build->caches = "ccache";
    if (tests) {
        struct init_step *test = init_step(
            part, "test", "ctest --test-dir " BUILD " --output-on-failure --parallel \"$(nproc)\"");
        vec_push(&test->needs, "build");
    }
    return true;
}

static bool look_meson(const struct init_dir *dir, struct init_part *part)
{
    const char *text = init_text(dir, part->found = "meson.build");
    if (!says(text, "project(") && !says(text, "project ("))
        return false;
    part->covers = true;
    vec_push(&part->tools, "meson");
    vec_push(&part->tools, "ninja");
    struct init_step *build =
        init_step(part, "build", "meson setup " BUILD "\nmeson compile -C " BUILD);
    vec_push(&build->outputs, BUILD);
    build->caches = "ccache";
    struct init_step *test =
        init_step(part, "test", "meson test -C " BUILD " --no-rebuild --print-errorlogs");
    vec_push(&test->needs, "build");
    return true;
}

static bool look_autotools(const struct init_dir *dir, struct init_part *part)
{
    static const char *const marks[] = {"configure", "configure.ac", "configure.in", NULL};
    part->found = init_first(dir, marks);
    if (!part->found)
        return false;
    part->covers = true;
    vec_push(&part->tools, "make");
    vec_push(&part->tools, "cc");
    const char *first = init_has(dir, "configure")    ? ""
                        : init_has(dir, "autogen.sh") ? "./autogen.sh\n"
                                                      : "autoreconf -fi\n";
    if (*first)
        vec_push(&part->tools, "autoreconf");
    part->in_tree = true;
    struct init_step *step = init_step(
        part, "test",
        arena_printf(dir->arena, "%s./configure\nmake -j\"$(nproc)\"\nmake check", first));
    step->comment =
        "One step: what make leaves behind lies among the sources, where it is nobody's "
        "output.";
    step->caches = "ccache";
    return true;
}

/* Whether the makefile has a rule for the target. */
static bool has_target(const char *text, const char *target)
{
    size_t n = strlen(target);
    for (const char *line = text; line && *line;) {
        if (!strncmp(line, target, n)) {
            const char *after = line + n + strspn(line + n, " \t");
            if (*after == ':' && after[1] != '=')
                return true;
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return false;
}

static bool look_make(const struct init_dir *dir, struct init_part *part)
{
    static const char *const marks[] = {"GNUmakefile", "makefile", "Makefile", NULL};
    static const char *const tests[] = {"check", "test", "tests", NULL};
    part->found = init_first(dir, marks);
    if (!part->found)
        return false;
    const char *text = init_text(dir, part->found);
    const char *const *test = tests;
    while (*test && !has_target(text, *test))
        test++;
    part->covers = true;
    vec_push(&part->tools, "make");
    if (says(text, "$(CC)") || says(text, "gcc") || says(text, ".o"))
        vec_push(&part->tools, "cc");
    part->in_tree = true;
    struct init_step *step =
        *test ? init_step(part, "test",
                          arena_printf(dir->arena, "make -j\"$(nproc)\"\nmake %s", *test))
              : init_step(part, "build", "make -j\"$(nproc)\"");
    step->comment = "Name what it makes in \"outputs\": then it comes into the project, and to "
                    "steps that need it.";
    step->caches = "ccache";
    return true;
}

const struct init_kind init_cmake = {"CMake", "cmake", false, look_cmake};
const struct init_kind init_meson = {"meson", "meson", false, look_meson};
const struct init_kind init_autotools = {"autotools", "autotools", true, look_autotools};
const struct init_kind init_make = {"make", "make", true, look_make};
