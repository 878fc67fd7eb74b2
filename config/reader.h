/*
 * reader.h - how kiln.json's values are read: from nodes of a document into a config under
 * construction.
 *
 * Everything read is allocated in the config's arena. Functions that can fail return -ERR_CONFIG
 * with the position and the step in the error. Belongs to one config_parse() call.
 */
#ifndef KILN_CONFIG_READER_H
#define KILN_CONFIG_READER_H

#include "config/config.h"
#include "config/doc.h"
#include "config/keys.h"

struct config_reader {
    struct config *config;
    struct config_doc doc;
    struct config_step *steps; /* the config's, still to be written to */
    uint32_t *needs;           /* for each step the node of its "needs", 0 = none */
    const char *step;          /* the name of the step being read, quoted; NULL outside */
    bool from_generator;
    size_t n_merged; /* variables in all steps so far */
};

/* Variables by name, sorted, no name twice. */
struct config_vars {
    struct config_env *env;
    size_t n_env;
    struct config_text *pass;
    size_t n_pass;
};

/* Where a step runs and what it sees there. */
struct config_surroundings {
    enum config_runner runner;
    const char *image, *platform, *user; /* NULL = not said */
    bool network, mount_same;
    struct config_limits limits;
};

/* The nodes of an object by config_key_id; 0 = absent. */
typedef uint32_t config_found[CONFIG_KEY_COUNT];

/* Sets "file:line:column: [step "x": ]words"; returns -ERR_CONFIG. */
int config_fail(struct config_reader *r, struct config_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Errors are this step's from now on; NULL: no step's. */
void config_enter_step(struct config_reader *r, const char *name);
/* The text in double quotes, shown and shortened for a message; in the arena. */
const char *config_quote(struct config_reader *r, const char *text);
/* The string of a node, in the document. */
const char *config_string(const struct config_reader *r, uint32_t node);

/* Checks an object's keys: known, allowed there, of the right type, none missing that is required.
 */
int config_read_keys(struct config_reader *r, uint32_t node, enum config_place place,
                     config_found found) MUST_CHECK;

int config_read_command(struct config_reader *r, uint32_t node, const char *const **argv, size_t *n,
                        const char **shown) MUST_CHECK;
int config_read_inputs(struct config_reader *r, uint32_t node, const struct config_text **inputs,
                       size_t *n) MUST_CHECK;
/* Paths that kiln makes; what: the word for one, in messages. */
int config_read_outputs(struct config_reader *r, uint32_t node, const char *what,
                        const struct config_text **outputs, size_t *n) MUST_CHECK;
int config_read_cwd(struct config_reader *r, uint32_t node, const char **cwd) MUST_CHECK;
int config_read_duration(struct config_reader *r, uint32_t node, enum config_key_id id,
                         uint64_t *ms) MUST_CHECK;
int config_read_runner(struct config_reader *r, uint32_t node,
                       enum config_runner *runner) MUST_CHECK;
/* One of config_choices(id), as an index. */
int config_read_choice(struct config_reader *r, uint32_t node, enum config_key_id id,
                       size_t *out) MUST_CHECK;
/* The file's "hook". */
int config_read_hook(struct config_reader *r, uint32_t node) MUST_CHECK;
/* What is around a step: sets what "defaults" or a step say of it, leaves the rest as it is. */
int config_read_surroundings(struct config_reader *r, const config_found found,
                             struct config_surroundings *set) MUST_CHECK;
/* Gives the step its surroundings; what it says itself (found) must have a meaning there. */
int config_surround(struct config_reader *r, const config_found found,
                    const struct config_surroundings *set, struct config_step *step) MUST_CHECK;
/* "secrets" and "caches"; all else of the step but its needs is read. */
int config_read_given(struct config_reader *r, const config_found found,
                      struct config_step *step) MUST_CHECK;
/* Whether n bytes are letters, digits, . _ and -, neither . nor - in front. */
bool config_is_word(const char *text, size_t n);
/* Fails when that is no variable's name. */
int config_check_variable(struct config_reader *r, struct config_pos pos,
                          const char *name) MUST_CHECK;
int config_check_step_name(struct config_reader *r, uint32_t node) MUST_CHECK;
/* "env" and "pass_env" of one place; node 0 = absent. */
int config_read_vars(struct config_reader *r, uint32_t env, uint32_t pass_env,
                     struct config_vars *vars) MUST_CHECK;
/* What own sets, and of base what own does not mention. */
int config_merge_vars(struct config_reader *r, const struct config_vars *base,
                      const struct config_vars *own, struct config_vars *all) MUST_CHECK;

/* As config_parse(); given is the path as the user wrote it, for messages when it lies outside of
 * root. */
int config_parse_given(const char *text, size_t n, const char *path, const char *given,
                       const char *root, bool from_generator, struct config **out,
                       struct err *err) MUST_CHECK;

/* What only the steps together can show: resolves needs, finds the order (or a cycle), compares
 * outputs. */
int config_link_steps(struct config_reader *r) MUST_CHECK;

#endif
