/* hints_rules.c - see hints_rules.h. The first that fits counts. */
#include "engine/hints_rules.h"

#include <stddef.h>
#include <string.h>

static const char *const python[] = {".py", "", NULL};
static const char *const node[] = {".js",       ".json",     ".mjs",  ".cjs",  ".ts",
                                   ".tsx",      ".jsx",      ".d.ts", ".node", ".vue",
                                   "/index.js", "/index.ts", "",      NULL};
static const char *const makefile[] = {"GNUmakefile", "makefile", "Makefile", NULL};
static const char *const cmake[] = {"CMakeLists.txt", NULL};
static const char *const go_mod[] = {"go.mod", NULL};
static const char *const go_sum[] = {"go.sum", NULL};
static const char *const cargo[] = {"Cargo.toml", NULL};

static const struct hint_rule rules[] = {
    {.phrase = "no module named", .endings = python, .dotted = true, .path = "PYTHONPATH"},
    {.phrase = "no rule to make target", .first = true},
    {.phrase = "no makefile found", .files = makefile},
    {.phrase = "does not appear to contain cmakelists.txt", .files = cmake},
    {.phrase = "does not contain a cmakelists.txt", .files = cmake},
    {.phrase = "could not find `cargo.toml`", .files = cargo, .up = true},
    {.phrase = "go.mod file not found", .files = go_mod, .up = true},
    {.phrase = "cannot find main module", .files = go_mod, .up = true},
    {.phrase = "missing go.sum entry", .files = go_sum, .up = true},
    {.phrase = "no required module provides package", .go = true},
    {.phrase = "cannot find module providing package", .go = true},
    {.phrase = "is not in std", .go = true},
    {.phrase = "is not in goroot", .go = true},
    {.phrase = "cannot find module '", .endings = node, .from_later = true, .path = "NODE_PATH"},
    {.phrase = "cannot find module \"", .endings = node, .from_later = true, .path = "NODE_PATH"},
    {.phrase = "can't resolve '", .endings = node, .from_later = true},
    {.phrase = "could not resolve '", .endings = node, .from_later = true},
    {.phrase = "could not resolve \"", .endings = node, .from_later = true},
    {.phrase = "no such file"},
    {.phrase = "not found"},
    {.phrase = "cannot find"},
    {.phrase = "can't find"},
    {.phrase = "could not find"},
    {.phrase = "cannot open"},
    {.phrase = "can't open"},
    {.phrase = "does not exist"},
    {.phrase = "doesn't exist"},
    {.phrase = "unable to find"},
    {.phrase = "couldn't read"},
    {.phrase = "not an existing"},
    {.phrase = "can't cd to"},
    {.phrase = "no matching files"},
    {.phrase = "nonexistent"},
};

const struct hint_rule hint_rule_plain = {.phrase = ""};

const struct hint_rule *hint_rule_of(const char *line)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcasestr(line, rules[i].phrase))
            return &rules[i];
    }
    return NULL;
}
