/* cmd_debug.c - kiln debug: which of its ways is meant. */
#include "cli/debug.h"

int command_debug(const struct options *options)
{
    if (options->take)
        return debug_take(options);
    if (options->diff)
        return debug_diff(options);
    if (options->run_id)
        return debug_past(options);
    return command_run(options);
}
