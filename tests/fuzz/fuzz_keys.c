/* Any bytes from a terminal give keys that exist, and reports, the same ones in whatever pieces
 * they come. */
#include "tui/keys.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/vec.h"
#include "tests/fuzz/fuzz.h"

struct got {
    VEC(uint32_t) keys; /* and what else came, as numbers beyond all keys */
    struct buf text;
};

static void note(void *ctx, const struct key_input *input)
{
    struct got *got = ctx;
    char name[16];
    uint32_t key = input->key;
    if (input->kind == INPUT_TEXT) {
        buf_add(&got->text, input->text, input->n);
        return;
    }
    if (input->kind == INPUT_MOUSE) {
        CLAIM(input->mouse.x >= 0 && input->mouse.y >= 0 && input->mouse.button < 4);
        vec_push(&got->keys, (uint32_t)input->mouse.x);
        vec_push(&got->keys, (uint32_t)input->mouse.y);
    }
    if (input->kind != INPUT_KEY) {
        vec_push(&got->keys, 0x80000000U + (uint32_t)input->kind);
        return;
    }
    CLAIM(key != KEY_NONE && key <= KEY_F12 && !(key >= 0xd800 && key <= 0xdfff));
    CLAIM(strlen(key_name(key, name)) > 0 && utf8_valid(name, strlen(name)));
    vec_push(&got->keys, key);
}

/* Raw: no byte is handed on twice. */
static void count(void *ctx, const struct key_input *input)
{
    if (input->kind == INPUT_KEY || input->kind == INPUT_TEXT || input->kind == INPUT_BYTES)
        *(size_t *)ctx += input->n;
}

static void take_raw(const char *data, size_t size)
{
    struct keys keys = {.raw = true};
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        keys_feed(&keys, data + i, 1, count, &n);
        CLAIM(n <= i + 1);
    }
    keys_timeout(&keys, count, &n);
    CLAIM(n <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keys whole = {0}, pieces = {0};
    struct got first = {0}, second = {0};
    keys_feed(&whole, (const char *)data, size, note, &first);
    for (size_t i = 0; i < size;) {
        size_t n = 1 + data[i] % 5;
        n = n < size - i ? n : size - i;
        keys_feed(&pieces, (const char *)data + i, n, note, &second);
        i += n;
    }
    CLAIM(keys_pending(&whole) == keys_pending(&pieces));
    keys_timeout(&whole, note, &first);
    keys_timeout(&pieces, note, &second);
    CLAIM(!keys_pending(&whole) && !keys_pending(&pieces));
    CLAIM(first.keys.n == second.keys.n && first.keys.n <= size);
    CLAIM(first.keys.n == 0 ||
          memcmp(first.keys.v, second.keys.v, first.keys.n * sizeof *first.keys.v) == 0);
    CLAIM(first.text.len == second.text.len && first.text.len <= size);
    CLAIM(first.text.len == 0 || memcmp(first.text.data, second.text.data, first.text.len) == 0);
    /* Whatever came before, a plain key is a key again now: after Esc, should a paste have no end.
     */
    if (whole.pasting) {
        keys_feed(&whole, "\x1b", 1, note, &first);
        keys_timeout(&whole, note, &first);
    }
    keys_feed(&whole, "q", 1, note, &first);
    CLAIM(vec_last(&first.keys) == 'q');
    vec_release(&first.keys);
    vec_release(&second.keys);
    buf_release(&first.text);
    buf_release(&second.text);
    take_raw((const char *)data, size);
    return 0;
}
