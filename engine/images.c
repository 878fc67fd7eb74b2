/*
 * images.c - which images the steps of a graph run in: what kiln.lock says of a reference, or else
 * what it turns out to mean, which kiln.lock says from then on.
 *
 * A step's key needs an image's digest and nothing else of it. Finding that out begins with the
 * round; a step that is to be checked before it is known waits for it.
 */
#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/wants.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_lock(const struct engine *e)
{
    return e->opt.lock_path && *e->opt.lock_path;
}

static uint32_t pin_add(struct engine *e, const struct op_exec *exec, struct err *err)
{
    struct pin pin = {.state = PIN_UNKNOWN};
    int rc = 0;
    if (exec->platform)
        rc = image_platform_parse(exec->platform, &pin.platform, err);
    else
        pin.platform = mem_strdup(image_platform());
    if (rc == 0)
        rc = image_ref_parse(exec->image, e->opt.root, &pin.ref, err);
    if (rc < 0) {
        free(pin.platform);
        err_wrap(err, "%s", exec->where);
        return 0;
    }
    for (size_t i = 0; i < e->pins.n; i++) {
        struct pin *have = &e->pins.v[i];
        if (strcmp(have->ref.name, pin.ref.name) == 0 &&
            strcmp(have->platform, pin.platform) == 0) {
            image_ref_release(&pin.ref);
            free(pin.platform);
            return (uint32_t)i + 1;
        }
    }
    vec_push(&e->pins, pin);
    return (uint32_t)e->pins.n;
}

int images_open(struct engine *e, struct err *err)
{
    vec_each (struct node, node, &e->nodes) {
        if (!node->boxed || !node->exec->image)
            continue;
        node->pin = pin_add(e, node->exec, err);
        if (!node->pin)
            return -(int)err->kind;
    }
    return 0;
}

void images_close(struct engine *e)
{
    vec_each (struct pin, pin, &e->pins) {
        image_ref_release(&pin->ref);
        free(pin->platform);
        free(pin->error);
        vec_release(&pin->waiting);
    }
    vec_release(&e->pins);
    lock_release(&e->lock);
    e->lock = (struct lock)LOCK_INIT;
}

static void set_pin(struct engine *e, struct pin *pin, const struct image_pin *to)
{
    uint32_t index = (uint32_t)(pin - e->pins.v) + 1;
    bool was_known = !digest_is_null(&pin->pin.manifest);
    bool same = digest_eq(&pin->pin.manifest, &to->manifest);
    pin->state = PIN_KNOWN;
    pin->pin = *to;
    for (size_t i = 0; i < e->nodes.n && !same; i++) {
        struct node *node = &e->nodes.v[i];
        if (node->pin != index)
            continue;
        buf_reset(&node->command); /* it is part of it */
        e->affected[i] |= was_known && node->selected;
        e->round_wanted |= e->affected[i] && e->opt.mode == ENGINE_WATCH;
    }
}

static void set_failed(struct pin *pin, const struct err *err)
{
    pin->state = PIN_FAILED;
    pin->code = err->kind == ERR_CONFIG ? 2 : 3;
    free(pin->error);
    pin->error = mem_strdup(err_text(err));
}

static bool is_used(struct engine *e, uint32_t index)
{
    vec_each (struct node, node, &e->nodes) {
        if (node->selected && node->pin == index)
            return true;
    }
    return false;
}

static bool is_resolving(struct engine *e)
{
    vec_each (struct pin, pin, &e->pins) {
        if (pin->state == PIN_RESOLVING)
            return true;
    }
    return false;
}

/* What kiln.lock has for other platforms of a renewed image moves along with it. */
static void renew_others(struct engine *e, const struct pin *pin)
{
    VEC(char *) others = VEC_INIT;
    vec_each (struct lock_entry, entry, &e->lock.entries) {
        if (strcmp(entry->image, pin->ref.name) == 0 && strcmp(entry->platform, pin->platform) != 0)
            vec_push(&others, mem_strdup(entry->platform));
    }
    vec_each (char *, platform, &others) {
        struct image_pin other;
        if (image_pick(e->boxes.images, &pin->pin.index, *platform, &other, NULL) == 0)
            lock_set(&e->lock, pin->ref.name, *platform, &other.index, &other.manifest);
        else
            lock_drop(&e->lock, pin->ref.name, *platform);
        free(*platform);
    }
    vec_release(&others);
}

/* What tells whether somebody else has written kiln.lock since. */
static struct timespec lock_time(const struct engine *e)
{
    struct stat st;
    return stat(e->opt.lock_path, &st) == 0 ? st.st_ctim : (struct timespec){0};
}

/* Once for all that were found out together. Where it can't be written the run goes on all the
 * same. */
static void write_lock(struct engine *e)
{
    struct err err = ERR_INIT;
    if (!has_lock(e) || is_resolving(e) || e->opt.mode == ENGINE_PLAN)
        return;
    if (lock_write(&e->lock, e->opt.lock_path, &err) < 0) {
        err_wrap(&err, "images are not pinned");
        engine_notice(e, "warning", err_text(&err));
    }
    e->lock_time = lock_time(e);
    err_release(&err);
}

