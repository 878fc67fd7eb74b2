/* debug_take.c - kiln debug STEP --diff, --take: what was changed in a failed step's box. */
#include "cli/debug.h"

static int not_yet(const struct options *options, const char *option)
{
    struct err err = ERR_INIT;
    int rc = err_set(&err, ERR_USAGE,
                     "%s is not there yet; \"kiln shell STEP --failed\" opens what the last "
                     "failure left",
                     option);
    complain(options, err_text(&err));
    err_release(&err);
    (void)rc;
    return EXIT_USAGE;
}

int debug_diff(const struct options *options)
{
    return not_yet(options, "--diff");
}

int debug_take(const struct options *options)
{
    return not_yet(options, "--take");
}
