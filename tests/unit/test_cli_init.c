/* What kiln init makes of projects: which tools are found, the steps they get, where those run. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/init.h"
#include "config/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A project, and beside it the two places where a machine has its programs. */
struct box {
    char base[64];
    char *root, *system, *home, *path;
    const char *visible[2], *usual[2];
    struct init_machine machine;
};

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
    char *path = path_join(dir, name);
    char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700, NULL), 0);
    assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
    free(folder);
    free(path);
}

static int box_open(void **state)
{
    struct box *box = mem_zalloc(1, sizeof *box);
    static const char *const tools[] = {"cmake",   "cc",     "make", "meson",
                                        "ninja",   "node",   "npm",  "pnpm",
                                        "python3", "pytest", "go",   "autoreconf"};
    strcpy(box->base, "/tmp/kiln-test-XXXXXX");
    assert_non_null(mkdtemp(box->base));
    box->root = path_join(box->base, "project");
    box->system = path_join(box->base, "system");
    box->home = path_join(box->base, "home");
    assert_int_equal(mkdir(box->root, 0700), 0);
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        put(box->system, tools[i], "", 0700);
    put(box->home, "cargo", "", 0700);
    box->path = mem_printf("%s:/nowhere::%s", box->home, box->system);
    box->visible[0] = box->usual[0] = box->system;
    box->machine =
        (struct init_machine){.path = box->path, .visible = box->visible, .usual = box->usual};
    *state = box;
    return 0;
}

static int box_close(void **state)
{
    struct box *box = *state;
    assert_int_equal(file_remove_tree(AT_FDCWD, box->base, NULL), 0);
    free(box->root);
    free(box->system);
    free(box->home);
    free(box->path);
    free(box);
    return 0;
}

static void file(struct box *box, const char *name, const char *text)
{
    put(box->root, name, text, 0600);
}

/* The pipeline that is written for the project; each call begins with a new plan. */
static struct config *made(struct box *box)
{
    struct init_plan plan = {0};
    struct buf text = BUF_INIT;
    struct config *config = NULL;
    struct err err = ERR_INIT;
    char *path = path_join(box->root, "kiln.json");
    init_look(box->root, &box->machine, &plan);
    init_settle(&plan, &box->machine);
    init_write(&plan, &text);
    if (config_parse(buf_str(&text), text.len, path, box->root, false, &config, &err) < 0)
        fail_msg("%s\n%s", err_text(&err), buf_str(&text));
    free(path);
    buf_release(&text);
    init_release(&plan);
    return config;
}

static void add_texts(struct buf *out, const char *mark, const struct config_text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%s", i ? " " : mark, texts[i].text);
}

/* A line a step: "name @ where: run < inputs > outputs & needs". */
static void expect(struct box *box, const char *want)
{
    struct config *config = made(box);
    struct buf got = BUF_INIT;
    for (size_t i = 0; i < config->n_steps; i++) {
        const struct config_step *step = &config->steps[i];
        buf_addf(&got, "%s @ %s%s%s%s: %s", step->name.text, config_runner_name(step->runner),
                 step->network && step->runner != CONFIG_RUNNER_HOST ? "+net" : "",
                 *step->cwd ? " in " : "", step->cwd, step->run_text);
        add_texts(&got, " < ", step->inputs, step->n_inputs);
        add_texts(&got, " > ", step->outputs, step->n_outputs);
        for (size_t k = 0; k < step->n_needs; k++)
            buf_addf(&got, "%s%s", k ? " " : " & ", config->steps[step->needs[k]].name.text);
        buf_addc(&got, '\n');
    }
    assert_string_equal(buf_str(&got), want);
    buf_release(&got);
    config_free(config);
}

static const struct config_step *step_of(const struct config *config, const char *name)
{
    int64_t i = config_step_index(config, name);
    assert_true(i >= 0);
    return &config->steps[i];
}

static const char *env_of(const struct config_step *step, const char *name)
{
    for (size_t i = 0; i < step->n_env; i++) {
        if (!strcmp(step->env[i].name, name))
            return step->env[i].value;
    }
    return NULL;
}

static void test_nothing(void **state)
{
    struct box *box = *state;
    expect(box, "hello @ sandbox: echo hello\n");
    box->machine.no_sandbox = "it can't";
    expect(box, "hello @ host: echo hello\n");
}

