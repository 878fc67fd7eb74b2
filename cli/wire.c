/*
 * wire.c - how a watcher and a command talk.
 *
 * Both are the same program file (the request says which, and another one is sent away), so numbers
 * are as the machine has them and nothing is versioned. A frame:
 *
 *     uint32_t   bytes that follow
 *     uint8_t    enum wire_frame
 *     payload
 *
 * A payload is a struct, field by field as the tables below list them: a number in its own size, a
 * string as uint32_t length + 1 (0: NULL, where it may be that), its bytes and a NUL, a list as
 * uint32_t count and its items. So a string can be used where it lies.
 *
 * The command sends a request. The watcher answers ACK or NO at once; after ACK come EVENTs, PINGs
 * when there is nothing to tell, and in the end DONE, or NO: then the command does the run itself.
 */
#include "cli/wire.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* -- what is sent ------------------------------------------------------------------------------ */

enum kind { BYTES, FLAG, STRING, TEXT, CHOICE, LIST };

struct shape;
struct field {
    enum kind kind;
    size_t at;
    size_t size;              /* BYTES: how many; CHOICE: how many values an int may have */
    size_t count_at;          /* LIST: of its size_t */
    const struct shape *item; /* LIST */
};

struct shape {
    size_t size;
    size_t n;
    const struct field *fields;
};

#define FIELDS(list)         sizeof(list) / sizeof *(list), list
#define SIZE_OF(type, field) sizeof(((type *)NULL)->field)
#define AS_BYTES(type, field)                                       \
    {                                                               \
        BYTES, offsetof(type, field), SIZE_OF(type, field), 0, NULL \
    }
#define AS_FLAG(type, field)                    \
    {                                           \
        FLAG, offsetof(type, field), 0, 0, NULL \
    }
#define AS_STRING(type, field)                    \
    {                                             \
        STRING, offsetof(type, field), 0, 0, NULL \
    } /* or NULL */
#define AS_TEXT(type, field)                    \
    {                                           \
        TEXT, offsetof(type, field), 0, 0, NULL \
    }
#define AS_CHOICE(type, field, n)                 \
    {                                             \
        CHOICE, offsetof(type, field), n, 0, NULL \
    }
#define AS_LIST(type, field, count, of)                              \
    {                                                                \
        LIST, offsetof(type, field), 0, offsetof(type, count), &(of) \
    }

static const struct field text_fields[] = {{TEXT, 0, 0, 0, NULL}};
static const struct shape texts = {sizeof(char *), FIELDS(text_fields)};

static const struct field request_fields[] = {
    AS_BYTES(struct wire_request, stand),
    AS_TEXT(struct wire_request, root),
    AS_TEXT(struct wire_request, config),
    AS_BYTES(struct wire_request, project),
    AS_BYTES(struct wire_request, stamp),
    AS_LIST(struct wire_request, env, n_env, texts),
    AS_LIST(struct wire_request, steps, n_steps, texts),
    AS_FLAG(struct wire_request, keep_going),
    AS_TEXT(struct wire_request, tree),
};
static const struct shape request_shape = {sizeof(struct wire_request), FIELDS(request_fields)};

static const struct field reason_fields[] = {
    AS_CHOICE(struct reason, kind, REASON_N),
    AS_STRING(struct reason, subject),
    AS_STRING(struct reason, step),
    AS_STRING(struct reason, old),
    AS_STRING(struct reason, now),
    AS_STRING(struct reason, note),
};
static const struct shape reasons = {sizeof(struct reason), FIELDS(reason_fields)};

static const struct field output_fields[] = {
    AS_TEXT(struct event_output, path),
    AS_TEXT(struct event_output, digest),
    AS_BYTES(struct event_output, bytes),
};
static const struct shape outputs = {sizeof(struct event_output), FIELDS(output_fields)};

