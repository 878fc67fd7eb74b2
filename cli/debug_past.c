/* debug_past.c - kiln debug --run: a failure of the past. */
#include "cli/debug.h"

int debug_past(const struct options *options)
{
    complain(options, "--run is not there yet; \"kiln shell STEP --failed\" opens what the last "
                      "failure left");
    return EXIT_USAGE;
}
