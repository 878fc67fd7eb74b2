/*
 * hostile.h - a program that tries, from inside of an isolated step, what such a step must not be
 * able to do. Linked statically and without sanitizers: it runs in any root.
 *
 *     hostile GROUP [ARGUMENT...]
 *
 * Each attempt is told in a line, "denied: WHAT (why)" or "REACHED: WHAT (how)"; it exits with 1
 * when anything was reached. What can't be seen from inside, the driver looks for outside.
 */
#ifndef KILN_TESTS_HOSTILE_H
#define KILN_TESTS_HOSTILE_H

#include <stdbool.h>

/* Tells; yes: it was reached. */
void tell(bool yes, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a call's result: reached when it is not negative, else denied with errno. */
void told(long result, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether anything was reached so far. */
bool anything_reached(void);

/* hostile_files.c */
void group_write(int argc, char **argv);       /* PATH...: files outside, by all ways */
void group_read(int argc, char **argv);        /* PATH...: must not be readable */
void group_descriptors(int argc, char **argv); /* nothing but the three */
void group_root(int argc, char **argv);        /* PATH: out of a chroot; must not be found */
void group_readonly(int argc, char **argv);    /* DIR...: nothing can be made in them */
/* hostile_net.c */
void group_network(int argc, char **argv); /* PORT ABSTRACT-NAME */
void group_sockets(int argc, char **argv); /* PATH...: must not be connected to */
void group_listen(int argc, char **argv);  /* outside: FILE ABSTRACT-NAME; for the two above */
/* hostile_kernel.c */
void group_kernel(int argc, char **argv);    /* system calls */
void group_proc(int argc, char **argv);      /* files of /proc and /sys, device nodes */
void group_identity(int argc, char **argv);  /* [SETUID-PROGRAM]: ids, capabilities */
void group_euid(int argc, char **argv);      /* what a setuid program finds */
void group_processes(int argc, char **argv); /* PID...: of the host */
void group_terminal(int argc, char **argv);
/* hostile_load.c: these do what they say */
void group_forks(int argc, char **argv);     /* N: as many processes at a time as it gets, to N */
void group_memory(int argc, char **argv);    /* MIB */
void group_file_size(int argc, char **argv); /* PATH MIB */
void group_daemon(int argc, char **argv);    /* PATH: goes on writing after its parent's end */
void group_mapping(int argc, char **argv);   /* PATH: the same through a shared mapping */
void group_swarm(int argc, char **argv);     /* N: processes that are always others, without end */

#endif
