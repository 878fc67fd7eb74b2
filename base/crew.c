#include "base/crew.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define CREW_MAX 4

struct hand {
    pthread_t thread;
    void (*work)(void *ctx, size_t hand);
    void *ctx;
    size_t index;
};

size_t crew_size(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return 2;
    size_t n = (size_t)CPU_COUNT(&cpus);
    return n < CREW_MAX ? n : CREW_MAX;
}

static void *hand_main(void *arg)
{
    struct hand *hand = arg;
    hand->work(hand->ctx, hand->index);
    return NULL;
}

void crew_run(size_t n, void (*work)(void *ctx, size_t hand), void *ctx)
{
    struct hand hands[CREW_MAX];
    size_t started = 1;
    sigset_t all, before;
    sigfillset(&all); /* signals are for who waits for them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < n && started < CREW_MAX; started++) {
        hands[started] = (struct hand){.work = work, .ctx = ctx, .index = started};
        if (pthread_create(&hands[started].thread, NULL, hand_main, &hands[started]) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    work(ctx, 0);
    for (size_t i = 1; i < started; i++)
        pthread_join(hands[i].thread, NULL);
}
