/*
 * init.h - kiln init: from what lies in a project to a kiln.json that works.
 *
 * Three stages, each plain data: init_look() finds parts (a directory that CMake, cargo, npm or
 * another tool builds, with the steps that it takes), init_settle() decides where each can run on
 * this machine, init_write() makes the text. Nothing is run and nothing is written here.
 *
 * Ownership: all of a plan lies in its arena. Any thread.
 */
#ifndef KILN_CLI_INIT_H
#define KILN_CLI_INIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>

struct init_pair {
    const char *name, *value;
};

struct init_step {
    const char *name;    /* within its part */
    const char *comment; /* what a reader should know; or NULL */
    const char *run;
    bool some_inputs;          /* "inputs" alone count; else the part's folder without its prose */
    VEC(const char *) inputs;  /* below the part's folder */
    VEC(const char *) outputs; /* likewise */
    VEC(const char *) needs;   /* names within the part */
    VEC(struct init_pair) env;
    bool network;       /* it fetches something */
    const char *caches; /* what it keeps from run to run in a sandbox: "go"; or NULL */
};

struct init_part {
    const char *kind;        /* "CMake" */
    const char *id;          /* for the names of steps: "cmake" */
    const char *dir;         /* from the root; "" is the root itself */
    const char *found;       /* the file that says so */
    bool in_tree;            /* what it makes lies among the sources, and is no output */
    bool covers;             /* those of its kind below belong to it */
    VEC(const char *) tools; /* that have to be there: "cmake" */
    VEC(const char *) leave; /* more patterns that are no inputs */
    VEC(struct init_step) steps;

    /* init_settle() */
    bool sandbox;
    const char *why; /* it is not in the sandbox: "cargo is in ..., which a sandbox can't see" */
    const char *missing; /* a tool that is not on this machine; or NULL */
    const char *path;    /* to be put before the usual PATH, where that lacks a tool; or NULL */
    const char *ccache;  /* likewise, for compilers; or NULL */
};

struct init_plan {
    struct arena arena;
    const char *name; /* of the project */
    VEC(struct init_part) parts;
    const char *no_sandbox; /* init_settle(): why nothing runs isolated here; or NULL */
};

/* What there is on this machine. */
struct init_machine {
    const char *path;           /* where programs are looked for, as PATH has it */
    const char *const *visible; /* what a sandbox sees of this machine; NULL ends it */
    const char *const *usual;   /* the directories of a step's own PATH; NULL ends it */
    const char *ccache;         /* where compilers lie that ask ccache; NULL: nowhere */
    const char *no_sandbox;     /* why steps can't run isolated here; NULL: they can */
};
/* This machine; of no_sandbox it says nothing. */
struct init_machine init_machine_here(void);

/* A directory's names, and small files of it. */
struct init_dir {
    const struct init_machine *machine;
    struct arena *arena;
    const char *path; /* absolute */
    const char *dir;  /* from the root */
    VEC(const char *) names, folders;
};
bool init_has(const struct init_dir *dir, const char *name);
/* The first of the names (NULL ends them) that is there; or NULL. */
const char *init_first(const struct init_dir *dir, const char *const *names);
/* A file's text, "" when there is none or it is too big for one that people write. */
const char *init_text(const struct init_dir *dir, const char *name);
/* Whether this machine has the program. */
bool init_tool(const struct init_dir *dir, const char *name);

/* One tool's way of building. */
struct init_kind {
    const char *kind, *id;
    bool wrapper; /* passed over where another kind is at home, also above */
    /* Fills in the part; false when it is not at home here. */
    bool (*look)(const struct init_dir *dir, struct init_part *part);
};
extern const struct init_kind init_cmake, init_meson, init_autotools, init_make, init_go,
    init_cargo, init_node, init_python;
/* A new step of the part; dies at the next. */
struct init_step *init_step(struct init_part *part, const char *name, const char *run);

/* Looks at the project's folder and those a little below. Start the plan zeroed. */
void init_look(const char *root, const struct init_machine *machine, struct init_plan *plan);

/* Whether some part could be in a sandbox, so that no_sandbox has to be known. */
bool init_wants_sandbox(const struct init_plan *plan, const struct init_machine *machine);
/* Where each part runs. */
void init_settle(struct init_plan *plan, const struct init_machine *machine);

/* The whole text of kiln.json; with no parts, an example to be changed. */
void init_write(const struct init_plan *plan, struct buf *out);
/* A part in a sentence for people: "CMake (CMakeLists.txt): build, test". */
void init_tell(const struct init_plan *plan, const struct init_part *part, struct buf *out);
/* The name of one of a part's steps in the pipeline. */
void init_step_name(const struct init_plan *plan, const struct init_part *part, const char *step,
                    struct buf *out);

void init_release(struct init_plan *plan);

#endif