static void test_cmake(void **state)
{
    struct box *box = *state;
    file(box, "CMakeLists.txt", "project(x C)\nadd_subdirectory(lib)\n");
    file(box, "lib/CMakeLists.txt", "project(y C)\n");
    file(box, "Makefile", "all:\n\tcmake .\n");
    file(box, "CHANGELOG.md", "");
    file(box, ".github/workflows/ci.yml", "");
    expect(box, "build @ sandbox: cmake -S . -B build/kiln -DCMAKE_BUILD_TYPE=RelWithDebInfo && "
                "cmake --build build/kiln --parallel \"$(nproc)\" < ** !kiln.json !CHANGELOG.md "
                "!.github > build/kiln\n");
    /* What the file itself names is read. */
    file(box, "CMakeLists.txt", "project(x C)\nenable_testing()\ninstall(FILES CHANGELOG.md)\n");
    expect(box, "build @ sandbox: cmake -S . -B build/kiln -DCMAKE_BUILD_TYPE=RelWithDebInfo && "
                "cmake --build build/kiln --parallel \"$(nproc)\" < ** !kiln.json !.github > "
                "build/kiln\n"
                "test @ sandbox: ctest --test-dir build/kiln --output-on-failure --parallel "
                "\"$(nproc)\" < ** !kiln.json !.github & build\n");
}

/* What cmake takes unasked is make; where there is none it has to be told of ninja. */
static void test_cmake_without_make(void **state)
{
    struct box *box = *state;
    struct init_plan plan = {0};
    char *make = path_join(box->system, "make"), *ninja = path_join(box->system, "ninja");
    file(box, "CMakeLists.txt", "project(x C)\n");
    assert_int_equal(unlink(make), 0);
    expect(box, "build @ sandbox: cmake -S . -B build/kiln -G Ninja "
                "-DCMAKE_BUILD_TYPE=RelWithDebInfo && cmake --build build/kiln --parallel "
                "\"$(nproc)\" < ** !kiln.json > build/kiln\n");
    assert_int_equal(unlink(ninja), 0);
    init_look(box->root, &box->machine, &plan);
    init_settle(&plan, &box->machine);
    assert_string_equal(plan.parts.v[0].missing, "make");
    init_release(&plan);
    free(make);
    free(ninja);
}

static void test_ccache(void **state)
{
    struct box *box = *state;
    file(box, "meson.build", "project('x', 'c')\n");
    box->machine.ccache = "/usr/lib/ccache";
    struct config *config = made(box);
    const struct config_step *build = step_of(config, "build"), *test = step_of(config, "test");
    assert_string_equal(env_of(build, "CCACHE_DIR"), "/var/cache/ccache");
    assert_memory_equal(env_of(build, "PATH"), "/usr/lib/ccache:/usr/local/sbin:", 32);
    assert_int_equal(build->n_caches, 1);
    assert_int_equal(test->n_env, 0);
    config_free(config);
    /* A step of the host has no cache directories. */
    box->machine.no_sandbox = "it can't";
    config = made(box);
    assert_int_equal(step_of(config, "build")->n_caches, 0);
    assert_int_equal(step_of(config, "build")->n_env, 0);
    config_free(config);
}

static void test_make(void **state)
{
    struct box *box = *state;
    file(box, "Makefile", "check = 1\nall: x\nx: x.o\n\t$(CC) -o x x.o\ntest : all\n\t./x\n");
    file(box, "sub/Makefile", "all:\n");
    expect(box, "test @ sandbox: make -j\"$(nproc)\" && make test < ** !kiln.json\n");
    box->machine.no_sandbox = "it can't";
    expect(box, "test @ host: make -j\"$(nproc)\" && make test < ** !kiln.json !**/*.o "
                "!**/*.lo !**/*.a !**/*.la !**/*.so\n");
    box->machine.no_sandbox = NULL;
    file(box, "configure.ac", "");
    expect(box, "test @ sandbox: autoreconf -fi && ./configure && make -j\"$(nproc)\" && make "
                "check < ** !kiln.json\n");
}

static void test_go(void **state)
{
    struct box *box = *state;
    file(box, "go.mod", "module x\n");
    file(box, "testdata/go.mod", "module y\n");
    expect(box, "vet @ sandbox: go vet ./... < ** !kiln.json\n"
                "test @ sandbox: go test -count=1 ./... < ** !kiln.json\n");
    struct config *config = made(box);
    /* Files have the same time in every sandbox: nothing of go's may go by that. */
    assert_string_equal(env_of(step_of(config, "test"), "GODEBUG"), "goindex=0");
    config_free(config);
    file(box, "go.mod", "module x\nrequire y v1.0.0\n");
    expect(box, "vet @ sandbox+net: go vet ./... < ** !kiln.json\n"
                "test @ sandbox+net: go test -count=1 ./... < ** !kiln.json\n");
}

