#include "tui/notify.h"

#include "base/text.h"

#include <string.h>

/* Who typed so lately is there, whatever the terminal says. */
#define KEY_MS 3000
/* Where the terminal does not tell of the focus. */
#define AWAY_MS 15000

static bool is_here(const struct notify *notify, uint64_t now_ms)
{
    uint64_t since = notify->key_ms == 0 ? UINT64_MAX : now_ms - notify->key_ms;
    if (notify->focus == FOCUS_HERE || since < KEY_MS)
        return true;
    return notify->focus == FOCUS_UNKNOWN && since < AWAY_MS;
}

/* tmux hands on what is wrapped so, where it is allowed to; the bell it always understands. screen
 * always hands it on. */
static void add_desktop(const struct notify *notify, const char *text, struct buf *out)
{
    bool whole = strcmp(notify->desktop, "777") == 0;
    bool tmux = notify->way == CLIP_TMUX, screen = notify->way == CLIP_SCREEN;
    buf_adds(out, tmux ? "\x1bPtmux;\x1b\x1b]" : screen ? "\x1bP\x1b]" : "\x1b]");
    buf_adds(out, whole ? "777;notify;kiln;" : "9;");
    buf_adds(out, text);
    buf_adds(out, tmux ? "\a\x1b\\\a" : screen ? "\a\x1b\\" : "\a");
}

static void add(const struct notify *notify, const char *text, struct buf *out)
{
    if (notify->how == NOTIFY_DESKTOP && notify->desktop)
        add_desktop(notify, text, out);
    else
        buf_addc(out, '\a');
}

static void describe(const struct model *model, const struct event *event, uint64_t ms,
                     struct buf *text)
{
    static const char *const ends[RUN_STATUS_N] = {
        [RUN_PASSED] = "passed", [RUN_FAILED] = "failed", [RUN_CANCELLED] = "was cancelled"};
    char took[16];
    const char *name = model->name ? model->name : "kiln";
    buf_add_shown(text, name, strlen(name));
    if (event->type != EVENT_RUN_FINISHED) {
        buf_adds(text, ": ");
        buf_add_shown(text, event->step, strlen(event->step));
        buf_addf(text, " %s, after %s of the run",
                 event->type == EVENT_STEP_PAUSED ? "waits for you" : "failed",
                 text_duration(ms, took));
    } else {
        buf_addf(text, " %s in %s", ends[model->run_status], text_duration(ms, took));
    }
}

void notify_event(struct notify *notify, const struct model *model, const struct event *event,
                  uint64_t now_ms, struct buf *out)
{
    if (event->type == EVENT_RUN_STARTED && model->first_run == model->runs)
        notify->told_red = false;
    bool red = event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_FAILED;
    bool waits = event->type == EVENT_STEP_PAUSED;
    bool ended = event->type == EVENT_RUN_FINISHED && model->run_state == RUN_ENDED &&
                 model->run_status != RUN_CANCELLED;
    uint64_t ms = model_run_ms(model, event->time_ns);
    if (notify->how == NOTIFY_OFF || (!red && !ended && !waits) || (notify->told_red && !waits) ||
        ms < notify->after_ms || is_here(notify, now_ms))
        return;
    notify->told_red = notify->told_red || red;
    struct buf text = BUF_INIT;
    describe(model, event, ms, &text);
    add(notify, buf_str(&text), out);
    buf_release(&text);
}
