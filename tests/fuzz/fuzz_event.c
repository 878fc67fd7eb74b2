/* Any line: it is refused or read, and what was read is written and read back to the same text. */
#include "engine/event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct event event;
    struct err err = ERR_INIT;
    if (event_parse((const char *)data, size, &arena, &event, &err) < 0) {
        if (err.kind != ERR_CORRUPT)
            abort();
    } else {
        struct buf first = BUF_INIT, second = BUF_INIT;
        struct event again;
        event_json(&event, NULL, &first);
        if (memchr(first.data, '\n', first.len) != first.data + first.len - 1)
            abort();
        if (event_parse(first.data, first.len, &arena, &again, NULL) < 0)
            abort();
        event_json(&again, NULL, &second);
        if (strcmp(first.data, second.data) != 0)
            abort();
        if (event.type == EVENT_STEP_STARTED) {
            for (size_t i = 0; i < event.u.started.n_reasons; i++)
                reason_text(&event.u.started.reasons[i], &second);
        }
        buf_release(&first);
        buf_release(&second);
    }
    err_release(&err);
    arena_release(&arena);
    return 0;
}
