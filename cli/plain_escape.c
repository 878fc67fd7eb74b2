/*
 * plain_escape.c - takes escape sequences out of text (ECMA-48: CSI, OSC and other strings, charset
 * selections), so that a log can neither move the cursor nor change the terminal's state.
 */
#include "cli/plain_private.h"

#include <string.h>

enum {
    TEXT,
    ESCAPE,       /* after ESC */
    INTERMEDIATE, /* ESC and 0x20-0x2f: one final byte follows */
    CSI,          /* ESC [ */
    STRING,       /* ESC ] P X ^ _: up to BEL or ESC \ */
    STRING_ESCAPE /* ESC within a string */
};

#define ESC 0x1b

static bool held_is_color(const struct escape *escape)
{
    for (size_t i = 0; i + 1 < escape->n; i++) {
        if (!memchr("0123456789;:", escape->held[i], 12))
            return false;
    }
    return escape->n > 0 && escape->held[escape->n - 1] == 'm';
}

static void end_csi(struct escape *escape, struct buf *out)
{
    if (escape->keep_color && escape->n <= sizeof escape->held && held_is_color(escape)) {
        buf_adds(out, "\033[");
        buf_add(out, escape->held, escape->n);
    }
    escape->state = TEXT;
}

static void after_escape(struct escape *escape, unsigned char c)
{
    escape->n = 0;
    if (c == '[')
        escape->state = CSI;
    else if (c && strchr("]PX^_", c))
        escape->state = STRING;
    else if (c >= 0x20 && c <= 0x2f)
        escape->state = INTERMEDIATE;
    else
        escape->state = c == ESC ? ESCAPE : TEXT;
}

static void in_csi(struct escape *escape, unsigned char c, struct buf *out)
{
    if (escape->n < sizeof escape->held)
        escape->held[escape->n] = (char)c;
    escape->n++;
    if (c == ESC)
        escape->state = ESCAPE;
    else if (c >= 0x40 && c <= 0x7e)
        end_csi(escape, out);
    else if (c > 0x7e)
        escape->state = TEXT;
}

static void step(struct escape *escape, unsigned char c, struct buf *out)
{
    switch (escape->state) {
    case ESCAPE: after_escape(escape, c); break;
    case INTERMEDIATE:
        if (c < 0x20 || c > 0x2f)
            escape->state = c == ESC ? ESCAPE : TEXT;
        break;
    case CSI: in_csi(escape, c, out); break;
    case STRING:
        if (c == ESC)
            escape->state = STRING_ESCAPE;
        else if (c == '\a')
            escape->state = TEXT;
        break;
    case STRING_ESCAPE:
        if (c == '\\')
            escape->state = TEXT;
        else
            after_escape(escape, c);
        break;
    default: break;
    }
}

void escape_filter(struct escape *escape, const char *bytes, size_t n, struct buf *out)
{
    size_t i = 0;
    while (i < n) {
        if (escape->state == TEXT) {
            const char *next = memchr(bytes + i, ESC, n - i);
            size_t plain = next ? (size_t)(next - bytes) - i : n - i;
            buf_add(out, bytes + i, plain);
            i += plain;
            if (next) {
                escape->state = ESCAPE;
                i++;
            }
        } else if (bytes[i] == '\n') {
            escape->state = TEXT;
        } else {
            step(escape, (unsigned char)bytes[i++], out);
        }
    }
}
