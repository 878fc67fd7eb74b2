/*
 * probe.h - what this machine allows of what isolated steps need, in words: what was found, what
 * that means for kiln, what to do about it.
 *
 * Whatever can be tried is tried (probe_try.h); settings are read only to explain a refusal. For
 * "kiln doctor", and for the words of a runner that was refused something.
 *
 * Ownership: a report is the caller's, released by probe_release(). Forks; any thread.
 */
#ifndef KILN_RUNNERS_PROBE_H
#define KILN_RUNNERS_PROBE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum probe_verdict {
    PROBE_OK,
    PROBE_LIMITED, /* isolated steps work, but something that they may want doesn't */
    PROBE_MISSING, /* nothing isolated works without it */
};

struct probe {
    const char *name; /* "user namespaces" */
    enum probe_verdict verdict;
    struct buf found;    /* what there is: a clause */
    struct buf means;    /* what follows for kiln: a sentence; empty when all is well */
    struct buf remedy;   /* what to do: a sentence */
    struct buf commands; /* that do it, a line each; perhaps none */
};

enum probe_id {
    PROBE_KERNEL,
    PROBE_USERNS,
    PROBE_MOUNTS,
    PROBE_OVERLAY,
    PROBE_RUNTIME,
    PROBE_INIT,
    PROBE_IDS,
    PROBE_SECCOMP,
    PROBE_CGROUPS,
    PROBE_N
};

struct probe_report {
    struct probe probes[PROBE_N]; /* indexed by probe_id */
};

struct probe_options {
    const char *runtime; /* name or path; NULL: $KILN_RUNTIME, else "crun" */
    const char *dir;     /* absolute, exists: where boxes would write; NULL: no overlay is tried */
    /* Before the paths of files that are read (not of what is tried): "" but in tests. NULL: "". */
    const char *root;
};

/* Looks at everything. */
void probe_all(const struct probe_options *options, struct probe_report *out);
/* The first that is missing, with its remedy, as an ERR_SYSTEM; 0 when nothing is. */
int probe_refusal(const struct probe_options *options, struct err *err) MUST_CHECK;
/* The same of a report. */
int probe_first_missing(const struct probe_report *report, struct err *err) MUST_CHECK;
void probe_release(struct probe_report *report);
/* Adds to out what to do that kiln can set limits, as sentences. */
void probe_limits(struct buf *out);

/* The command that installs this system's package of that name (as Debian calls it); new string. */
char *probe_install_command(const char *root, const char *package);
/* The path of a program in PATH (or the name itself where it has a slash); new string, or NULL. */
char *probe_program(const char *name);
/* The path of a tini(1) that is linked statically, so that it runs in every image; new string, or
 * NULL. */
char *probe_init(void);
/* What "program --version" says first, with its first line alone; new string, "" for nothing. */
char *probe_version(const char *program);

#endif