static void test_a_tool_that_a_sandbox_does_not_see(void **state)
{
    struct box *box = *state;
    file(box, "Cargo.toml", "[package]\nname = \"x\"\n");
    file(box, "Cargo.lock", "");
    expect(box, "test @ host: cargo test --workspace --locked < ** !kiln.json !target\n");
    struct config *config = made(box);
    assert_int_equal(step_of(config, "test")->n_pass_env, 1);
    config_free(config);
    /* Seen where a step's own PATH does not lead to: it is told where. */
    box->visible[0] = box->base;
    expect(box, "test @ sandbox: cargo test --workspace --locked < ** !kiln.json !target\n");
    config = made(box);
    size_t n = strlen(box->home);
    assert_memory_equal(env_of(step_of(config, "test"), "PATH"), box->home, n);
    assert_string_equal(env_of(step_of(config, "test"), "CARGO_HOME"), "/var/cache/cargo");
    config_free(config);
}

static void test_a_link_out_of_sight(void **state)
{
    struct box *box = *state;
    char *to = path_join(box->home, "cargo"), *at = path_join(box->system, "cargo");
    assert_int_equal(symlink(to, at), 0);
    free(to);
    free(at);
    box->machine.path = box->system;
    file(box, "Cargo.toml", "[package]\nname = \"x\"\n");
    expect(box, "test @ host: cargo test --workspace < ** !kiln.json !target\n");
}

static void test_node(void **state)
{
    struct box *box = *state;
    file(box, "package.json",
         "{\"main\": \"./dist/x.js\", \"devDependencies\": {\"a\": \"1\"}, \"scripts\": {"
         "\"test\": \"node t\", \"build\": \"tsc\", \"lint\": \"eslint\", \"start\": \"node .\"}}");
    file(box, "pnpm-lock.yaml", "");
    file(box, ".npmrc", "");
    expect(box, "install @ sandbox+net: pnpm install --frozen-lockfile --ignore-scripts && pnpm "
                "rebuild < package.json pnpm-lock.yaml .npmrc > node_modules\n"
                "lint @ sandbox: pnpm run lint < ** !kiln.json & install\n"
                "build @ sandbox: pnpm run build < ** !kiln.json > dist & install\n"
                "test @ sandbox: pnpm run test < ** !kiln.json & build install\n");
    file(box, "package.json",
         "{\"scripts\": {\"test\": \"echo \\\"Error: no test specified\\\" && exit 1\"}}");
    expect(box, "hello @ sandbox: echo hello\n");
    file(box, "package.json", "{\"scripts\": {\"test\": \"node --test\"}}");
    expect(box, "test @ sandbox: pnpm run test < ** !kiln.json\n");
    file(box, "package.json", "{\"scripts\": [");
    expect(box, "hello @ sandbox: echo hello\n");
}

static void test_python(void **state)
{
    struct box *box = *state;
    file(box, "pyproject.toml", "[project]\nname = \"x\"\n[tool.ruff]\nselect = []\n");
    file(box, "tests/test_x.py", "");
    expect(box, "test @ sandbox: python3 -m unittest discover < ** !kiln.json\n");
    file(box, "tests/conftest.py", "");
    file(box, "src/x/__init__.py", "");
    expect(box, "test @ sandbox: python3 -m pytest -q < ** !kiln.json\n");
    struct config *config = made(box);
    assert_string_equal(env_of(step_of(config, "test"), "PYTHONPATH"), "src");
    config_free(config);
    file(box, "requirements.txt", "six\n");
    expect(box, "install @ sandbox+net: python3 -m venv .kiln-venv && .kiln-venv/bin/pip install "
                "--disable-pip-version-check -q -r requirements.txt pytest < requirements.txt > "
                ".kiln-venv\n"
                "test @ sandbox: .kiln-venv/bin/python -m pytest -q < ** !kiln.json & install\n");
    /* Linters are for machines that have them, and managers. */
    put(box->system, "ruff", "", 0700);
    put(box->system, "uv", "", 0700);
    file(box, "uv.lock", "");
    expect(box, "test @ sandbox+net: uv run python -m pytest -q < ** !kiln.json !.venv\n"
                "lint @ sandbox+net: uv run ruff check --no-cache . < ** !kiln.json !.venv\n");
}

