/*
 * digest.h - SHA-256 digests with the size of what they name, as REAPI has them (FIPS 180-4,
 * through OpenSSL EVP).
 *
 * struct digest is a plain value. A hasher belongs to one thread at a time. An OpenSSL without
 * SHA-256 aborts.
 */
#ifndef KILN_BASE_DIGEST_H
#define KILN_BASE_DIGEST_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX   64

struct digest {
    uint8_t hash[DIGEST_BYTES];
    uint64_t size; /* bytes of the content */
};

struct hasher; /* opaque, reusable */

struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);
void hasher_start(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *bytes, size_t n);
/* Ends the digest started last. */
struct digest hasher_end(struct hasher *hasher);

/* The digest of n bytes. */
struct digest digest_of(const void *bytes, size_t n);
/* From now on digest_of_fd() with this hasher fails with ECANCELED once *stop is set, in mid-file
 * too; NULL: never. */
void hasher_heed(struct hasher *hasher, const atomic_bool *stop);
/* From now on digest_of_fd() with this hasher adds what it reads to *bytes, as it goes; NULL: to
 * nothing. */
void hasher_count(struct hasher *hasher, atomic_uint_fast64_t *bytes);
/* Hashes the open file from its start to its end with pread; a read error fails with ERR_SYSTEM and
 * the errno. */
int digest_of_fd(struct hasher *hasher, int fd, struct digest *out, struct err *err) MUST_CHECK;
/* SHA-1, for checking what git wrote, never for naming anything. False where OpenSSL has none. */
bool sha1_of(const void *bytes, size_t n, uint8_t out[20]) MUST_CHECK;
bool digest_eq(const struct digest *a, const struct digest *b);
/* True for the all-zero value, which names nothing (not the digest of empty content). */
bool digest_is_null(const struct digest *digest);
/* Writes 64 lower-case hexadecimal characters and a NUL. */
void digest_hex(const struct digest *digest, char hex[DIGEST_HEX + 1]);
/* Reads a string of exactly 64 lower-case hexadecimal characters, nothing behind them; false (and
 * out untouched) when it is not that. The size is set to size. */
bool digest_parse(const char *hex, uint64_t size, struct digest *out);
/* Total order by hash then size, for sorting. */
int digest_cmp(const struct digest *a, const struct digest *b);

#endif
