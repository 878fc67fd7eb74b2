#include "base/digest.h"

#include "base/mem.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)128 * 1024)

struct hasher {
    EVP_MD_CTX *ctx;
    uint64_t size;
    const atomic_bool *stop;     /* or NULL */
    atomic_uint_fast64_t *bytes; /* or NULL */
    unsigned char *space;        /* READ_BYTES for digest_of_fd(), made when first needed */
};

/* SHA-256 cannot fail for its input: this is memory, or an OpenSSL that was set up without it. */
static _Noreturn void no_sha256(void)
{
    fputs("kiln: OpenSSL does not give SHA-256; look at its configuration (openssl list "
          "-digest-algorithms)\n",
          stderr);
    abort();
}

/* The algorithm, the same for everybody and never changed: fetching it costs more than hashing a
 * small file. OpenSSL takes it back as the process exits. */
static EVP_MD *the_sha256;

static void fetch_sha256(void)
{
    the_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static EVP_MD_CTX *context_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (pthread_once(&once, fetch_sha256) != 0 || !the_sha256 || !ctx)
        no_sha256();
    return ctx;
}

struct hasher *hasher_new(void)
{
    struct hasher *hasher = mem_zalloc(1, sizeof(*hasher));
    hasher->ctx = context_new();
    return hasher;
}

void hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->ctx);
    free(hasher->space);
    free(hasher);
}

void hasher_start(struct hasher *hasher)
{
    if (EVP_DigestInit_ex2(hasher->ctx, the_sha256, NULL) != 1)
        no_sha256();
    hasher->size = 0;
}

void hasher_add(struct hasher *hasher, const void *bytes, size_t n)
{
    if (EVP_DigestUpdate(hasher->ctx, bytes, n) != 1)
        no_sha256();
    hasher->size += n;
}

struct digest hasher_end(struct hasher *hasher)
{
    struct digest digest = {.size = hasher->size};
    if (EVP_DigestFinal_ex(hasher->ctx, digest.hash, NULL) != 1)
        no_sha256();
    return digest;
}

struct digest digest_of(const void *bytes, size_t n)
{
    struct digest digest = {.size = n};
    EVP_MD_CTX *ctx = context_new();
    if (EVP_DigestInit_ex2(ctx, the_sha256, NULL) != 1 || EVP_DigestUpdate(ctx, bytes, n) != 1 ||
        EVP_DigestFinal_ex(ctx, digest.hash, NULL) != 1)
        no_sha256();
    EVP_MD_CTX_free(ctx);
    return digest;
}

void hasher_heed(struct hasher *hasher, const atomic_bool *stop)
{
    hasher->stop = stop;
}

void hasher_count(struct hasher *hasher, atomic_uint_fast64_t *bytes)
{
    hasher->bytes = bytes;
}

int digest_of_fd(struct hasher *hasher, int fd, struct digest *out, struct err *err)
{
    if (!hasher->space)
        hasher->space = mem_alloc(READ_BYTES);
    hasher_start(hasher);
    for (off_t at = 0;;) {
        if (hasher->stop && atomic_load_explicit(hasher->stop, memory_order_relaxed))
            return err_sys(err, ECANCELED, "hashing the file");
        ssize_t n = pread(fd, hasher->space, READ_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read the file to hash it");
        if (n == 0)
            break;
        hasher_add(hasher, hasher->space, (size_t)n);
        if (hasher->bytes)
            atomic_fetch_add_explicit(hasher->bytes, (uint64_t)n, memory_order_relaxed);
        at += n;
    }
    *out = hasher_end(hasher);
    return 0;
}

bool sha1_of(const void *bytes, size_t n, uint8_t out[20])
{
    return EVP_Digest(bytes, n, out, NULL, EVP_sha1(), NULL) == 1;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return a->size == b->size && !memcmp(a->hash, b->hash, DIGEST_BYTES);
}

bool digest_is_null(const struct digest *digest)
{
    return digest_eq(digest, &(struct digest){.size = 0});
}

void digest_hex(const struct digest *digest, char hex[DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[digest->hash[i] >> 4];
        hex[2 * i + 1] = digits[digest->hash[i] & 15];
    }
    hex[DIGEST_HEX] = '\0';
}

/* -1 when it is not a lower-case hexadecimal digit. Which of both kinds a digit is cannot be
 * foreseen: a table is four times as fast as asking. */
static int nibble(char c)
{
    static const int8_t above[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };
    return above[(unsigned char)c] - 1;
}

bool digest_parse(const char *hex, uint64_t size, struct digest *out)
{
    struct digest digest = {.size = size};
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        int high = nibble(hex[2 * i]);
        if (high < 0)
            return false;
        int low = nibble(hex[2 * i + 1]);
        if (low < 0)
            return false;
        digest.hash[i] = (uint8_t)(high << 4 | low);
    }
    if (hex[DIGEST_HEX] != '\0')
        return false;
    *out = digest;
    return true;
}

int digest_cmp(const struct digest *a, const struct digest *b)
{
    int order = memcmp(a->hash, b->hash, DIGEST_BYTES);
    if (order)
        return order;
    return (a->size > b->size) - (a->size < b->size);
}
