/*
 * warden.h - the process between kiln and the steps, and the messages it speaks with kiln.
 *
 * One warden belongs to one host runner. It is forked from kiln, is the parent of every step's main
 * process, and is the subreaper below which everything ends up that a step leaves behind; so it can
 * say "nothing of it is left" and mean it, and it outlives a killed kiln just long enough to clean
 * up. Why: docs/decisions/0001-warden.md.
 *
 * The wire is a SOCK_SEQPACKET pair; a message is made of structs, in the machine's own layout
 * (both ends are the same program). kiln sends struct warden_request, the warden answers with one
 * or more of struct warden_report, all that a turn of its loop came to; end of file means that the
 * other one is gone or wants to part.
 *
 * - START, with descriptors: the write ends of stdout and of stderr, then what has says. Answered,
 * in the order of the STARTs, by STARTED and later EXITED, or by FAILED and nothing more. With
 * after, it is held until the warden has counted so many executions: those that ended well by
 * themselves, and one for each COUNT. So the place of one that has ended is taken at once, and kiln
 * has the say after a failure.
 * - WITHDRAW, and TERM and KILL too: what is held is dropped, and answered by WITHDRAWN; the others
 *   that are held behind it move up. What has been started is not withdrawn.
 * - TERM: TERM (and, with a terminal, HUP) and CONT to everything of the execution. What is left
 * after its main process has ended is let be until KILL comes.
 * - KILL: KILL to everything of it, at once.
 *
 * TERM and KILL of an unknown id are ignored: it may just have ended. EXITED is sent when no
 * process of it is left.
 *
 * The payload, the command, lies in memory that both share from before the fork: two MiB of
 * arguments need no large message, and small ones no file. It is kiln's until START is sent, then
 * the warden's until that is answered; the warden works inside of it, because it cannot allocate:
 *
 * - struct warden_payload
 * - pointers: argc + envc + 3 words, zero: one spare, argv and its NULL, envp and its NULL; filled
 *   in by the warden
 * - strings: the folder to run in, argv[0], ..., envp[0], ...; each with its NUL
 * - scratch: room for the longest PATH entry, a slash, argv[0] and a NUL
 * - nest, aligned to eight bytes, where there is one: what is done before the folder is entered, to
 *   the end of the payload (nest.h)
 */
#ifndef KILN_RUNNERS_WARDEN_H
#define KILN_RUNNERS_WARDEN_H

#include <stddef.h>
#include <stdint.h>

/* Where a program is looked for when the request has no PATH. */
#define WARDEN_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

enum warden_request_kind {
    WARDEN_START = 1,
    WARDEN_TERM,
    WARDEN_KILL,
    WARDEN_WITHDRAW,
    WARDEN_COUNT
};

struct warden_request {
    uint32_t kind;
    uint32_t has;      /* START: WARDEN_HAS_..., the further descriptors, in this order */
    uint64_t id;       /* given by kiln, never zero, growing from each START to the next */
    uint64_t after;    /* START: 0 = at once */
    uint64_t at, size; /* START: of the payload; size 0: it is more than any system allows */
};

#define WARDEN_HAS_NEST  1u /* a user namespace to enter */
#define WARDEN_HAS_INPUT 2u /* standard input; else it is /dev/null */
#define WARDEN_HAS_FILE  4u /* the program, found already; argv[0] is its name alone */
#define WARDEN_FDS       5  /* that come with START, at most */
#define WARDEN_HELD      16 /* at most */
/* For payloads, shared. Of arguments and environment Linux allows 6 MiB at most. */
#define WARDEN_SHARED ((size_t)16 * 1024 * 1024)

enum warden_report_kind { WARDEN_STARTED = 1, WARDEN_FAILED, WARDEN_WITHDRAWN, WARDEN_EXITED };
enum warden_stage {
    WARDEN_STAGE_WARDEN = 1,
    WARDEN_STAGE_NEST,
    WARDEN_STAGE_CHDIR,
    WARDEN_STAGE_EXEC
};

struct warden_report {
    uint32_t kind;
    int32_t stage; /* FAILED: which step of starting, and its errno */
    int32_t errnum;
    int32_t pid;       /* STARTED */
    int32_t exit_code; /* EXITED: -1 when ended by a signal */
    int32_t signal;    /* EXITED: 0, or the signal */
    int32_t counted;   /* EXITED: it ended well by itself */
    uint32_t at;       /* FAILED in the nest: which of its operations */
    uint64_t id;
    uint64_t time_ns; /* CLOCK_REALTIME: of the start, of the main process's end */
    /* EXITED: processor time of all that it was, and how much memory the largest process of it had;
     * 0 when that was no more than the warden itself has, which is where a process begins. */
    uint64_t cpu_us, memory;
};

#define WARDEN_REPORTS 32 /* in one message at most */

struct warden_payload {
    uint32_t argc, envc;
    uint64_t strings; /* offsets from the start of the payload */
    uint64_t scratch;
    uint64_t nest; /* 0 = none */
    /* Written by the child when it fails: its memory need not be the warden's. */
    int32_t stage, errnum;
    uint32_t at, unused;
};

struct warden;

/* Sets aside all the memory a warden will ever use (it cannot allocate after fork from a process
 * with threads). Called in kiln before the fork; returns NULL with errno. */
struct warden *warden_reserve(void);
/* Gives that memory back, in kiln after the fork. */
void warden_unreserve(struct warden *warden);
/* The warden itself, in the forked process, entered with all signals blocked; never returns. sock
 * is its end of the pair, parent a pidfd of kiln or -1; both are above 2. shared: WARDEN_SHARED
 * bytes. */
_Noreturn void warden_run(struct warden *warden, char *shared, int sock, int parent);

#endif
