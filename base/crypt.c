/* crypt.c - see crypt.h. */
#include "base/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

bool crypt_random(void *bytes, size_t n)
{
    return n <= INT_MAX && RAND_bytes(bytes, (int)n) == 1;
}

struct digest crypt_hmac(const void *key, size_t n_key, const void *bytes, size_t n)
{
    struct digest digest = {.size = n};
    if (n_key > INT_MAX || !HMAC(EVP_sha256(), key, (int)n_key, bytes, n, digest.hash, NULL))
        abort(); /* memory is out, or this OpenSSL has no SHA-256: there is nothing to go on with */
    return digest;
}

void crypt_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}
