#include "tui/fuzzy.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define MOST 256
#define NONE (INT_MIN / 2)

static bool begins_word(const char *text, size_t i)
{
    unsigned char c = (unsigned char)text[i], before = i ? (unsigned char)text[i - 1] : ' ';
    return i == 0 || (isalnum(c) && !isalnum(before)) || (isupper(c) && islower(before));
}

static bool same(char typed, char c)
{
    return typed == c || (typed == ' ' && c == '-') ||
           (islower((unsigned char)typed) && typed == tolower((unsigned char)c));
}

/* best[i]: of the letters so far, the last one at i. A gap costs one a letter, up to a bound. */
int fuzzy_score(const char *pattern, const char *text)
{
    int best[MOST], before[MOST];
    size_t n = strnlen(text, MOST - 1), m = strnlen(pattern, MOST - 1);
    if (m == 0)
        return 0;
    for (size_t k = 0; k < m; k++) {
        int reach = NONE; /* the best of those before i, less its distance */
        for (size_t i = 0; i < n; i++) {
            if (k > 0 && i > 0) {
                int here = before[i - 1];
                reach = reach - 1 > here - 1 ? reach - 1 : here - 1;
            }
            best[i] = NONE;
            if (!same(pattern[k], text[i]))
                continue;
            int bonus = begins_word(text, i) ? 12 : 2;
            if (k == 0)
                best[i] = bonus - (i < 8 ? (int)i : 8);
            else if (i > 0 && before[i - 1] + 1 >= reach && before[i - 1] > NONE / 2)
                best[i] = before[i - 1] + (bonus > 8 ? bonus : 8);
            else if (reach > NONE / 2)
                best[i] = reach + bonus;
        }
        memcpy(before, best, n * sizeof *best);
    }
    int most = NONE;
    for (size_t i = 0; i < n; i++)
        most = before[i] > most ? before[i] : most;
    if (most < NONE / 2)
        return -1;
    /* Of two that match as well, the shorter. */
    most = most * 4 - (int)(n / 8);
    return most > 0 ? most : 0;
}
