/*
 * Any bytes as what was remembered of git's rules: they are taken over or not, and what was taken
 * over is remembered and taken over again.
 *
 * An odd first byte puts the version and the variables, both absent here, before the rest.
 */
#include "cache/ignore_private.h"

#include "base/buf.h"
#include "tests/fuzz/fuzz.h"

#define UNUSED_ROOT "/nowhere"

static struct ignore *empty(void)
{
    struct ignore *ignore = mem_zalloc(1, sizeof(*ignore));
    ignore->root = mem_strdup(UNUSED_ROOT);
    ignore->prefix = mem_strdup("");
    return ignore;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct buf memory = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
    unsetenv("HOME");
    unsetenv("XDG_CONFIG_HOME");
    if (data[0] & 1)
        buf_add(&memory, (const uint32_t[]){1, 0, 0}, 3 * sizeof(uint32_t));
    buf_add(&memory, data + 1, size - 1);
    struct ignore *one = empty(), *two = empty();
    if (ignore_recall(one, buf_str(&memory), memory.len)) {
        CLAIM(ignore_remember(one, &first));
        CLAIM(ignore_recall(two, first.data, first.len));
        CLAIM(ignore_remember(two, &second));
        CLAIM(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        CLAIM(ignore_rules_fingerprint(one) == ignore_rules_fingerprint(two));
        CLAIM(ignore_was_remembered(one) && ignore_was_remembered(two));
    }
    ignore_free(one);
    ignore_free(two);
    buf_release(&memory);
    buf_release(&first);
    buf_release(&second);
    return 0;
}
