/*
 * driver.h - a tui with a script in the engine's place: lines come in, events go out.
 *
 *     pipeline NAME [watch]         steps follow, until "end"
 *     step NAME NEEDS|- ABOUT|- [interactive]       of the pipeline; blanks as _
 *     end
 *     now MS                        the clock, in milliseconds since the start
 *     run [TRIGGER]                 a run of all steps
 *     queued STEP
 *     reason KIND SUBJECT|- STEP|- OLD|- NEW|-      of the next start; blanks as _
 *     started STEP ATTEMPT
 *     log STEP TEXT                 \n, \e, \r, \t, \\ and \xNN are understood
 *     lines STEP N                  N numbered lines
 *     finished STEP STATUS MS EXIT SIGNAL SAVED_MS [ERROR]
 *     ended STATUS MS
 *     paused STEP [EXIT MS [RULE|- REASON]]         before it starts; with MS: when it had ended
 *     resumed STEP | breakpoint STEP|- 1|0 [RULE] | tree BRANCH|- DIRTY
 *     changed N | idle | degraded TEXT | notice LEVEL TEXT
 *     record ..., facts ..., input ..., inputs, key ..., use ..., env ...    driver_answers.h
 *     sync TYPED COLS ROWS          answered with "ok BYTES" once so much input was taken, that
 *                                   size drawn and all is written
 *     pause MS                      nothing for so long (to be looked at by people; tests never
 *                                   wait)
 *     echo                          answered with "echo"
 *     crash                         abort(3)
 *
 * The process ends with its script, with COMMAND_QUIT, and at SIGTERM as kiln does: loop stopped,
 * terminal given back.
 */
#ifndef KILN_TESTS_SCREEN_DRIVER_H
#define KILN_TESTS_SCREEN_DRIVER_H

#include <stdbool.h>

struct driver_options {
    int script, replies, terminal; /* descriptors; replies: commands ("command retry build") and
                                      answers go there, -1: nowhere */
    const char *dir;               /* for the logs; the caller removes it */
    const char *term;
    bool utf8, colour;
    bool keep; /* goes on after the end of the script, until it is told to quit */
};

/* Returns the exit status. */
int driver_run(const struct driver_options *options);

#endif
