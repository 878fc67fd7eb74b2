/*
 * inputs.h - from the tree to keys: what ops are worth now, the keys that follow, results known of
 * them.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_INPUTS_H
#define KILN_ENGINE_INPUTS_H

#include "engine/private.h"

/* A worktree of the engine's project and graph: its root, and what is declared as output, are
 * filled in. */
int value_worktree(struct engine *e, struct worktree_options *options, struct worktree **out,
                   struct err *err) MUST_CHECK;

/* value.c: what ops are worth now */
int session_open(struct engine *e, struct err *err) MUST_CHECK;
void session_close(struct engine *e);
/* The tree an op stands for. False when a local is broken (err) or an exec has no value yet. */
bool value_of(struct engine *e, op_id op, struct digest *out, struct err *err);
/* Takes a decoded result over as the node's value. whole: false is returned when the content of a
 * directory output can't be had (evicted); else it stays known by its digest alone. */
bool value_set(struct engine *e, struct node *node, struct value *value, bool whole);
void value_release(struct value *value);
/* Lets go of directories that nothing refers to any more, when they have become many. Only while no
 * run is alive and no view is being read. */
void session_sweep(struct engine *e);
/* Asks the worktree for the local's digest; true when it changed. */
bool local_refresh(struct engine *e, struct local *local);

/* key.c */
int key_of(struct engine *e, struct instance *in, struct err *err) MUST_CHECK;
/* The key that the step has with these inputs; its secrets are known, if it has any. */
struct digest key_on(struct engine *e, struct node *node, const struct digest *input_root);
/* A round begins: other software on this machine gives steps in the sandbox other keys. */
void key_look_at_system(struct engine *e);
/* Makes the part of it that stays the same as long as the graph does. */
void key_command(struct engine *e, struct node *node);
/* secrets: the values of its secrets (secrets_values()), or NULL. */
char **key_environment(struct engine *e, const struct op_exec *exec, const char *const *secrets);
/* Wipes it, too. */
void key_environment_free(char **envp);

/* foresee.c: results read before they are asked for */
/* The decoded result of that key, of a command that passed. Any thread. */
bool foresee_read(struct cache *cache, const struct digest *key, struct value *out);
/* Begins to read those of the keys that the steps had last. */
void foresee_begin(struct engine *e);
/* The same as foresee_read(), if it was read already. */
bool foresee_take(struct engine *e, const struct digest *key, struct value *out);
/* What nobody took is let go. */
void foresee_end(struct engine *e);

#endif
