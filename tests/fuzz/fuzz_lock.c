/* Any bytes as kiln.lock: entries or words; what is written of them is read as the same. */
#include "tests/fuzz/fuzz.h"

#include "config/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lock lock, again;
    struct buf text = BUF_INIT, text_again = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = lock_parse((const char *)data, size, "kiln.lock", &lock, &err);
    CLAIM(rc == 0 ? !*err_text(&err) : strncmp(err_text(&err), "kiln.lock:", 10) == 0);
    if (rc == 0) {
        lock_text(&lock, &text);
        CLAIM(lock_parse(text.data, text.len, "kiln.lock", &again, &err) == 0);
        lock_text(&again, &text_again);
        CLAIM(text.len == text_again.len && memcmp(text.data, text_again.data, text.len) == 0);
        CLAIM(again.entries.n == lock.entries.n);
        for (size_t i = 0; i < lock.entries.n; i++)
            CLAIM(lock_find(&again, lock.entries.v[i].image, lock.entries.v[i].platform));
        lock_release(&again);
        buf_release(&text);
        buf_release(&text_again);
    }
    lock_release(&lock);
    err_release(&err);
    return 0;
}
