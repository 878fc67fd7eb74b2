/*
 * event_reason.c - reasons in words, as all views tell them.
 */
#include "engine/event.h"

#include "base/digest.h"
#include "base/text.h"

#include <string.h>

#define SHORT_HEX  6
#define LINE_VALUE 60 /* of a value in one line */
#define LEAD_IN    12 /* bytes shown before the first difference */
#define CUT        "..."

/* Their names, and what the kinds say that need no values. */
static const struct {
    const char *name, *sentence;
} kinds[REASON_N] = {
    [REASON_NEW] = {"new", "there is no earlier result"},
    [REASON_FILE] = {"file", NULL},
    [REASON_COMMAND] = {"command", NULL},
    [REASON_ENV] = {"env", NULL},
    [REASON_UPSTREAM] = {"upstream", NULL},
    [REASON_SETTINGS] = {"settings", NULL},
    [REASON_FORCED] = {"forced", "somebody asked for it"},
    [REASON_EVICTED] = {"evicted", "its result is not in the cache"},
    [REASON_FAILED] = {"failed", "it failed the last time"},
    [REASON_TAINTED] = {"tainted", "an input changed while it last ran"},
    [REASON_UNCACHEABLE] = {"uncacheable", "its results are never cached"},
};

const char *reason_kind_name(enum reason_kind kind)
{
    return kinds[kind].name;
}

const char *reason_sentence(enum reason_kind kind)
{
    return kinds[kind].sentence;
}

static void add_shown(struct buf *out, const char *text)
{
    buf_add_shown(out, text, strlen(text));
}

/* The last place at or before n where a character begins. */
static size_t char_before(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void add_piece(struct buf *out, const char *value, size_t differs, size_t max)
{
    size_t len = strlen(value), from = 0;
    if (len > max && differs > LEAD_IN)
        from = char_before(value, differs - LEAD_IN);
    size_t n = len - from > max ? char_before(value + from, max) : len - from;
    if (from)
        buf_adds(out, CUT);
    buf_add_shown(out, value + from, n);
    if (from + n < len)
        buf_adds(out, CUT);
}

static void add_value(struct buf *out, const struct reason *reason, const char *value,
                      size_t differs, size_t max)
{
    struct digest digest;
    char hex[DIGEST_HEX + 1];
    bool file = reason->kind == REASON_FILE || reason->kind == REASON_UPSTREAM;
    if (strlen(value) >= DIGEST_HEX) {
        memcpy(hex, value, DIGEST_HEX);
        hex[DIGEST_HEX] = '\0';
    }
    if (strlen(value) >= DIGEST_HEX && (file || !value[DIGEST_HEX]) &&
        digest_parse(hex, 0, &digest)) {
        buf_add(out, value, SHORT_HEX);
        add_shown(out, value + DIGEST_HEX); /* " +x" */
    } else if (file && strncmp(value, "-> ", 3) == 0) {
        buf_adds(out, "link to ");
        add_shown(out, value + 3);
    } else if (!*value) {
        buf_adds(out, "\"\"");
    } else {
        add_piece(out, value, differs, max);
    }
}

void reason_values(const struct reason *reason, size_t max, struct buf *old, struct buf *now)
{
    size_t differs = 0;
    if (reason->old && reason->now) {
        while (reason->old[differs] && reason->old[differs] == reason->now[differs])
            differs++;
    }
    if (reason->old)
        add_value(old, reason, reason->old, differs, max);
    if (reason->now)
        add_value(now, reason, reason->now, differs, max);
}

static void add_change(struct buf *out, const struct reason *reason)
{
    struct buf old = BUF_INIT, now = BUF_INIT;
    reason_values(reason, LINE_VALUE, &old, &now);
    if (reason->old && reason->now)
        buf_addf(out, " %s -> %s", buf_str(&old), buf_str(&now));
    else if (reason->now)
        buf_addf(out, " added %s", buf_str(&now));
    else if (reason->old)
        buf_addf(out, " removed, was %s", buf_str(&old));
    else
        buf_adds(out, " changed");
    buf_release(&old);
    buf_release(&now);
}

static void add_subject(struct buf *out, const char *subject)
{
    if (!subject)
        return;
    buf_addc(out, ' ');
    add_shown(out, subject);
}

void reason_text(const struct reason *reason, struct buf *out)
{
    const char *sentence = kinds[reason->kind].sentence;
    buf_adds(out, kinds[reason->kind].name);
    if (sentence) {
        buf_addf(out, ": %s", sentence);
    } else {
        if (reason->step) {
            add_subject(out, reason->step);
            if (reason->subject)
                buf_addc(out, ':');
        }
        add_subject(out, reason->subject);
        if (reason->kind == REASON_COMMAND && reason->old && reason->now)
            buf_adds(out, " changed:");
        add_change(out, reason);
    }
    const char *more = sentence && reason->subject ? reason->subject : reason->note;
    if (more) {
        buf_adds(out, sentence ? ", " : " (");
        add_shown(out, more);
        buf_adds(out, sentence ? "" : ")");
    }
}
