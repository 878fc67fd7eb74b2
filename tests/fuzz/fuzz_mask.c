/* A mask on any secret and any output: pieces make no difference, and nothing of the secret stays.
 *
 * Input: a byte that says how long the pieces are, one with the secret's length, the secret, and
 * the output. */
#include "fuzz.h"

#include "base/mask.h"

#include <string.h>

static void run(const struct mask *mask, const char *bytes, size_t n, size_t piece, struct buf *out)
{
    struct mask_stream *stream = mask_stream_new(mask);
    for (size_t at = 0; at < n; at += piece)
        mask_feed(stream, bytes + at, n - at < piece ? n - at : piece, out);
    mask_end(stream, out);
    mask_stream_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 2 || n - 2 < bytes[1])
        return 0;
    size_t piece = (size_t)bytes[0] + 1, n_secret = bytes[1];
    const char *secret = (const char *)bytes + 2, *text = secret + n_secret;
    size_t n_text = n - 2 - n_secret;
    struct mask *mask = mask_new();
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    mask_add_secret(mask, secret, n_secret);
    mask_add(mask, secret, n_secret); /* the bytes as they are, blanks around them too */
    mask_close(mask);
    run(mask, text, n_text, n_text + 1, &whole);
    run(mask, text, n_text, piece, &pieces);
    CLAIM(whole.len == pieces.len);
    CLAIM(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
    if (n_secret >= MASK_LEAST && !memchr(secret, '*', n_secret) && whole.len)
        CLAIM(!memmem(whole.data, whole.len, secret, n_secret));
    if (mask_is_empty(mask))
        CLAIM(whole.len == n_text && (!n_text || memcmp(whole.data, text, n_text) == 0));
    buf_release(&whole);
    buf_release(&pieces);
    mask_free(mask);
    return 0;
}