static const struct field info_fields[] = {
    AS_TEXT(struct event_step_info, name),
    AS_STRING(struct event_step_info, description),
    AS_TEXT(struct event_step_info, command),
    AS_STRING(struct event_step_info, cwd),
    AS_LIST(struct event_step_info, needs, n_needs, texts),
    AS_BYTES(struct event_step_info, last_ms),
    AS_FLAG(struct event_step_info, interactive),
};
static const struct shape infos = {sizeof(struct event_step_info), FIELDS(info_fields)};

static const struct field head_fields[] = {
    AS_CHOICE(struct event, type, EVENT_N), AS_BYTES(struct event, seq),
    AS_BYTES(struct event, time_ns),        AS_STRING(struct event, run),
    AS_STRING(struct event, step),
};
static const struct field run_started_fields[] = {
    AS_TEXT(struct event, u.run_started.version),
    AS_TEXT(struct event, u.run_started.pipeline),
    AS_TEXT(struct event, u.run_started.root),
    AS_TEXT(struct event, u.run_started.trigger),
    AS_LIST(struct event, u.run_started.steps, u.run_started.n_steps, texts),
    AS_BYTES(struct event, u.run_started.jobs),
    AS_FLAG(struct event, u.run_started.watcher),
};
static const struct field started_fields[] = {
    AS_STRING(struct event, u.started.key),
    AS_TEXT(struct event, u.started.runner),
    AS_BYTES(struct event, u.started.attempt),
    AS_BYTES(struct event, u.started.pid),
    AS_LIST(struct event, u.started.reasons, u.started.n_reasons, reasons),
    AS_BYTES(struct event, u.started.all_reasons),
    AS_STRING(struct event, u.started.log),
    AS_STRING(struct event, u.started.mount),
};
static const struct field progress_fields[] = {
    AS_TEXT(struct event, u.progress.phase), AS_TEXT(struct event, u.progress.text),
    AS_BYTES(struct event, u.progress.done), AS_BYTES(struct event, u.progress.total),
    AS_TEXT(struct event, u.progress.unit),  AS_BYTES(struct event, u.progress.rate),
};
static const struct field log_fields[] = {
    AS_BYTES(struct event, u.log.stream),
    AS_BYTES(struct event, u.log.offset),
    AS_BYTES(struct event, u.log.n),
    AS_STRING(struct event, u.log.log),
};
static const struct field finished_fields[] = {
    AS_CHOICE(struct event, u.finished.status, STEP_STATUS_N),
    AS_BYTES(struct event, u.finished.exit_code),
    AS_BYTES(struct event, u.finished.signal),
    AS_FLAG(struct event, u.finished.timed_out),
    AS_FLAG(struct event, u.finished.tainted),
    AS_BYTES(struct event, u.finished.duration_ms),
    AS_STRING(struct event, u.finished.key),
    AS_STRING(struct event, u.finished.source),
    AS_STRING(struct event, u.finished.error),
    AS_BYTES(struct event, u.finished.saved_ms),
    AS_BYTES(struct event, u.finished.cpu_ms),
    AS_BYTES(struct event, u.finished.memory_bytes),
    AS_LIST(struct event, u.finished.outputs, u.finished.n_outputs, outputs),
    AS_LIST(struct event, u.finished.hints, u.finished.n_hints, texts),
    AS_STRING(struct event, u.finished.box),
};
static const struct field run_finished_fields[] = {
    AS_CHOICE(struct event, u.run_finished.status, RUN_STATUS_N),
    AS_BYTES(struct event, u.run_finished.duration_ms),
    AS_BYTES(struct event, u.run_finished.passed),
    AS_BYTES(struct event, u.run_finished.cached),
    AS_BYTES(struct event, u.run_finished.failed),
    AS_BYTES(struct event, u.run_finished.skipped),
    AS_BYTES(struct event, u.run_finished.cancelled),
    AS_BYTES(struct event, u.run_finished.saved_ms),
};
static const struct field pipeline_fields[] = {
    AS_TEXT(struct event, u.pipeline.name),
    AS_TEXT(struct event, u.pipeline.root),
    AS_LIST(struct event, u.pipeline.steps, u.pipeline.n_steps, infos),
    AS_FLAG(struct event, u.pipeline.watching),
};
static const struct field notice_fields[] = {
    AS_TEXT(struct event, u.notice.level),
    AS_TEXT(struct event, u.notice.text),
};

