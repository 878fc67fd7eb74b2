/*
 * init_python.c - Python: pytest or unittest, ruff (see init.h).
 *
 * What the tests import is put into an environment of its own, from what the project says that it
 * needs; uv and poetry, where their lock files are, do that themselves.
 */
#include "cli/init.h"

#include <stdlib.h>
#include <string.h>

#define VENV ".kiln-venv"

/* Whether a line of the text begins with that. */
static bool has_line(const char *text, const char *start)
{
    size_t n = strlen(start);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, start, n))
            return true;
    }
    return false;
}

/* The name of the list in that table of pyproject.toml which is for tests; NULL: there is none. */
static const char *test_list(const char *text, const char *table)
{
    static const char *const names[] = {"tests", "test", "testing", "dev"};
    const char *from = strstr(text, table);
    if (!from || (from > text && from[-1] != '\n'))
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        for (const char *line = strchr(from, '\n'); line; line = strchr(line, '\n')) {
            line++;
            if (*line == '[')
                break; /* the next table */
            if (!strncmp(line, names[i], n) && strchr(" =", line[n]))
                return names[i];
        }
    }
    return NULL;
}

/* What "pip install" is given, one after the other; the files that say so are inputs. */
static const char *needs(const struct init_dir *dir, bool pytest, struct init_step *step)
{
    static const char *const files[] = {
        "requirements-dev.txt",   "requirements-test.txt", "requirements-tests.txt",
        "dev-requirements.txt",   "test-requirements.txt", "requirements_dev.txt",
        "requirements/tests.txt", "requirements/test.txt", "requirements/dev.txt"};
    const char *text = init_text(dir, "pyproject.toml");
    struct buf words = BUF_INIT, lists = BUF_INIT;
    if (init_has(dir, "requirements.txt")) {
        buf_adds(&words, " -r requirements.txt");
        vec_push(&step->inputs, "requirements.txt");
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (init_has(dir, files[i])) {
            buf_addf(&words, " -r %s", files[i]);
            vec_push(&step->inputs, strchr(files[i], '/') ? "requirements" : files[i]);
            break;
        }
    }
    const char *extra = test_list(text, "[project.optional-dependencies]");
    const char *group = test_list(text, "[dependency-groups]");
    if (has_line(text, "dependencies ="))
        buf_adds(&lists, " + p[\"project\"].get(\"dependencies\", [])");
    if (extra && !words.len)
        buf_addf(&lists, " + p[\"project\"][\"optional-dependencies\"][\"%s\"]", extra);
    if (group && !words.len)
        buf_addf(&lists, " + [r for r in p[\"dependency-groups\"][\"%s\"] if type(r) is str]",
                 group);
    if (lists.len) {
        vec_push(&step->inputs, "pyproject.toml");
        step->comment = "The packages that pyproject.toml lists, without the project itself: its "
                        "sources need not be installed.";
    }
    if (pytest && (words.len || lists.len))
        buf_adds(&words, " pytest");
    const char *run = NULL;
    if (lists.len)
        run =
            arena_printf(dir->arena,
                         "python3 -m venv " VENV "\n"
                         "python3 -c 'import tomllib; p = tomllib.load(open(\"pyproject.toml\", "
                         "\"rb\")); print(*([]%s), sep=\"\\n\")' > " VENV "/needs.txt\n" VENV
                         "/bin/pip install --disable-pip-version-check -q%s -r " VENV "/needs.txt",
                         buf_str(&lists), buf_str(&words));
    else if (words.len)
        run = arena_printf(dir->arena,
                           "python3 -m venv " VENV "\n" VENV
                           "/bin/pip install --disable-pip-version-check -q%s",
                           buf_str(&words));
    buf_release(&words);
    buf_release(&lists);
    return run;
}

/* Where there are tests at all, and how they are run. */
static bool has_tests(const struct init_dir *dir)
{
    static const char *const marks[] = {"tests", "test", "conftest.py", "pytest.ini", NULL};
    if (init_first(dir, marks))
        return true;
    vec_each (const char *const, name, &dir->names) {
        size_t n = strlen(*name);
        if (!strncmp(*name, "test_", 5) || (n > 8 && !strcmp(*name + n - 8, "_test.py")))
            return true;
    }
    return false;
}

static bool uses_pytest(const struct init_dir *dir)
{
    static const char *const files[] = {"pyproject.toml",
                                        "setup.cfg",
                                        "tox.ini",
                                        "setup.py",
                                        "requirements.txt",
                                        "requirements-dev.txt",
                                        "requirements-test.txt",
                                        "dev-requirements.txt",
                                        "test-requirements.txt"};
    static const char *const marks[] = {"pytest.ini", "conftest.py", "tests/conftest.py",
                                        "test/conftest.py", NULL};
    if (init_first(dir, marks))
        return true;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strstr(init_text(dir, files[i]), "pytest"))
            return true;
    }
    return false;
}

/* Runs something that is brought by the project's own manager, its environment, or the system. */
static void add_checks(const struct init_dir *dir, struct init_part *part)
{
    bool pytest = uses_pytest(dir);
    bool ruff = init_has(dir, "ruff.toml") || init_has(dir, ".ruff.toml") ||
                strstr(init_text(dir, "pyproject.toml"), "[tool.ruff");
    const char *manager = init_has(dir, "uv.lock") && init_tool(dir, "uv")           ? "uv"
                          : init_has(dir, "poetry.lock") && init_tool(dir, "poetry") ? "poetry"
                                                                                     : NULL;
    const char *install = NULL, *python = "python3";
    bool tests = has_tests(dir);
    if (manager) {
        python = arena_printf(dir->arena, "%s run python", manager);
        vec_push(&part->tools, manager);
        vec_push(&part->leave, ".venv");
    } else if (tests) {
        struct init_step *step = init_step(part, "install", NULL);
        install = step->run = needs(dir, pytest, step);
        if (install) {
            python = VENV "/bin/python";
            step->some_inputs = step->network = true;
            step->caches = "pip";
            vec_push(&step->outputs, VENV);
        } else {
            vec_release(&step->inputs);
            part->steps.n--;
        }
    }
    if (tests) {
        struct init_step *test =
            init_step(part, "test",
                      arena_printf(dir->arena, "%s -m %s", python,
                                   pytest ? "pytest -q" : "unittest discover"));
        if (install)
            vec_push(&test->needs, "install");
        vec_push(&test->env, (struct init_pair){"PYTHONDONTWRITEBYTECODE", "1"});
        if (init_has(dir, "src"))
            vec_push(&test->env, (struct init_pair){"PYTHONPATH", "src"});
        test->network = manager != NULL;
        test->caches = manager;
        if (pytest && !manager && !install)
            vec_push(&part->tools, "pytest");
    }
    if (ruff && (manager || init_tool(dir, "ruff"))) {
        struct init_step *lint =
            init_step(part, "lint",
                      manager ? arena_printf(dir->arena, "%s run ruff check --no-cache .", manager)
                              : "ruff check --no-cache .");
        lint->network = manager != NULL;
        lint->caches = manager;
        if (!manager)
            vec_push(&part->tools, "ruff");
    }
}

static bool look_python(const struct init_dir *dir, struct init_part *part)
{
    static const char *const marks[] = {"pyproject.toml", "setup.py", "setup.cfg",
                                        "requirements.txt", NULL};
    part->found = init_first(dir, marks);
    if (!part->found)
        return false;
    vec_push(&part->tools, "python3");
    add_checks(dir, part);
    return part->steps.n > 0;
}

const struct init_kind init_python = {"Python", "python", false, look_python};
