/* explain.c - why a step would run, or what its hit is based on: in words, and as JSON. */
#include "cli/cli.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum { KIND_WIDTH = 12, MOST_SUBJECT = 40, LONG_VALUE = 400 };

#define GREEN "32"
#define RED   "31"
#define BOLD  "1"
#define DIM   "2"

static void paint(struct buf *out, const struct explain_style *style, const char *code,
                  const char *text)
{
    if (style->color && *text)
        buf_addf(out, "\033[%sm%s\033[0m", code, text);
    else
        buf_adds(out, text);
}

static void pad(struct buf *out, int n)
{
    for (; n > 0; n--)
        buf_addc(out, ' ');
}

/* As most terminals show it. */
static int columns(const struct buf *text)
{
    int n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += (text->data[i] & 0xc0) != 0x80;
    return n;
}

/* What the second column says: "src/a.c", "build: out/app". */
static void add_subject(struct buf *out, const struct reason *reason)
{
    if (reason->step)
        buf_add_shown(out, reason->step, strlen(reason->step));
    if (reason->step && reason->subject)
        buf_adds(out, ": ");
    if (reason->subject)
        buf_add_shown(out, reason->subject, strlen(reason->subject));
}

/* Long values stand under each other, so that the eye finds what differs. */
static void add_long(struct buf *out, const struct explain_style *style, int indent,
                     const char *old, const char *now)
{
    buf_addc(out, '\n');
    pad(out, indent + 4);
    paint(out, style, RED, "- ");
    paint(out, style, RED, old);
    buf_addc(out, '\n');
    pad(out, indent + 4);
    paint(out, style, GREEN, "+ ");
    paint(out, style, GREEN, now);
}

static void add_change(struct buf *out, const struct reason *reason,
                       const struct explain_style *style, int indent, int room)
{
    struct buf old = BUF_INIT, now = BUF_INIT;
    int longest = style->width > indent + 20 ? style->width - indent - 16 : LONG_VALUE;
    reason_values(reason, (size_t)longest, &old, &now);
    if (reason->old && reason->now && (int)(old.len + now.len) + 4 > room) {
        add_long(out, style, indent, buf_str(&old), buf_str(&now));
    } else if (reason->old && reason->now) {
        paint(out, style, RED, buf_str(&old));
        buf_adds(out, " -> ");
        paint(out, style, GREEN, buf_str(&now));
    } else if (reason->now) {
        buf_adds(out, "added ");
        paint(out, style, GREEN, buf_str(&now));
    } else if (reason->old) {
        buf_adds(out, "removed, was ");
        paint(out, style, RED, buf_str(&old));
    } else {
        buf_adds(out, "changed");
    }
    buf_release(&old);
    buf_release(&now);
}

static void add_reason(struct buf *out, const struct reason *reason,
                       const struct explain_style *style, int indent, int column)
{
    const char *kind = reason_kind_name(reason->kind);
    const char *sentence = reason_sentence(reason->kind);
    struct buf subject = BUF_INIT;
    add_subject(&subject, reason);
    pad(out, indent);
    paint(out, style, DIM, kind);
    pad(out, KIND_WIDTH - (int)strlen(kind));
    if (sentence) {
        buf_adds(out, sentence);
        if (subject.len)
            buf_addf(out, ", %s", subject.data);
        if (reason->note)
            buf_addf(out, ", %s", reason->note);
    } else {
        int width = columns(&subject);
        int room = (style->width ? style->width : 100) - indent - KIND_WIDTH - column - 2;
        paint(out, style, BOLD, buf_str(&subject));
        if (subject.len)
            pad(out, column - width + 2 > 2 ? column - width + 2 : 2);
        add_change(out, reason, style, indent, subject.len ? room : room + column);
        if (reason->note) {
            struct buf note = BUF_INIT;
            buf_addf(&note, "  (%s)", reason->note);
            paint(out, style, DIM, buf_str(&note));
            buf_release(&note);
        }
    }
    buf_addc(out, '\n');
    buf_release(&subject);
}

void explain_reasons(struct buf *out, const struct plan_step *step,
                     const struct explain_style *style, int indent)
{
    size_t n = step->n_reasons < style->most ? step->n_reasons : style->most;
    int column = 0;
    for (size_t i = 0; i < n; i++) {
        struct buf subject = BUF_INIT;
        if (!reason_sentence(step->reasons[i].kind))
            add_subject(&subject, &step->reasons[i]);
        int width = columns(&subject) < MOST_SUBJECT ? columns(&subject) : MOST_SUBJECT;
        column = width > column ? width : column;
        buf_release(&subject);
    }
    for (size_t i = 0; i < n; i++)
        add_reason(out, &step->reasons[i], style, indent, column);
    if (step->all_reasons > n) {
        pad(out, indent);
        buf_addf(out, "and %zu more\n", step->all_reasons - n);
    }
    if (step->error) {
        pad(out, indent);
        paint(out, style, RED, step->error);
        buf_addc(out, '\n');
    }
}

