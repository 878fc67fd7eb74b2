/*
 * ending.h - SIGINT, SIGTERM and SIGHUP end a command, whatever holds it.
 *
 * The loop is told of them, and ends what runs in peace. Output that nobody reads, a stopped
 * pager's or a terminal's that is held with ^S, keeps it in write(2), where it hears nothing:
 * ENDING_STILL_S after a signal, or after it was last seen alive on its way to the end, the process
 * is gone, with the exit code that it would have had. Steps go with it (runners/host.h), and the
 * terminal is put back (tui/guard.h).
 *
 * What the handlers have to know is static: they can reach nothing else. So there is one a process.
 *
 * Ownership: struct ending is the caller's storage, from ending_begin() until the loop has closed
 * what ending_close() closes. Loop thread.
 */
#ifndef KILN_CLI_ENDING_H
#define KILN_CLI_ENDING_H

#include <stdbool.h>
#include <uv.h>

#define ENDING_STILL_S 20

struct ending {
    uv_signal_t signals[3];
    int n_signals; /* under nohup kiln outlives its terminal */
    uv_timer_t alive;
    bool open;
    void (*told)(void *ctx, int number);
    void *ctx;
};

/* None of it keeps the loop running. */
void ending_begin(struct ending *ending, uv_loop_t *loop, void (*told)(void *ctx, int number),
                  void *ctx);
/* Nothing where it was not begun. */
void ending_close(struct ending *ending);

#endif
