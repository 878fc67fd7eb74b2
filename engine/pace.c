#include "engine/pace.h"

#define SECOND   1000000000u
#define TOO_SOON (SECOND / 2)

uint64_t pace_look(struct pace *pace, uint64_t now_ns, uint64_t done)
{
    if (pace->n && done < pace->looks[(pace->n - 1) % PACE_LOOKS].done)
        pace->n = 0;
    size_t oldest = pace->n < PACE_LOOKS ? 0 : pace->n % PACE_LOOKS;
    uint64_t ns = pace->n ? now_ns - pace->looks[oldest].ns : 0;
    uint64_t more = pace->n ? done - pace->looks[oldest].done : 0;
    pace->looks[pace->n % PACE_LOOKS].ns = now_ns;
    pace->looks[pace->n % PACE_LOOKS].done = done;
    pace->n++;
    return ns < TOO_SOON ? 0 : (uint64_t)((double)more * SECOND / (double)ns);
}