/* Those that an asked run has; indexed by enum event_type. */
#define BODY(list)          \
    {                       \
        true,               \
        {                   \
            0, FIELDS(list) \
        }                   \
    }
static const struct body {
    bool sent;
    struct shape shape;
} bodies[EVENT_N] = {
    [EVENT_RUN_STARTED] = BODY(run_started_fields),
    [EVENT_STEP_QUEUED] = {true, {0, 0, NULL}},
    [EVENT_STEP_PROGRESS] = BODY(progress_fields),
    [EVENT_STEP_STARTED] = BODY(started_fields),
    [EVENT_STEP_LOG] = BODY(log_fields),
    [EVENT_STEP_FINISHED] = BODY(finished_fields),
    [EVENT_RUN_FINISHED] = BODY(run_finished_fields),
    [EVENT_PIPELINE_LOADED] = BODY(pipeline_fields),
    [EVENT_NOTICE] = BODY(notice_fields),
};
static const struct shape head = {0, FIELDS(head_fields)};

/* -- writing and reading ----------------------------------------------------------------------- */

static void put_string(struct buf *out, const char *text)
{
    uint32_t n = text ? (uint32_t)strlen(text) + 1 : 0;
    buf_add(out, &n, sizeof n);
    if (n)
        buf_add(out, text, n);
}

static void put(struct buf *out, const struct shape *shape, const void *from)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct field *field = &shape->fields[i];
        const char *at = (const char *)from + field->at;
        switch (field->kind) {
        case BYTES: buf_add(out, at, field->size); break;
        case FLAG: buf_addc(out, *(const bool *)(const void *)at); break;
        case CHOICE: buf_add(out, at, sizeof(int)); break;
        case STRING:
        case TEXT: put_string(out, *(const char *const *)(const void *)at); break;
        case LIST: {
            const char *items = *(const char *const *)(const void *)at;
            size_t n = *(const size_t *)(const void *)((const char *)from + field->count_at);
            uint32_t count = (uint32_t)n;
            buf_add(out, &count, sizeof count);
            for (size_t k = 0; k < n; k++)
                put(out, field->item, items + k * field->item->size);
        }
        }
    }
}

struct cursor {
    const char *at;
    size_t left;
    struct arena *arena;
};

static bool get_bytes(struct cursor *cursor, void *to, size_t n)
{
    if (cursor->left < n)
        return false;
    memcpy(to, cursor->at, n);
    cursor->at += n;
    cursor->left -= n;
    return true;
}

static bool get_string(struct cursor *cursor, const char **to)
{
    uint32_t n;
    *to = NULL;
    if (!get_bytes(cursor, &n, sizeof n))
        return false;
    if (n == 0)
        return true;
    if (n > cursor->left || memchr(cursor->at, '\0', n) != cursor->at + n - 1)
        return false;
    *to = cursor->at;
    cursor->at += n;
    cursor->left -= n;
    return true;
}

static bool get(struct cursor *cursor, const struct shape *shape, void *to);

static bool get_list(struct cursor *cursor, const struct field *field, void *to)
{
    uint32_t n;
    if (!get_bytes(cursor, &n, sizeof n) || n > cursor->left) /* an item has a byte at least */
        return false;
    char *items = arena_zalloc(cursor->arena, n + (size_t)1, field->item->size);
    memcpy((char *)to + field->at, &items, sizeof items);
    *(size_t *)(void *)((char *)to + field->count_at) = n;
    for (size_t i = 0; i < n; i++) {
        if (!get(cursor, field->item, items + i * field->item->size))
            return false;
    }
    return true;
}

