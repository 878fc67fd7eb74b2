/*
 * config.h - kiln.json as an immutable pipeline whose every value knows where it was written.
 *
 * A struct config owns all it points to (one arena) and is freed by config_free(); it never changes
 * after loading, so any thread may read it. Names are those of the keys in the file. Errors are
 * ERR_CONFIG and read "kiln.json:12:7: step "test": reason; remedy".
 */
#ifndef KILN_CONFIG_CONFIG_H
#define KILN_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/glob.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a value begins: 1-based, columns in characters as editors count them. line 0 = nowhere (a
 * default). */
struct config_pos {
    uint32_t line, column;
};

struct config_text {
    const char *text;
    struct config_pos pos;
};

struct config_env {
    const char *name, *value;
    struct config_pos pos; /* of the name */
};

/* In the order of config_runners (keys.h). */
enum config_runner { CONFIG_RUNNER_HOST, CONFIG_RUNNER_SANDBOX, CONFIG_RUNNER_CONTAINER };

/* Where a step runs that does not say, and whose pipeline's "defaults" do not either. */
#define CONFIG_DEFAULT_RUNNER CONFIG_RUNNER_SANDBOX

/* Where a step that is isolated finds the project, unless it has the host's path. */
#define CONFIG_PROJECT "/src"

struct config_limits {  /* 0 = none */
    uint64_t memory;    /* bytes, of all its processes together */
    uint64_t file_size; /* bytes, of any file it writes */
    uint32_t pids;
    uint32_t cpu_milli; /* thousandths of a processor */
};

enum config_secret_source { CONFIG_SECRET_ENV, CONFIG_SECRET_FILE, CONFIG_SECRET_COMMAND };

/* A value that kiln fetches when the step needs it and shows to nobody else. */
struct config_secret {
    const char *target;    /* what it is to the step: a variable's name, or an absolute path */
    struct config_pos pos; /* of the target */
    enum config_secret_source source;
    const char *from;        /* of the caller's variable: its name; of a file: its path as written,
                                absolute, from the project's folder, or from home with "~/" */
    const char *const *argv; /* of a command, NULL terminated; else NULL */
    size_t n_argv;
};

enum config_sharing { CONFIG_SHARING_SHARED, CONFIG_SHARING_PRIVATE, CONFIG_SHARING_LOCKED };

/* A directory that outlives the step and is in no key. */
struct config_cache {
    const char *path; /* absolute, inside; normalised */
    struct config_pos pos;
    const char *name;
    enum config_sharing sharing;
};

struct config_step {
    struct config_text name;
    const char *description; /* NULL when there is none */

    /* run: a string becomes {"/bin/sh", "-ec", text}; run_text is what to show for either form */
    const char *const *argv; /* NULL terminated */
    size_t n_argv;
    const char *run_text;

    bool has_inputs;                  /* false: the whole project */
    const struct config_text *inputs; /* as written, in order; checked: compile into a glob set */
    size_t n_inputs;
    const struct config_text
        *outputs; /* normalised relative paths, sorted, disjoint across all steps */
    size_t n_outputs;
    const uint32_t *needs; /* indices of steps, sorted by name, no duplicates */
    size_t n_needs;
    const struct config_env *env; /* sorted by name, defaults merged in, the step's own winning */
    size_t n_env;
    const struct config_text *pass_env; /* sorted by name, defaults merged in */
    size_t n_pass_env;

    enum config_runner runner;
    const char *image;    /* of a container: as written; else NULL */
    const char *platform; /* of an image: "linux/arm64"; NULL = this machine's */
    const char *user;     /* in a container: as written; NULL = the image's */
    bool network;         /* the host's; else there is a loopback alone */
    bool mount_same;      /* the project is where it is on the host; else at the fixed place */
    struct config_limits limits;
    const struct config_secret *secrets; /* sorted by target */
    size_t n_secrets;
    const struct config_cache *caches; /* sorted by path */
    size_t n_caches;
    const char *cwd;     /* normalised, "" is the project's root */
    uint64_t timeout_ms; /* 0 = none */
    uint32_t retries;
    bool cache; /* false = always run */
    bool hook;
    bool fix; /* it may rewrite its inputs; on the host, without outputs, and no step needs it */
    bool interactive; /* it has a terminal; never cached, whatever cache says */
};

/* A pipeline made by a program: its standard output is the kiln.json to use. */
struct config_generate {
    struct config_text run;  /* pos of the block */
    const char *const *argv; /* as in config_step */
    size_t n_argv;
    const char *run_text;
    bool has_inputs;
    const struct config_text *inputs;
    size_t n_inputs;
    const struct config_env *env;
    size_t n_env;
    const struct config_text *pass_env;
    size_t n_pass_env;
};

enum config_fixes { CONFIG_FIXES_COMMIT, CONFIG_FIXES_STOP };

/* What "kiln hook" does for everybody who works on the project. */
struct config_hook {
    const char *const *stages;      /* hooks of git by their names, NULL terminated */
    uint64_t budget_ms;             /* 0 = none */
    const struct config_text *bind; /* normalised relative paths, sorted */
    size_t n_bind;
    enum config_fixes fix; /* what becomes of what fixers changed */
};

struct config {
    struct arena arena;
    const char *path;  /* the file, absolute: where to point an editor */
    const char *shown; /* the same as shown in messages: relative to the root where it lies there */
    const char *root;  /* the project's folder, absolute, symbolic links resolved */
    const char *name;  /* "name", or the root's last component */
    struct digest text;              /* of what config_load() read; else null */
    uint32_t jobs;                   /* 0 = as many as there are processors */
    const struct config_step *steps; /* in the order written */
    size_t n_steps;
    const uint32_t *order;                  /* indices of steps, topological; ties as written */
    const struct config_generate *generate; /* NULL for a written pipeline; then n_steps is 0 */
    struct config_hook hook;
};

/* Finds kiln.json: from directory start upwards to the git root (or the file system's, outside of
 * git). *path is new, or NULL with return 0 when there is none. */
int config_find(const char *start, char **path, struct err *err) MUST_CHECK;

/* Loads the file. root_override NULL: the project is the file's folder; else that directory (an
 * external kiln.json). */
int config_load(const char *path, const char *root_override, struct config **out,
                struct err *err) MUST_CHECK;

/* The same from n bytes of text; path and root as above, path is where messages point.
 * from_generator: text came from a "generate" program, so another "generate" in it is an error, and
 * shown says "(generated)". */
int config_parse(const char *text, size_t n, const char *path, const char *root,
                 bool from_generator, struct config **out, struct err *err) MUST_CHECK;

void config_free(struct config *config);

/* The index of the step of that name, or -1. */
int64_t config_step_index(const struct config *config, const char *name);

/* "host", "sandbox", "container": as kiln.json has it. */
const char *config_runner_name(enum config_runner runner);

/* "kiln.json:12:7: step "test"" for messages about a step found later (a missing input, say). */
void config_where(const struct config *config, const struct config_step *step,
                  struct config_pos pos, struct buf *out);

/* The JSON Schema (draft 2020-12) of kiln.json, NUL terminated, made from the same key table that
 * the parser checks by. */
void config_schema(struct buf *out);

/* Adds the manual page kiln.json(5) in mdoc, made from the table of keys. date: as such pages have
 * it, "January 31, 2026". */
void config_man(const char *date, struct buf *out);

#endif
