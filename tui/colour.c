#include "tui/colour.h"

static const uint8_t levels[] = {0, 95, 135, 175, 215, 255};

static int32_t rgb_of_256(int32_t n)
{
    if (n >= 232) {
        int32_t grey = 8 + (n - 232) * 10;
        return COLOUR_TRUE(grey, grey, grey);
    }
    n -= 16;
    return COLOUR_TRUE(levels[n / 36], levels[n / 6 % 6], levels[n % 6]);
}

/* Which of the six steps of the cube. */
static int32_t level_of(int32_t value)
{
    return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40;
}

static int32_t distance(int32_t a, int32_t b)
{
    int32_t sum = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        int32_t d = (a >> shift & 255) - (b >> shift & 255);
        sum += d * d;
    }
    return sum;
}

static int32_t nearest_of_256(int32_t rgb)
{
    int32_t r = rgb >> 16 & 255, g = rgb >> 8 & 255, b = rgb & 255;
    int32_t cube = 16 + 36 * level_of(r) + 6 * level_of(g) + level_of(b);
    int32_t mean = (r + g + b) / 3;
    int32_t grey = 232 + (mean < 8 ? 0 : mean > 238 ? 23 : (mean - 3) / 10);
    return distance(rgb_of_256(grey), rgb) < distance(rgb_of_256(cube), rgb) ? grey : cube;
}

/* By hue and brightness, as nobody knows what the sixteen look like. */
static int32_t nearest_of_16(int32_t rgb)
{
    int32_t r = rgb >> 16 & 255, g = rgb >> 8 & 255, b = rgb & 255;
    int32_t top = r > g ? (r > b ? r : b) : (g > b ? g : b);
    int32_t low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    if (top - low < 32)
        return top < 64 ? 0 : top < 128 ? 8 : top < 208 ? 7 : 15;
    int32_t half = low + (top - low) / 2;
    int32_t hue = (r > half ? 1 : 0) | (g > half ? 2 : 0) | (b > half ? 4 : 0);
    return top > 208 ? hue + 8 : hue;
}

int32_t colour_nearest(int32_t colour, int colours)
{
    if (colour < 0 || colours == 0)
        return COLOUR_DEFAULT;
    if (colour > 255 && colours < COLOURS_TRUE)
        colour = colours >= 256 ? nearest_of_256(colour) : nearest_of_16(colour);
    if (colour > 15 && colour < 256 && colours < 256)
        colour = nearest_of_16(rgb_of_256(colour));
    /* The bright half of sixteen on a terminal of eight: the same hue. */
    return colours == 8 ? colour & 7 : colour;
}
