/*
 * driver_answers.h - the driver's answers to the questions of views, as the script has told them.
 *
 *     record ID TRIGGER STATUS|- AT_MS MS PASSED CACHED FAILED SKIPPED SAVED_MS   a run on record
 *     facts DISK LIMIT GC_BYTES GC_RESULTS                               of the cache
 *     input PATH BYTES same|changed|added|removed
 *     inputs                                                             forgets them
 *     key STEP HEX|-                                                     that it has now
 *     diff PATH|* TEXT                          *: of every other; escapes as in "log"
 *     box STEP TEXT                             what was changed in its box; as in "diff"
 *     stored STEP 1|2 MS|- TEXT                 the cache has that too as the log of its results
 *     gone STEP WHY                             the cache has none of it any more
 *     env STEP NAME=VALUE                       of what it runs as; changed FILE since run 1
 *     use STEP CPU_MS BYTES                     what it uses as it runs, and then has used
 *
 * Every run of the script is on record with its events, too. Answers come when the script has
 * nothing more to say, and before a sync is answered.
 */
#ifndef KILN_TESTS_SCREEN_DRIVER_ANSWERS_H
#define KILN_TESTS_SCREEN_DRIVER_ANSWERS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "engine/command.h"
#include "engine/event.h"

#define EPOCH_NS UINT64_C(1700000000000000000)

struct told_log {
    char *path; /* in the driver's directory */
    struct chunks chunks;
    const char *gone;
};

struct told_env {
    const char *step, *variable;
};

struct told_use {
    const char *step;
    struct usage_facts facts;
};

struct told {
    struct arena arena;
    VEC(struct run_facts) records; /* newest last */
    struct cache_facts facts;
    VEC(struct input_file) inputs;
    struct map keys;
    struct map diffs;  /* path -> text */
    struct map boxes;  /* step -> text */
    struct map logs;   /* step -> struct told_log */
    struct map events; /* run -> struct buf, lines */
    VEC(struct question *) questions;
    VEC(struct told_env) envs;
    VEC(struct told_use) uses; /* a step's place and 1 is its pid */
    uint64_t now_ns;
};

/* Takes a line of the script that is for it; false: it is not. dir: where logs go. */
bool told_line(struct told *told, const char *dir, const char *verb, char *rest);
/* Notes an event of a run. */
void told_event(struct told *told, const struct event *event);
struct told_use *told_use_of(struct told *told, const char *step);
int64_t told_pid(struct told *told, const char *step);
/* control.facts: of steps with variables alone. */
bool told_facts(const struct told *told, const char *step, struct step_facts *out);
/* control.key_now, control.inputs */
bool told_key(struct told *told, const char *step, char hex[DIGEST_HEX + 1]);
void told_inputs(const struct told *told, uint64_t from, size_t n, struct inputs_page *page);
void told_answer_all(struct told *told);
void told_release(struct told *told);

#endif
