/* Any bytes from a terminal give keys that exist, the same ones in whatever pieces they come. */
#include "tui/keys.h"

#include "base/text.h"
#include "base/vec.h"
#include "tests/fuzz/fuzz.h"

typedef VEC(uint32_t) key_list;

static void note(void *ctx, uint32_t key)
{
    key_list *list = ctx;
    char name[16];
    CLAIM(key != KEY_NONE && key <= KEY_F12 && !(key >= 0xd800 && key <= 0xdfff));
    CLAIM(strlen(key_name(key, name)) > 0 && utf8_valid(name, strlen(name)));
    vec_push(list, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keys whole = {0}, pieces = {0};
    key_list first = VEC_INIT, second = VEC_INIT;
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
    CLAIM(first.n == second.n && first.n <= size);
    CLAIM(first.n == 0 || memcmp(first.v, second.v, first.n * sizeof(*first.v)) == 0);
    /* Whatever came before, a plain key is a key again now. */
    keys_feed(&whole, "q", 1, note, &first);
    CLAIM(vec_last(&first) == 'q');
    vec_release(&first);
    vec_release(&second);
    return 0;
}
