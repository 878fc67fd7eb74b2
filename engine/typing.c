/*
 * typing.c - interactive steps: which of them has a terminal, how large that is, and what is typed
 * there. Why as it is: docs/decisions/0016-interactive.md.
 */
#include "engine/private.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>

bool typing_waits(const struct engine *e, const struct node *node)
{
    return node->exec->interactive && e->opt.typing == ENGINE_TYPING_ONE && e->n_typing > 0;
}

const struct winsize *typing_terminal(struct engine *e, const struct flight *flight)
{
    const struct op_exec *exec = e->nodes.v[flight->node].exec;
    if (!exec->interactive || flight->shell)
        return NULL;
    if (e->opt.typing != ENGINE_TYPING_NOBODY)
        return &e->terminal;
    if (!e->nobody_types) {
        char *text = mem_printf("step %s is interactive, and there is no terminal to type at: its "
                                "input is empty",
                                exec->name);
        e->nobody_types = true;
        engine_notice(e, "warning", text);
        free(text);
    }
    return NULL;
}

void typing_input(struct engine *e, struct flight *flight, const char *bytes, size_t n)
{
    if (!flight->exec || n == 0) /* it is just over, or has not begun */
        return;
    bool taken = n <= COMMAND_INPUT_MAX && runner_input(flight->exec, bytes, n);
    if (!taken && !flight->deaf) {
        char *text = mem_printf("step %s does not read what is typed: there is no room for more, "
                                "and it is dropped until it reads",
                                e->nodes.v[flight->node].exec->name);
        engine_notice(e, "warning", text);
        free(text);
    }
    flight->deaf = !taken;
}

void typing_resize(struct engine *e, struct winsize size)
{
    if (!size.ws_row || !size.ws_col)
        return;
    e->terminal = size;
    vec_each (struct node, node, &e->nodes) {
        if (node->exec->interactive && node->flight && node->flight->exec)
            runner_resize(node->flight->exec, &size);
    }
}
