/*
 * crypt.h - the little cryptography that secrets need: random bytes, keyed hashes, memory that
 * is forgotten; and base64, which comes from the same library.
 *
 * Thread safe.
 */
#ifndef KILN_BASE_CRYPT_H
#define KILN_BASE_CRYPT_H

#include "base/digest.h"

#include <stdbool.h>
#include <stddef.h>

/* Fills n bytes that nobody can guess; false when the machine has none to give. */
bool crypt_random(void *bytes, size_t n) __attribute__((warn_unused_result));
/* HMAC-SHA256 of the bytes with the key; size is that of the bytes. */
struct digest crypt_hmac(const void *key, size_t n_key, const void *bytes, size_t n);
/* Overwrites the bytes, whatever the compiler thinks of it. */
void crypt_wipe(void *bytes, size_t n);
/* From now on this process leaves no core, in which there would be copies of secrets outside of
 * their pages; what it runs through others (the warden) is not concerned. */
void crypt_leave_no_core(void);
/* n bytes, all zero, in pages of their own: not swapped as far as the limits allow, and in no core.
 * Aborts when memory is out. */
void *crypt_alloc(size_t n) __attribute__((malloc));
/* Wipes and frees them; NULL is fine. */
void crypt_free(void *bytes, size_t n);

/* The n bytes in base64, on one line; a new string. */
char *crypt_base64(const void *bytes, size_t n);

#endif
