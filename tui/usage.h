/*
 * usage.h - what steps use: processor time and memory, of results and, while steps run, as it is.
 *
 * While a step runs and is seen, the engine is asked once a second, by a worker, and less often
 * where looking takes long; else nobody looks. Loop thread.
 */
#ifndef KILN_TUI_USAGE_H
#define KILN_TUI_USAGE_H

#include "base/buf.h"
#include "base/vec.h"
#include "engine/command.h"
#include "tui/model.h"

struct app;

/* One that ran when it was last looked at. */
struct usage_now {
    int64_t pid;
    uint64_t starts; /* of its step */
    size_t step;
    struct usage_facts facts;
    uint64_t at_ns;
    unsigned percent; /* of one processor, since the time before */
};

struct usages {
    VEC(struct usage_now) v;
    bool asking;
    uint64_t next_ns; /* not before */
};

/* Asks where it is time; after a frame, which tells what is seen. */
void usage_sync(struct app *app);
void usage_release(struct usages *usages);
/* "190%  210 MiB": how busy it is, or was, of one processor, and its memory, in two columns; empty
 * when that is not known. */
void usage_text(const struct app *app, const struct model_step *step, struct buf *out);
/* In a sentence: "12.3s of processor, 1.9 × its time; up to 210 MiB"; likewise. */
void usage_sentence(const struct app *app, const struct model_step *step, struct buf *out);

#endif
