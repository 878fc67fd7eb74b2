/* crypt.c - see crypt.h. */
#include "base/crypt.h"

#include "base/mem.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

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

char *crypt_base64(const void *bytes, size_t n)
{
    char *text = mem_alloc(n / 3 * 4 + 8);
    size_t done = 0, at = 0;
    *text = '\0';
    for (; done < n; done += 3u << 20) { /* it counts with an int */
        size_t part = n - done < 3u << 20 ? n - done : 3u << 20;
        at += (size_t)EVP_EncodeBlock((unsigned char *)text + at,
                                      (const unsigned char *)bytes + done, (int)part);
    }
    return text;
}

void crypt_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}

/* One byte is none, for a program that takes cores through a pipe as well (core(5)). */
void crypt_leave_no_core(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max < 1)
        return;
    limit.rlim_cur = 1;
    (void)setrlimit(RLIMIT_CORE, &limit);
}

static size_t pages_for(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

void *crypt_alloc(size_t n)
{
    size_t size = pages_for(n ? n : 1);
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (size < n || bytes == MAP_FAILED)
        abort();
    (void)mlock(bytes, size);
    (void)madvise(bytes, size, MADV_DONTDUMP);
    return bytes;
}

void crypt_free(void *bytes, size_t n)
{
    if (!bytes)
        return;
    crypt_wipe(bytes, n);
    munmap(bytes, pages_for(n ? n : 1));
}
