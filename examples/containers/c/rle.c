#include "rle.h"

#include <stdio.h>

size_t rle_encode(const char *text, size_t n, char *out, size_t size)
{
    size_t length = 0;
    if (size)
        *out = '\0';
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && text[end] == text[i])
            end++;
        int wrote = snprintf(length < size ? out + length : NULL, length < size ? size - length : 0,
                             "%zu%c", end - i, text[i]);
        length += wrote > 0 ? (size_t)wrote : 0;
        i = end;
    }
    return length;
}
