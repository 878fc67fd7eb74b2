/*
 * past.h - a run of the past in all panes, in place of what happens now.
 *
 * The events of its record give a second model; while it is looked at, app->model is that one and
 * the live model goes on aside. Loop thread.
 */
#ifndef KILN_TUI_PAST_H
#define KILN_TUI_PAST_H

#include "tui/model.h"

struct app;

struct past {
    char *id;          /* of the run that is looked at; NULL: it is now */
    char *reading;     /* of the one being read; NULL: none */
    struct model live; /* while id is set */
};

/* Has the run read; it is shown when that is done. */
void past_open(struct app *app, const char *id);
/* Back to now. */
void past_close(struct app *app);
void past_release(struct past *past);
/* The model of what happens now. */
struct model *past_live(struct app *app);

enum past_label { PAST_CURRENT, PAST_STALE, PAST_UNKNOWN };
/* Whether the result, which is one of the past, is what the step would give now, by its key. */
enum past_label past_label(const struct app *app, const struct model_step *step);
const char *past_word(enum past_label label);

#endif
