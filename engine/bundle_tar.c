/*
 * bundle_tar.c - writes the tar (ustar, POSIX.1-1988) of a bundle: regular files of uid 0, mode
 * 0644, from the epoch. Sizes over 8 GiB are in base 256, as GNU tar and all that read it have
 * them.
 */
#include "engine/bundle_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNIT ((size_t)512)

enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_DEVMAJOR = 329,
    AT_DEVMINOR = 337,
};

static void put_octal(char *to, size_t width, uint64_t number)
{
    to[--width] = '\0';
    while (width > 0) {
        to[--width] = (char)('0' + (number & 7));
        number >>= 3;
    }
}

void bundle_tar_header(const char *name, uint64_t size, struct buf *out)
{
    char block[UNIT] = {0};
    assert(strlen(name) < 100);
    memcpy(block + AT_NAME, name, strlen(name));
    put_octal(block + AT_MODE, 8, 0644);
    put_octal(block + AT_UID, 8, 0);
    put_octal(block + AT_GID, 8, 0);
    if (size < (uint64_t)1 << 33) {
        put_octal(block + AT_SIZE, 12, size);
    } else {
        block[AT_SIZE] = (char)0x80;
        for (size_t i = 0; i < 8; i++)
            block[AT_SIZE + 11 - i] = (char)(unsigned char)(size >> (8 * i));
    }
    put_octal(block + AT_MTIME, 12, 0);
    block[AT_TYPE] = '0';
    memcpy(block + AT_MAGIC, "ustar\00000", 8);
    put_octal(block + AT_DEVMAJOR, 8, 0);
    put_octal(block + AT_DEVMINOR, 8, 0);
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < UNIT; i++)
        sum += (unsigned char)block[i];
    put_octal(block + AT_SUM, 7, sum);
    block[AT_SUM + 7] = ' ';
    buf_add(out, block, UNIT);
}

void bundle_tar_pad(uint64_t size, struct buf *out)
{
    static const char zeros[UNIT];
    if (size % UNIT)
        buf_add(out, zeros, UNIT - (size_t)(size % UNIT));
}

void bundle_tar_end(struct buf *out)
{
    static const char zeros[2 * UNIT];
    buf_add(out, zeros, sizeof(zeros));
}