static void test_lists_of_pyproject(void **state)
{
    struct box *box = *state;
    file(box, "conftest.py", "");
    file(box, "pyproject.toml",
         "[project]\ndependencies = [\"a\"]\n[project.optional-dependencies]\ndocs = []\n"
         "[dependency-groups]\ntests = [\"pytest\"]\n");
    struct config *config = made(box);
    const char *run = step_of(config, "install")->run_text;
    assert_non_null(strstr(run, "[\"project\"].get(\"dependencies\", [])"));
    assert_non_null(strstr(run, "[\"dependency-groups\"][\"tests\"]"));
    assert_null(strstr(run, "optional"));
    config_free(config);
}

static void test_several(void **state)
{
    struct box *box = *state;
    file(box, "go.mod", "module x\n");
    file(box, "Makefile", "test:\n\tgo test\n");
    file(box, "web/package.json", "{\"scripts\": {\"test\": \"node --test\"}}");
    file(box, "web/a b/go.mod", "module y\n");
    file(box, "node_modules/z/package.json", "{\"scripts\": {\"test\": \"node --test\"}}");
    expect(box, "vet @ sandbox: go vet ./... < ** !kiln.json !web !web/a b\n"
                "test @ sandbox: go test -count=1 ./... < ** !kiln.json !web !web/a b\n"
                "web/test @ sandbox in web: npm run test < web !web/a b\n"
                "web/a_b/vet @ sandbox in web/a b: go vet ./... < web/a b\n"
                "web/a_b/test @ sandbox in web/a b: go test -count=1 ./... < web/a b\n");
    /* Two in one directory. */
    file(box, "package.json", "{\"scripts\": {\"test\": \"x\"}, \"workspaces\": [\"web\"]}");
    struct config *config = made(box);
    assert_int_equal(config->n_steps, 6);
    step_of(config, "go:vet");
    step_of(config, "npm:install");
    assert_int_equal(step_of(config, "npm:test")->n_needs, 1);
    step_of(config, "web/a_b/vet");
    config_free(config);
}

/* Whatever files say, what is written can be read. */
static void test_names_that_need_care(void **state)
{
    struct box *box = *state;
    file(box, "a \"q\"/ \n\tb/CMakeLists.txt", "project(x)");
    file(box, "-/go.mod", "module y\n");
    file(box, "a*/CMakeLists.txt", "project(x)");
    file(box, "\xff/go.mod", "module y\n");
    struct init_plan plan = {0};
    struct buf text = BUF_INIT;
    init_look(box->root, &box->machine, &plan);
    assert_int_equal(plan.parts.n, 2); /* what is no text is passed over */
    init_settle(&plan, &box->machine);
    init_write(&plan, &text);
    assert_null(strstr(buf_str(&text), "\n\tb"));
    buf_release(&text);
    init_release(&plan);
    config_free(made(box));
}

static void test_sentences(void **state)
{
    struct box *box = *state;
    struct init_plan plan = {0};
    struct buf text = BUF_INIT;
    file(box, "CMakeLists.txt", "project(x)");
    file(box, "rust/Cargo.toml", "[package]\n");
    file(box, "y/package.json", "{\"packageManager\": \"yarn@1\", \"scripts\": {\"test\": \"x\"}}");
    file(box, "y/yarn.lock", "");
    init_look(box->root, &box->machine, &plan);
    init_settle(&plan, &box->machine);
    assert_int_equal(plan.parts.n, 3);
    init_tell(&plan, &plan.parts.v[0], &text);
    assert_string_equal(buf_str(&text), "CMake (CMakeLists.txt): build");
    buf_reset(&text);
    init_tell(&plan, &plan.parts.v[1], &text);
    assert_string_equal(buf_str(&text), "cargo (rust/Cargo.toml): rust/test");
    char *why = mem_printf("cargo is in %s, which a sandbox does not see", box->home);
    assert_string_equal(plan.parts.v[1].why, why);
    assert_null(plan.parts.v[1].missing);
    assert_string_equal(plan.parts.v[2].missing, "yarn");
    free(why);
    buf_release(&text);
    init_release(&plan);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, box_open, box_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),
        TEST(test_cmake),
        TEST(test_cmake_without_make),
        TEST(test_ccache),
        TEST(test_make),
        TEST(test_go),
        TEST(test_a_tool_that_a_sandbox_does_not_see),
        TEST(test_a_link_out_of_sight),
        TEST(test_node),
        TEST(test_python),
        TEST(test_lists_of_pyproject),
        TEST(test_several),
        TEST(test_names_that_need_care),
        TEST(test_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
