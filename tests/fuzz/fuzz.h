/*
 * fuzz.h - what the fuzz targets share: the function that libFuzzer (or replay.c) calls, claims
 * about results, and ways to cut the input into pieces.
 *
 * Ownership: strings are new and the caller's to free.
 */
#ifndef KILN_TESTS_FUZZ_H
#define KILN_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert() there in every build. */
#define CLAIM(what)                                                                   \
    do {                                                                              \
        if (!(what)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next byte, 0 when there is none. */
static inline unsigned input_byte(struct input *input)
{
    if (!input->left)
        return 0;
    input->left--;
    return *input->at++;
}

/* The next line without its newline, cut at a NUL. */
static inline char *input_line(struct input *input)
{
    const uint8_t *newline = input->left ? memchr(input->at, '\n', input->left) : NULL;
    size_t n = newline ? (size_t)(newline - input->at) : input->left;
    char *line = malloc(n + 1);
    CLAIM(line);
    if (n)
        memcpy(line, input->at, n);
    line[n] = '\0';
    n += newline != NULL;
    input->at += n;
    input->left -= n;
    return line;
}

#endif
