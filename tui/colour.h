/*
 * colour.h - colours as styles have them, and the nearest that a terminal has.
 *
 * COLOUR_DEFAULT is the terminal's own; 0 to 15 are its sixteen (what they look like is the
 * person's choice), 16 to 255 the fixed ones of the palette that all agree on, COLOUR_TRUE() is
 * any. Pure; any thread.
 */
#ifndef KILN_TUI_COLOUR_H
#define KILN_TUI_COLOUR_H

#include <stdint.h>

#define COLOUR_DEFAULT       (-1)
#define COLOUR_TRUE(r, g, b) (INT32_C(0x1000000) | (r) << 16 | (g) << 8 | (b))
#define COLOURS_TRUE         (1 << 24)

/* The nearest for a terminal of so many colours: 0, 8, 16, 256 or COLOURS_TRUE. */
int32_t colour_nearest(int32_t colour, int colours);

#endif