/* "2 m ago" says more than a time, which --json has. */
static void add_ago(struct buf *out, uint64_t then_ns, const struct explain_style *style)
{
    char text[32];
    if (then_ns > style->now_ns) /* the clock has been set back */
        buf_adds(out, text_time(then_ns, text));
    else
        buf_addf(out, "%s ago", text_duration((style->now_ns - then_ns) / 1000000, text));
}

static void add_cached(struct buf *out, const struct plan_step *step,
                       const struct explain_style *style)
{
    char text[32];
    paint(out, style, BOLD, step->name);
    buf_adds(out, " is up to date: its result is in the cache.\n  ");
    if (step->made_ns) {
        buf_adds(out, "made        ");
        add_ago(out, step->made_ns, style);
        buf_addf(out, ", at %.19sZ", text_time(step->made_ns, text));
        if (step->made_by)
            buf_addf(out, ", by %s", step->made_by);
        buf_addf(out, "\n  took        %s\n  ", text_duration(step->made_ms, text));
    }
    buf_addf(out, "key         %s\n", step->key);
}

void explain_step(struct buf *out, const struct plan_step *step, const struct explain_style *style,
                  const char *const *needs, size_t n_needs)
{
    if (step->state == PLAN_CACHED) {
        add_cached(out, step, style);
        return;
    }
    paint(out, style, BOLD, step->name);
    if (step->image) {
        buf_addf(out,
                 " waits: kiln.lock does not say yet what its image %s is; kiln run looks that "
                 "up.\n",
                 step->image);
        return;
    }
    if (step->state == PLAN_PENDING) {
        buf_adds(out, " waits: whether it runs depends on what these give:\n");
        for (size_t i = 0; i < n_needs; i++)
            buf_addf(out, "  %s\n", needs[i]);
        buf_adds(out, "kiln plan tells why those run.\n");
        return;
    }
    if (step->error) {
        buf_adds(out, " cannot run:\n");
    } else if (step->since_run && step->n_reasons && step->reasons[0].kind != REASON_NEW) {
        buf_addf(out, " would run. Since run %s, where it %s, ", step->since_run,
                 strcmp(step->since_status, "tainted") == 0 ? "was disturbed" : step->since_status);
        add_ago(out, step->since_ns, style);
        buf_adds(out, ":\n");
    } else {
        buf_adds(out, " would run:\n");
    }
    explain_reasons(out, step, style, 2);
}

static void add_time(struct buf *out, const char *name, uint64_t ns)
{
    char text[32];
    buf_addf(out, "\"%s\":\"%s\"", name, text_time(ns, text));
}

void explain_json(struct buf *out, const struct plan_step *step)
{
    buf_adds(out, "\"reasons\":[");
    for (size_t i = 0; i < step->n_reasons; i++) {
        const struct reason *r = &step->reasons[i];
        buf_addf(out, "%s{\"kind\":\"%s\",\"subject\":", i ? "," : "", reason_kind_name(r->kind));
        buf_add_json_str(out, r->subject);
        if (r->step) {
            buf_adds(out, ",\"step\":");
            buf_add_json_str(out, r->step);
        }
        buf_adds(out, ",\"old\":");
        buf_add_json_str(out, r->old);
        buf_adds(out, ",\"new\":");
        buf_add_json_str(out, r->now);
        if (r->note) {
            buf_adds(out, ",\"note\":");
            buf_add_json_str(out, r->note);
        }
        buf_addc(out, '}');
    }
    buf_addf(out, "],\"reasons_total\":%zu", step->all_reasons);
    if (step->since_run) {
        buf_adds(out, ",\"since\":{\"run\":");
        buf_add_json_str(out, step->since_run);
        buf_addf(out, ",\"status\":\"%s\",", step->since_status);
        add_time(out, "time", step->since_ns);
        buf_addc(out, '}');
    }
    if (step->made_ns) {
        buf_adds(out, ",\"result\":{\"by\":");
        buf_add_json_str(out, step->made_by);
        buf_addc(out, ',');
        add_time(out, "time", step->made_ns);
        buf_addf(out, ",\"duration_ms\":%" PRIu64 "}", step->made_ms);
    }
}
