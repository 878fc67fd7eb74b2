/* rle.h - run-length coding of text: "aaab" is "3a1b". */
#ifndef RLE_H
#define RLE_H

#include <stddef.h>

/* Writes the code of n bytes, none of which may be a digit, and a NUL to out, which has room for
 * size. Returns its length; size or more when it was cut. */
size_t rle_encode(const char *text, size_t n, char *out, size_t size);

#endif
