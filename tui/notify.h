/*
 * notify.h - tells a person who looks elsewhere that a long run has ended, has turned red, or waits
 * at a breakpoint.
 *
 * Nothing is told while the window has the focus, or a key came a moment ago; and each thing once:
 * a run that was told to have turned red ends silently when it ends red.
 *
 * Pure but for its state; the caller's, zeroed to start.
 */
#ifndef KILN_TUI_NOTIFY_H
#define KILN_TUI_NOTIFY_H

#include "base/buf.h"
#include "tui/clip.h"
#include "tui/model.h"
#include "tui/settings.h"

enum notify_focus { FOCUS_UNKNOWN, FOCUS_HERE, FOCUS_ELSEWHERE };

struct notify {
    enum notify_how how;
    uint64_t after_ms;
    const char *desktop;     /* how such a notification is written: "9" or "777" (OSC); NULL: the
                                terminal has none, the bell it is */
    enum clip_way way;       /* what lies between */
    enum notify_focus focus; /* of the window */
    uint64_t key_ms;         /* when the last key came; any clock */
    bool told_red;           /* of the run under way */
};

/* Adds the bytes to send for the event, which the model has folded already; mostly none. now_ms is
 * of the same clock as key_ms. */
void notify_event(struct notify *notify, const struct model *model, const struct event *event,
                  uint64_t now_ms, struct buf *out);

#endif