static void wake(struct engine *e, struct pin *pin)
{
    vec_each (struct instance *, in, &pin->waiting) {
        if (*in)
            schedule_ready(e, *in);
    }
    vec_clear(&pin->waiting);
}

struct resolving {
    struct engine *engine;
    uint32_t index;
    bool renewing;
};

static void on_resolved(void *ctx, const struct image_pin *to, const struct err *err)
{
    struct resolving *resolving = ctx;
    struct engine *e = resolving->engine;
    struct pin *pin = &e->pins.v[resolving->index];
    pin->task = NULL;
    preparing_pin_end(e);
    if (to) {
        set_pin(e, pin, to);
        if (image_ref_is_locked(&pin->ref) && has_lock(e)) {
            if (resolving->renewing)
                renew_others(e, pin);
            lock_set(&e->lock, pin->ref.name, pin->platform, &to->index, &to->manifest);
        }
    } else {
        set_failed(pin, err);
    }
    free(resolving);
    write_lock(e);
    wake(e, pin);
    schedule_pump(e);
    engine_job_done(e);
}

static void resolve(struct engine *e, uint32_t index, bool renewing)
{
    static const struct image_callbacks callbacks = {.resolved = on_resolved};
    struct pin *pin = &e->pins.v[index];
    struct err err = ERR_INIT;
    const struct lock_entry *near = renewing ? NULL : lock_find_any(&e->lock, pin->ref.name);
    struct resolving *resolving = mem_zalloc(1, sizeof *resolving);
    *resolving = (struct resolving){e, index, renewing};
    pin->state = PIN_RESOLVING;
    if (boxes_need(e, true, &err) == 0 &&
        image_resolve(e->boxes.images, &pin->ref, pin->platform, near ? &near->digest : NULL,
                      &callbacks, resolving, &pin->task, &err) == 0) {
        e->n_jobs++;
        preparing_pin(e, pin);
        return;
    }
    free(resolving);
    set_failed(pin, &err);
    err_release(&err);
}

static void look_up(struct engine *e, uint32_t index, bool renew)
{
    struct pin *pin = &e->pins.v[index];
    bool locked = image_ref_is_locked(&pin->ref);
    const struct lock_entry *entry =
        locked && !renew ? lock_find(&e->lock, pin->ref.name, pin->platform) : NULL;
    if (entry)
        set_pin(e, pin, &(struct image_pin){entry->digest, entry->manifest});
    else if (e->opt.mode != ENGINE_PLAN || !locked)
        resolve(e, index, renew && locked);
}

/* Reads kiln.lock, and takes from it what it says; what it says no word about is found out. */
static void look_all_up(struct engine *e, bool renew)
{
    struct err err = ERR_INIT;
    lock_release(&e->lock);
    e->lock = (struct lock)LOCK_INIT;
    if (has_lock(e))
        e->lock_time = lock_time(e);
    int rc = has_lock(e) ? lock_read(e->opt.lock_path, &e->lock, &err) : 0;
    for (uint32_t i = 0; i < e->pins.n; i++) {
        if (!is_used(e, i + 1))
            continue;
        if (rc < 0 && image_ref_is_locked(&e->pins.v[i].ref))
            set_failed(&e->pins.v[i], &err);
        else
            look_up(e, i, renew);
    }
    err_release(&err);
}

void images_begin(struct engine *e)
{
    bool renew = e->opt.update_images && !e->images_renewed;
    if (!e->pins.n || is_resolving(e))
        return;
    struct timespec now = has_lock(e) ? lock_time(e) : (struct timespec){0};
    bool other = now.tv_sec != e->lock_time.tv_sec || now.tv_nsec != e->lock_time.tv_nsec;
    if (!e->all_wanted && !other)
        return;
    e->images_renewed |= renew;
    look_all_up(e, renew);
}

void images_try_again(struct engine *e)
{
    bool failed = false;
    vec_each (struct pin, pin, &e->pins)
        failed |= pin->state == PIN_FAILED;
    if (failed && !is_resolving(e))
        look_all_up(e, false);
}

void images_cancel(struct engine *e)
{
    for (size_t i = 0; i < e->pins.n; i++) {
        if (e->pins.v[i].task)
            image_cancel(e->pins.v[i].task);
    }
}

void images_forget(struct engine *e, const struct instance *in)
{
    uint32_t index = e->nodes.v[in->node].pin;
    if (!index)
        return;
    struct pin *pin = &e->pins.v[index - 1];
    for (size_t i = 0; i < pin->waiting.n; i++) {
        if (pin->waiting.v[i] == in)
            pin->waiting.v[i] = NULL;
    }
}

const struct pin *images_pin(const struct engine *e, const struct node *node)
{
    return node->pin ? &e->pins.v[node->pin - 1] : NULL;
}

bool images_wait(struct engine *e, struct instance *in)
{
    uint32_t index = e->nodes.v[in->node].pin;
    if (!index || e->pins.v[index - 1].state != PIN_RESOLVING)
        return false;
    in->state = READY;
    vec_push(&e->pins.v[index - 1].waiting, in);
    return true;
}
