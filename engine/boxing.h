/*
 * boxing.h - what isolated steps run in, and what is left of those that failed.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_BOXING_H
#define KILN_ENGINE_BOXING_H

#include "engine/pace.h"
#include "engine/private.h"

/* boxes.c: what all of them need */
/* Makes sure of e->boxes, and of its images where they are wanted. */
int boxes_need(struct engine *e, bool images, struct err *err) MUST_CHECK;
/* What a kiln that was killed left behind goes, once, while the first box is made. */
void boxes_sweep(struct engine *e);

/* preparing.c: how far what a flight's command runs in is, told now and then */
struct preparing {
    struct flight *flight; /* NULL: it is over, or has not begun */
    uint64_t since_ns;     /* when the part under way began */
    const char *image;     /* that is being had; NULL: the snapshot is made */
    struct image_progress image_progress;
    struct pace pace; /* of that */
    struct snapshot_progress snapshot_progress;
};
void preparing_open(struct engine *e);
/* part: zeros, in place until the end. */
void preparing_begin(struct preparing *part, struct flight *flight);
/* The next part begins: having that image, or the snapshot. */
void preparing_next(struct preparing *part, const char *image);
void preparing_image(struct preparing *part, const struct image_progress *progress);
void preparing_end(struct preparing *part);
/* What an image's name means is found out, and was: the steps that wait are told of that, too. */
void preparing_pin(struct engine *e, struct pin *pin);
void preparing_pin_end(struct engine *e);

/* boxing.c: what an isolated step runs in */
/* Makes all of it; flight_launch(), flight_look_again() or flight_end() follow, perhaps before this
 * returns. */
void boxing_prepare(struct engine *e, struct flight *flight);
/* The command is to be run again: in a directory of its own. */
int boxing_again(struct engine *e, struct flight *flight, struct err *err) MUST_CHECK;
/* It is not needed any more. */
void boxing_cancel(struct flight *flight);
/* Fills in the request's box; what it points to lives as long as the flight. */
void boxing_request(struct engine *e, struct flight *flight, struct runner_request *request);
/* Where the project is for the flight's step; NULL: where it is for everybody. */
const char *boxing_mount(const struct engine *e, const struct flight *flight);
/* The directory with what the step wrote to the project. */
const char *boxing_upper(const struct flight *flight);
/* The step failed: keeps its directory for a look, instead of the one before; what may help is
 * noted in the node. */
void boxing_keep(struct engine *e, struct flight *flight);
/* Lets go of all of it. NULL is fine. */
void boxing_free(struct boxing *box);

/* kept.c */
/* Notes the directory as the step's kept one, instead of an older one; false when it can't be. */
bool kept_put(struct engine *e, const char *step, const struct digest *input_root,
              struct box_dir *dir);
/* Removes what is kept of the step. */
void kept_drop(struct engine *e, const char *step);
/* Has a worker remove it. NULL is fine. */
void box_dir_release(struct engine *e, struct box_dir *dir);

/* hints.c */
/* mount: where the project was for the step. */
void hints_of(struct engine *e, const struct flight *flight, const char *mount, struct hints *out);
void hints_release(struct hints *hints);

#endif
