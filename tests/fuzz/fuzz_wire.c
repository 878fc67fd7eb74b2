/* Any bytes on the socket: a frame is taken or not, what it holds is refused or read, and what was
 * read is written and read back to the same bytes. */
#include "cli/wire.h"
#include "tests/fuzz/fuzz.h"

static void try_event(const char *payload, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct event event, again;
    struct buf first = BUF_INIT, second = BUF_INIT, shown = BUF_INIT;
    if (wire_get_event(payload, n, &arena, &event)) {
        wire_put_event(&first, &event);
        CLAIM(wire_get_event(first.data + 5, first.len - 5, &arena, &again));
        wire_put_event(&second, &again);
        CLAIM(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        event_json(&event, NULL, &shown); /* nothing in it leads anywhere else */
    }
    buf_release(&first);
    buf_release(&second);
    buf_release(&shown);
    arena_release(&arena);
}

static void try_request(const char *payload, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct wire_request request, again;
    struct buf first = BUF_INIT;
    if (wire_get_request(payload, n, &arena, &request)) {
        size_t bytes = strlen(request.root) + strlen(request.config);
        for (size_t i = 0; i < request.n_env; i++)
            bytes += strlen(request.env[i]);
        for (size_t i = 0; i < request.n_steps; i++)
            bytes += strlen(request.steps[i]);
        CLAIM(bytes <= n);
        wire_put_request(&first, &request);
        CLAIM(wire_get_request(first.data + 5, first.len - 5, &arena, &again));
    }
    buf_release(&first);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf in = BUF_INIT;
    size_t at = 0, n;
    enum wire_frame type;
    const char *payload;
    buf_add(&in, data, size);
    while (wire_take(&in, &at, 1 << 20, &type, &payload, &n) == WIRE_GOT) {
        CLAIM(at <= in.len && n <= in.len);
        if (type == WIRE_REQUEST)
            try_request(payload, n);
        if (type == WIRE_EVENT)
            try_event(payload, n);
    }
    buf_release(&in);
    return 0;
}
