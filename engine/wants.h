/*
 * wants.h - what steps want besides files: secrets, cache directories, images. Each can be had,
 * must be waited for, or cannot be had.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_WANTS_H
#define KILN_ENGINE_WANTS_H

#include "engine/private.h"

/* secrets.c: the steps' secrets, fetched once a run */
/* A run begins: what was fetched for others is fetched anew when it is needed. */
void secrets_begin(struct engine *e);
/* Ends commands that fetch. */
void secrets_cancel(struct engine *e);
void secrets_close(struct engine *e);
/* Fetches what the instance's step needs; parks the instance meanwhile. */
bool secrets_wait(struct engine *e, struct instance *in);
void secrets_forget(struct engine *e, const struct instance *in);
/* Fails when one could not be had, with its place; nobody waits for any of them. */
int secrets_check(struct engine *e, const struct op_exec *exec, struct err *err) MUST_CHECK;
bool secrets_known(struct engine *e, const struct op_exec *exec);
/* What stands for each of the exec's secrets, all of which are known; NULL where it has none. */
const char *const *secrets_hashes(struct engine *e, const struct op_exec *exec,
                                  struct arena *arena);
/* Copies of the values for one flight; NULL where there are none. */
struct flight_secrets *secrets_take(struct engine *e, const struct op_exec *exec);
void secrets_release(struct flight_secrets *secrets);
const char *const *secrets_values(const struct flight_secrets *secrets);
const struct mask *secrets_mask(const struct flight_secrets *secrets);
/* Takes them out of what the flight's command writes (runner_callbacks). */
void secrets_filter(struct flight_secrets *secrets, int stream, const char *bytes, size_t n,
                    struct buf *out);

/* secret_scan.c: the first of the exec's outputs below root that has one of them; new, or NULL. A
 * worker's. */
char *secrets_in_outputs(const struct flight_secrets *secrets, const char *root,
                         const struct op_exec *exec);
/* Those that the step has as files; bytes are the flight's. */
size_t secrets_files(const struct flight_secrets *secrets, const struct op_exec *exec,
                     struct arena *arena, const struct box_secret **out);

/* caches.c: the steps' cache directories */
/* Takes all that the exec has, without waiting; *out is NULL where it has none. False: somebody
 * else has *busy for himself. Why one could not be made is told by caches_check(). */
bool caches_take(struct engine *e, const struct op_exec *exec, struct flight_caches **out,
                 const char **busy);
int caches_check(const struct flight_caches *caches, struct err *err) MUST_CHECK;
void caches_release(struct flight_caches *caches);
/* For the box; paths are the flight's and the exec's. */
size_t caches_mounts(const struct flight_caches *caches, const struct op_exec *exec,
                     struct arena *arena, const struct box_cache **out);

/* images.c: what images the steps name, and what they are */
int images_open(struct engine *e, struct err *err) MUST_CHECK;
void images_close(struct engine *e);
/* A round begins: finds out what is not known, or what kiln.lock says now. */
void images_begin(struct engine *e);
/* Another run begins: what could not be found out for the one before may be now. */
void images_try_again(struct engine *e);
/* Ends finding out. */
void images_cancel(struct engine *e);
/* Parks the instance until its image is known or can't be, where that is being found out. */
bool images_wait(struct engine *e, struct instance *in);
void images_forget(struct engine *e, const struct instance *in);
/* The node's image; NULL when it has none. */
const struct pin *images_pin(const struct engine *e, const struct node *node);

#endif
