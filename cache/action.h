/*
 * action.h - what a step is (Command, Action) and what it gave (ActionResult), as canonical REAPI
 * v2 messages.
 *
 * The digest of the encoded Action is the step's content key, locally and remotely. Plain data in
 * and out: structs of the caller's, strings borrowed when encoding, from the arena when decoding.
 * Any thread.
 */
#ifndef KILN_CACHE_ACTION_H
#define KILN_CACHE_ACTION_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct action_pair {
    const char *name, *value;
};

struct action_command {
    const char *const *argv; /* n_argv strings */
    size_t n_argv;
    const struct action_pair *env; /* any order; encoded sorted by name */
    size_t n_env;
    const char *const *outputs; /* any order; encoded sorted, without duplicates */
    size_t n_outputs;
    const char *cwd;                    /* relative to the input root; "" for the root itself */
    const struct action_pair *platform; /* any order; encoded sorted by name, value */
    size_t n_platform;
};

void action_command_encode(const struct action_command *command, struct buf *out);
int action_command_decode(const void *bytes, size_t n, struct arena *arena,
                          struct action_command *out, struct err *err) MUST_CHECK;

/* Encodes the Action; its digest is the content key. salt may be NULL. */
void action_encode(const struct digest *command, const struct digest *input_root, const char *salt,
                   const struct action_pair *platform, size_t n_platform, struct buf *out);

enum output_kind { OUTPUT_FILE, OUTPUT_DIR, OUTPUT_SYMLINK };

struct action_output {
    enum output_kind kind;
    const char *path;     /* normalised, relative to the project */
    struct digest digest; /* file: content; directory: its Tree message */
    struct digest root;   /* directory: its root Directory message */
    bool executable;      /* file */
    const char *target;   /* symbolic link */
};

/* One piece of the interleaved log: the next bytes come from that stream. */
struct action_chunk {
    uint8_t stream; /* 1 stdout, 2 stderr */
    uint64_t bytes;
};

struct action_result {
    int32_t exit_code;
    struct action_output *outputs; /* any order; encoded sorted by path within each kind */
    size_t n_outputs;
    struct digest stdout_digest, stderr_digest; /* null = nothing was written */
    struct action_chunk *chunks; /* how both streams interleave; empty when just one has bytes */
    size_t n_chunks;
    const void *times; /* when the log came, as action_times_add() writes it; or NULL */
    size_t n_times;
    uint64_t start_ns, end_ns; /* CLOCK_REALTIME of the execution */
    const char *worker;        /* who ran it, for people; may be NULL */
    const char *step, *root; /* which step of the project where made it, for people; may be NULL */
};

/* The next so many bytes of the log (both streams, interleaved) came so long after those before
 * them; the first, after start_ns. */
void action_times_add(struct buf *times, uint64_t bytes, uint64_t ms);
/* Reads them one after the other, *at from 0 on; false: there are no more that can be read. They
 * are words for people: nothing says that they fit the log. */
bool action_times_next(const struct action_result *result, size_t *at, uint64_t *bytes,
                       uint64_t *ms);

/* The chunk list goes into execution_metadata.auxiliary_metadata as type "kiln.LogOrder", varints
 * stream/length in turn; the times as "kiln.LogTimes", varints length/milliseconds in turn. Who
 * does not know of a type passes over it, and results without it are as good. */
void action_result_encode(const struct action_result *result, struct buf *out);
/* ERR_CORRUPT when malformed, a digest is no SHA-256, or a path is absolute, not normalised or
 * leads out. */
int action_result_decode(const void *bytes, size_t n, struct arena *arena,
                         struct action_result *out, struct err *err) MUST_CHECK;

#endif
