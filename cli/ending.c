#include "cli/ending.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* See ending.h: all that the handlers reach. */
static void (*volatile tell_loop)(int number); /* libuv's handler */
static volatile sig_atomic_t last;

static void on_signal(int number)
{
    int saved = errno;
    last = number;
    alarm(ENDING_STILL_S);
    tell_loop(number);
    errno = saved;
}

static void on_still(int number)
{
    (void)number;
    _exit(128 + last);
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
    alarm(ENDING_STILL_S);
}

static void on_told(uv_signal_t *handle, int number)
{
    struct ending *ending = handle->data;
    uv_timer_start(&ending->alive, on_alive, 0, 1000);
    ending->told(ending->ctx, number);
}

/* Puts the handler before libuv's, which is the same for all signals. */
static void stand_before(int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) != 0 || action.sa_handler == on_signal)
        return;
    tell_loop = action.sa_handler;
    action.sa_handler = on_signal;
    (void)sigaction(number, &action, NULL);
}

void ending_begin(struct ending *ending, uv_loop_t *loop, void (*told)(void *ctx, int number),
                  void *ctx)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction still;
    memset(&still, 0, sizeof still);
    still.sa_handler = on_still;
    (void)sigaction(SIGALRM, &still, NULL);
    ending->told = told;
    ending->ctx = ctx;
    ending->open = true;
    uv_timer_init(loop, &ending->alive);
    uv_unref((uv_handle_t *)&ending->alive);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue;
        uv_signal_t *handle = &ending->signals[ending->n_signals++];
        uv_signal_init(loop, handle);
        handle->data = ending;
        uv_signal_start(handle, on_told, numbers[i]);
        uv_unref((uv_handle_t *)handle);
        stand_before(numbers[i]);
    }
}

void ending_close(struct ending *ending)
{
    if (!ending->open)
        return;
    ending->open = false;
    for (int i = 0; i < ending->n_signals; i++)
        uv_close((uv_handle_t *)&ending->signals[i], NULL);
    uv_close((uv_handle_t *)&ending->alive, NULL);
}
