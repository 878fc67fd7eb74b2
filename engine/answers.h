/*
 * answers.h - answers to questions (command.h), found by workers.
 *
 * Ownership: opaque, answers_new() to answers_free(). Loop thread. Cache and records are borrowed,
 * and have to outlive the loop's last turn after answers_free(): what is under way then is still
 * answered.
 */
#ifndef KILN_ENGINE_ANSWERS_H
#define KILN_ENGINE_ANSWERS_H

#include "engine/command.h"

#include <uv.h>

struct answers;
struct cache;
struct records;

struct answers_options {
    uv_loop_t *loop;
    const char *root;        /* the project's folder; copied */
    struct cache *cache;     /* NULL: questions about it have no answer */
    struct records *records; /* likewise */
};

struct answers *answers_new(const struct answers_options *options);
/* As struct control's ask. */
void answers_ask(struct answers *answers, struct question *question);
struct kept_box;
/* The same of a question about a box, which is taken over; or NULL, and why there is none. */
void answers_ask_box(struct answers *answers, struct question *question, struct kept_box *box,
                     const char *why);
/* Has the cache keep what the project's file at that path holds now, where it is a small text, so
 * that a later change of it can be shown. */
void answers_keep(struct answers *answers, const char *path);
/* What nobody has begun with is answered with a refusal. NULL is fine. */
void answers_free(struct answers *answers);

/* answer_log.c, any thread. */
void answer_log(struct cache *cache, struct records *records, struct question *question);

/* answer_diff.c, any thread. */
void answer_diff(const char *root, struct cache *cache, struct question *question);
void answer_keep(const char *root, struct cache *cache, const char *path);

/* answer_box.c, any thread. */
void answer_box(struct kept_box *box, struct question *question);

#endif
