/*
 * bundle_private.h - what the parts of bundles share. Included by engine/bundle_*.c alone, and by
 * their tests.
 */
#ifndef KILN_ENGINE_BUNDLE_PRIVATE_H
#define KILN_ENGINE_BUNDLE_PRIVATE_H

#include "engine/bundle.h"

#include "base/arena.h"
#include "base/vec.h"
#include "runners/tar.h"

#define BUNDLE_MANIFEST     "manifest.json"
#define BUNDLE_MANIFEST_MAX ((size_t)16 << 20)
#define BUNDLE_FILES_MAX    ((size_t)20000)       /* in run/ */
#define BUNDLE_EVENTS_MAX   ((uint64_t)4 << 30)   /* bytes */
#define BUNDLE_LINE_MAX     ((size_t)64 << 20)    /* of an event */
#define BUNDLE_FAILURE_MAX  ((uint64_t)16 << 20)  /* bytes */
#define BUNDLE_TREE_MAX     ((uint64_t)256 << 20) /* bytes, of all trees */

/* -- bundle_manifest.c -- */

struct bundle_file {
    const char *path; /* "run/events.ndjson" */
    struct digest digest;
};

struct bundle_manifest {
    struct arena arena;
    const char *kiln, *pipeline, *run;
    VEC(struct bundle_file) files; /* of run/, sorted by path */
    VEC(struct digest) inputs;     /* roots of trees, sorted */
    uint64_t blobs;                /* how many */
};

void bundle_manifest_text(const struct bundle_manifest *manifest, struct buf *out);
/* ERR_CONFIG when it is not as that writes it; release it in any case. */
int bundle_manifest_parse(const char *text, size_t n, struct bundle_manifest *out,
                          struct err *err) MUST_CHECK;
void bundle_manifest_release(struct bundle_manifest *manifest);

enum bundle_kind { BUNDLE_EVENTS, BUNDLE_LOG, BUNDLE_FAILURE, BUNDLE_HISTORY, BUNDLE_OTHER };
/* What the path of a file in run/ names; OTHER: nothing that may be there. */
enum bundle_kind bundle_kind_of(const char *path);

/* -- bundle_read.c -- */

/* What a bundle's reader gives to whoever takes it in. Each returns 0 or an error, which ends the
 * reading. The order is that of the file; data comes in pieces, with n == 0 at its end, when it has
 * been found to be what it must be. */
struct bundle_sink {
    void *ctx;
    int (*manifest)(void *ctx, const struct bundle_manifest *manifest, struct err *err);
    int (*file)(void *ctx, const struct bundle_file *file, const void *bytes, size_t n,
                struct err *err);
    /* The whole message. */
    int (*tree)(void *ctx, const struct digest *root, const void *message, size_t n,
                struct err *err);
    int (*blob)(void *ctx, const struct digest *digest, const void *bytes, size_t n,
                struct err *err);
};

/* Reads a whole bundle. ERR_CONFIG with what is wrong with it; else what pull or the sink gave. */
int bundle_read(tar_pull *pull, void *pull_ctx, const struct bundle_sink *sink,
                struct err *err) MUST_CHECK;

/* -- bundle_scratch.c -- */

/* Makes a new directory below parent, "WHAT-XXXXXX", a new string; what killed kilns have left of
 * such goes, after a day. */
int bundle_scratch(const char *parent, const char *what, char **out, struct err *err) MUST_CHECK;

/* -- bundle_tar.c -- */

/* Writes the header of a file, and what follows content of that size: up to the next header, or,
 * with bundle_tar_end(), to the archive's end. */
void bundle_tar_header(const char *name, uint64_t size, struct buf *out);
void bundle_tar_pad(uint64_t size, struct buf *out);
void bundle_tar_end(struct buf *out);

/* -- bundle_events.c -- */

/* Reads a run's events and writes them anew as those of run id of the project at root: ERR_CONFIG
 * with the line and what is wrong with it. */
struct bundle_events {
    const char *id, *root;
    int fd; /* to write to */
    struct buf line, out;
    uint64_t n; /* lines */
    bool started, finished;
};
int bundle_events_add(struct bundle_events *events, const void *bytes, size_t n,
                      struct err *err) MUST_CHECK;
int bundle_events_end(struct bundle_events *events, struct err *err) MUST_CHECK;
void bundle_events_release(struct bundle_events *events);

#endif
