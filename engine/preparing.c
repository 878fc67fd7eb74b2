/*
 * preparing.c - says now and then how far what isolated steps run in is.
 */
#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/tell.h"

#include "base/text.h"

#include <string.h>

#define TELL_AFTER_NS 400000000 /* what is made faster is not spoken of */
#define TELL_MS       250

/* Without the places where it lies, which take up the line that this is for. */
static void add_short_name(const char *image, struct buf *out)
{
    const char *slash = strrchr(image, '/'), *name = slash && slash[1] ? slash + 1 : image;
    const char *digest = strstr(name, "@sha256:");
    buf_add(out, name, digest ? (size_t)(digest - name) : strlen(name));
}

static void tell_image(struct preparing *part, struct event *event, struct buf *text)
{
    static const char *const words[] = {
        [IMAGE_RESOLVING] = "looking up",
        [IMAGE_WAITING] = "about to pull",
        [IMAGE_PULLING] = "pulling",
        [IMAGE_UNPACKING] = "unpacking",
    };
    const struct image_progress *progress = &part->image_progress;
    buf_addf(text, "%s ", words[progress->phase]);
    add_short_name(part->image, text);
    event->u.progress.phase = "image";
    event->u.progress.done = progress->done;
    event->u.progress.total = progress->total;
    event->u.progress.unit = "bytes";
    event->u.progress.rate = pace_look(&part->pace, clock_monotonic_ns(), progress->done);
}

static void tell_snapshot(const struct preparing *part, struct event *event, struct buf *text)
{
    buf_adds(text, "copying its inputs");
    event->u.progress.phase = "snapshot";
    event->u.progress.done = atomic_load(&part->snapshot_progress.files);
    event->u.progress.total = atomic_load(&part->snapshot_progress.all_files);
    event->u.progress.unit = "files";
}

static void tell_pin(struct engine *e, const struct pin *pin)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "looking up ");
    add_short_name(pin->ref.name, &text);
    vec_each (struct instance *, in, (instances *)&pin->waiting) {
        struct event event = {
            .type = EVENT_STEP_PROGRESS,
            .u.progress = {.phase = "image", .text = buf_str(&text), .unit = "bytes"}};
        if (!*in)
            continue;
        event.step = e->nodes.v[(*in)->node].exec->name;
        emit(e, (*in)->run, &event);
    }
    buf_release(&text);
}

static void tell(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    uint64_t now = clock_monotonic_ns();
    vec_each (struct pin, pin, &e->pins) {
        if (pin->state == PIN_RESOLVING && now - pin->since_ns >= TELL_AFTER_NS)
            tell_pin(e, pin);
    }
    vec_each (struct preparing *, at, &e->preparings) {
        struct preparing *part = *at;
        struct buf text = BUF_INIT;
        struct event event = {.type = EVENT_STEP_PROGRESS,
                              .step = e->nodes.v[part->flight->node].exec->name};
        if (now - part->since_ns < TELL_AFTER_NS)
            continue;
        if (part->image)
            tell_image(part, &event, &text);
        else
            tell_snapshot(part, &event, &text);
        event.u.progress.text = buf_str(&text);
        emit_progress(e, part->flight, &event);
        buf_release(&text);
    }
}

static void begin_telling(struct engine *e)
{
    if (e->n_telling++ == 0)
        uv_timer_start(&e->preparing, tell, TELL_MS, TELL_MS);
}

static void end_telling(struct engine *e)
{
    if (--e->n_telling == 0)
        uv_timer_stop(&e->preparing);
}

void preparing_open(struct engine *e)
{
    uv_timer_init(e->loop, &e->preparing);
    e->preparing.data = e;
}

void preparing_begin(struct preparing *part, struct flight *flight)
{
    struct engine *e = flight->engine;
    part->flight = flight;
    part->since_ns = clock_monotonic_ns();
    vec_push(&e->preparings, part);
    begin_telling(e);
}

void preparing_image(struct preparing *part, const struct image_progress *progress)
{
    if (progress->phase != part->image_progress.phase)
        part->pace.n = 0;
    part->image_progress = *progress;
}

void preparing_next(struct preparing *part, const char *image)
{
    part->since_ns = clock_monotonic_ns();
    part->image = image;
}

void preparing_end(struct preparing *part)
{
    if (!part->flight)
        return;
    struct engine *e = part->flight->engine;
    part->flight = NULL;
    for (size_t i = 0; i < e->preparings.n; i++) {
        if (e->preparings.v[i] == part) {
            e->preparings.v[i] = vec_pop(&e->preparings);
            break;
        }
    }
    end_telling(e);
}

void preparing_pin(struct engine *e, struct pin *pin)
{
    pin->since_ns = clock_monotonic_ns();
    begin_telling(e);
}

void preparing_pin_end(struct engine *e)
{
    end_telling(e);
}
