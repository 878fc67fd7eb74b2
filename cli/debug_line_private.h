/*
 * debug_line_private.h - kiln debug line by line: what is held and what is read (debug_line.c), and
 * what the commands do (debug_words.c).
 */
#ifndef KILN_CLI_DEBUG_LINE_PRIVATE_H
#define KILN_CLI_DEBUG_LINE_PRIVATE_H

#include "cli/debug.h"
#include "cli/debug_child.h"

struct held {
    char *step;
    bool failed, passed, box;
};

struct debug_line {
    const struct debugging *debugging;
    const struct control *control;
    FILE *out;
    bool person; /* standard input is a terminal */
    VEC(struct held) held;
    struct buf input;
    size_t taken; /* of it */
    bool ended;   /* there is no more of it */
    bool greeted, closing;

    uv_timer_t soon; /* what an event leads to is done after it */
    int fd; /* of standard input, where it can be waited for opened again: not to block is for us
               alone */
    uv_poll_t poll;
    bool polls, reading, prompted; /* polls: standard input can be waited for */
    struct debug_child child;
    bool tell_code;  /* when the child has ended: it is a command of the person's */
    bool go_on_then; /* the held step, then */
    int n_left;      /* when it goes: what must be gone before */
};

/* The step of that name, where it is held; NULL: the one that has been held longest. */
struct held *debug_line_find(const struct debug_line *line, const char *step);
/* About step; NULL: all of them. */
void debug_line_order(struct debug_line *line, enum command_type type, const char *step);
/* kiln with these arguments, the last NULL; no more is read before it has ended. */
void debug_line_kiln(struct debug_line *line, bool terminal, const char *const *arguments);
/* A shell, or a command, where the step is held. */
void debug_line_shell(struct debug_line *line, const struct held *held, const char *command);

/* debug_words.c: does what a line says, while something is held. text has no blanks around it, and
 * is changed. */
void debug_line_obey(struct debug_line *line, char *text);

#endif
