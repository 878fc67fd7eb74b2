/*
 * asking.h - questions of views (engine/command.h), and their answers when they come.
 *
 * A question may outlive the app that asked it; then its answer is thrown away. Loop thread.
 */
#ifndef KILN_TUI_ASKING_H
#define KILN_TUI_ASKING_H

#include "engine/command.h"

struct app;
struct asked;

/* Takes the answer over, from question->arena as well (it is released afterwards, as are its
 * chunks). app: NULL when it is gone; then what ctx owns is to be freed. */
typedef void answered_cb(struct app *app, struct question *question);

/* Asks; strings are copied. False when there is nobody to ask; then nothing is called. */
bool app_ask(struct app *app, const struct question *question, answered_cb *answered);
/* The app goes. */
void asking_release(struct app *app);

#endif