static bool get(struct cursor *cursor, const struct shape *shape, void *to)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct field *field = &shape->fields[i];
        char *at = (char *)to + field->at;
        bool ok = false;
        switch (field->kind) {
        case BYTES: ok = get_bytes(cursor, at, field->size); break;
        case CHOICE:
            ok = get_bytes(cursor, at, sizeof(int)) &&
                 *(unsigned *)(void *)at < (unsigned)field->size;
            break;
        case FLAG: {
            char byte;
            ok = get_bytes(cursor, &byte, 1);
            *(bool *)(void *)at = ok && byte;
            break;
        }
        case STRING:
        case TEXT:
            ok = get_string(cursor, (const char **)(void *)at) &&
                 (field->kind == STRING || *(const char **)(void *)at);
            break;
        case LIST: ok = get_list(cursor, field, to); break;
        }
        if (!ok)
            return false;
    }
    return true;
}

/* -- frames ------------------------------------------------------------------------------------ */

static size_t begin_frame(struct buf *out, enum wire_frame type)
{
    size_t start = out->len;
    uint32_t n = 0;
    buf_add(out, &n, sizeof n);
    buf_addc(out, (char)type);
    return start;
}

static void end_frame(struct buf *out, size_t start)
{
    uint32_t n = (uint32_t)(out->len - start - sizeof n);
    memcpy(out->data + start, &n, sizeof n);
}

void wire_put(struct buf *out, enum wire_frame type, const void *payload, size_t n)
{
    size_t start = begin_frame(out, type);
    buf_add(out, payload, n);
    end_frame(out, start);
}

void wire_put_request(struct buf *out, const struct wire_request *request)
{
    size_t start = begin_frame(out, WIRE_REQUEST);
    put(out, &request_shape, request);
    end_frame(out, start);
}

void wire_put_event(struct buf *out, const struct event *event)
{
    const struct body *body = &bodies[event->type];
    if (!body->sent)
        return;
    size_t start = begin_frame(out, WIRE_EVENT);
    put(out, &head, event);
    put(out, &body->shape, event);
    end_frame(out, start);
}

enum wire_got wire_take(const struct buf *in, size_t *at, size_t max, enum wire_frame *type,
                        const char **payload, size_t *n)
{
    uint32_t size;
    size_t left = in->len - *at;
    if (left < sizeof size)
        return WIRE_MORE;
    memcpy(&size, in->data + *at, sizeof size);
    if (size < 1 || size > max)
        return WIRE_BAD;
    if (left - sizeof size < size)
        return WIRE_MORE;
    unsigned char first = (unsigned char)in->data[*at + sizeof size];
    if (first == 0 || first >= WIRE_N)
        return WIRE_BAD;
    *type = (enum wire_frame)first;
    *payload = in->data + *at + sizeof size + 1;
    *n = size - 1;
    *at += sizeof size + size;
    return WIRE_GOT;
}

bool wire_get_request(const char *payload, size_t n, struct arena *arena, struct wire_request *out)
{
    struct cursor cursor = {payload, n, arena};
    *out = (struct wire_request){0};
    return get(&cursor, &request_shape, out) && !cursor.left;
}

bool wire_get_event(const char *payload, size_t n, struct arena *arena, struct event *out)
{
    struct cursor cursor = {payload, n, arena};
    *out = (struct event){0};
    if (!get(&cursor, &head, out) || !bodies[out->type].sent ||
        !get(&cursor, &bodies[out->type].shape, out) || cursor.left)
        return false;
    bool of_step = out->type == EVENT_STEP_QUEUED || out->type == EVENT_STEP_PROGRESS ||
                   out->type == EVENT_STEP_STARTED || out->type == EVENT_STEP_LOG ||
                   out->type == EVENT_STEP_FINISHED;
    return out->step || !of_step;
}
