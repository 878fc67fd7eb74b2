/* mask_forms.c - the forms in which programs write a value, as patterns of a mask. */
#include "base/mask.h"

#include "base/crypt.h"
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What it is put together in; wiped behind. */
static void forget(struct buf *buf)
{
    if (buf->data)
        crypt_wipe(buf->data, buf->cap);
    buf_release(buf);
}

static void add(struct mask *mask, struct buf *form)
{
    mask_add(mask, buf_str(form), form->len);
    buf_reset(form);
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* -- URLs -------------------------------------------------------------------------------------- */

/* What encoders leave as it is beside letters and digits, and what they make of a space. */
static const struct url_form {
    const char *kept;
    bool plus;
} url_forms[] = {
    {"-._~", false},                 /* RFC 3986 */
    {"-._~/", false},                /* paths */
    {"-._~!'()*", false},            /* JavaScript's encodeURIComponent */
    {"-._~!'()*;/?:@&=+$,#", false}, /* its encodeURI */
    {"-._*", true},                  /* forms */
    {"-._~", true},
};

static void add_url(struct mask *mask, const char *bytes, size_t n, const struct url_form *form,
                    const char *hex, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (is_plain(c) || (c && strchr(form->kept, c))) {
            buf_addc(out, (char)c);
        } else if (c == ' ' && form->plus) {
            buf_addc(out, '+');
        } else {
            buf_addc(out, '%');
            buf_addc(out, hex[c >> 4]);
            buf_addc(out, hex[c & 15]);
        }
    }
    add(mask, out);
}

/* -- JSON and shells --------------------------------------------------------------------------- */

static void add_json_char(struct buf *out, unsigned char c, bool slash, const char *hex)
{
    static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *place = c ? strchr(named, c) : NULL;
    if (place) {
        buf_addc(out, '\\');
        buf_addc(out, names[place - named]);
    } else if (c == '/' && slash) {
        buf_adds(out, "\\/");
    } else if (c < 0x20) {
        buf_adds(out, "\\u00");
        buf_addc(out, hex[c >> 4]);
        buf_addc(out, hex[c & 15]);
    } else {
        buf_addc(out, (char)c);
    }
}

static void add_unit(struct buf *out, uint32_t unit, const char *hex)
{
    buf_adds(out, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        buf_addc(out, hex[unit >> shift & 15]);
}

/* ascii: what is beyond it becomes \uXXXX, as Python does. */
static void add_json(struct mask *mask, const char *bytes, size_t n, bool slash, bool ascii,
                     const char *hex, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        uint32_t scalar = 0;
        size_t len =
            ascii && (unsigned char)bytes[i] >= 0x80 ? utf8_decode(bytes + i, n - i, &scalar) : 0;
        if (len == 0) {
            add_json_char(out, (unsigned char)bytes[i++], slash, hex);
            continue;
        }
        if (scalar >= 0x10000) {
            add_unit(out, 0xd7c0 + (scalar >> 10), hex);
            scalar = 0xdc00 + (scalar & 0x3ff);
        }
        add_unit(out, scalar, hex);
        i += len;
    }
    add(mask, out);
}

/* Within single quotes, and with backslashes. */
static void add_shell(struct mask *mask, const char *bytes, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, bytes[i]);
    }
    add(mask, out);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (!is_plain(c) && c < 0x80 && !strchr("_-./@%+=:,", c))
            buf_addc(out, '\\');
        buf_addc(out, (char)c);
    }
    add(mask, out);
}

/* -- base64 ------------------------------------------------------------------------------------ */

/* Of longer values there would be too many patterns. */
#define BROKEN_MAX 256

static const char *const alphabets[] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

/* The digits of the bits from first on, as long as they last; the last one filled with zeros. */
static void add_digits(struct buf *out, const char *bytes, size_t n, size_t first,
                       const char *digits)
{
    for (size_t bit = first; bit < n * 8; bit += 6) {
        unsigned two = (unsigned)(uint8_t)bytes[bit / 8] << 8;
        if (bit / 8 + 1 < n)
            two |= (uint8_t)bytes[bit / 8 + 1];
        buf_addc(out, digits[two >> (10 - bit % 8) & 63]);
    }
}

/* A value that stands behind `before` (0, 1, 2) bytes of a group of three: the digits that are its
 * own alone; with the digit that it shares with what follows, when nothing does; and padded. */
static void add_aligned(struct mask *mask, const char *bytes, size_t n, size_t before,
                        const char *digits, struct buf *out)
{
    size_t first = before == 1 ? 4 : before == 2 ? 2 : 0; /* bits of a digit shared before it */
    if (n * 8 < first)
        return;
    add_digits(out, bytes, n, first, digits);
    size_t own = (n * 8 - first) / 6;
    mask_add(mask, buf_str(out), own);
    mask_add(mask, buf_str(out), out->len);
    for (size_t all = before + n; all % 3 != 0; all++)
        buf_addc(out, '=');
    add(mask, out);
}

/* What tools break into lines of 76 or 64 digits. */
static void add_lines_of(struct mask *mask, const char *bytes, size_t n, size_t each,
                         const char *digits, struct buf *out)
{
    for (size_t at = 0; at < n && n > each; at += each) {
        size_t piece = n - at < each ? n - at : each;
        add_digits(out, bytes + at, piece, 0, digits);
        if (piece < 6) /* its digits are too common to be hidden by themselves */
            buf_reset(out);
        for (size_t all = piece; out->len && all % 3 != 0; all++)
            buf_addc(out, '=');
        add(mask, out);
    }
}

/* A value in the midst of a longer text: a line may end behind any of its digits. */
static void add_broken(struct mask *mask, const char *bytes, size_t n, size_t before, size_t each,
                       const char *digits, struct buf *out)
{
    size_t first = before == 1 ? 4 : before == 2 ? 2 : 0;
    size_t own = n > BROKEN_MAX ? 0 : (n * 8 - first) / 6;
    char all[2 * BROKEN_MAX];
    add_digits(out, bytes, own ? n : 0, first, digits);
    memcpy(all, buf_str(out), own);
    buf_reset(out);
    for (size_t line = 1; line < own && line <= each; line++) {
        for (size_t at = 0; at < own; at++) {
            if (at >= line && (at - line) % each == 0)
                buf_addc(out, '\n');
            buf_addc(out, all[at]);
        }
        add(mask, out);
    }
    crypt_wipe(all, sizeof all);
}

static void add_base64(struct mask *mask, const char *bytes, size_t n, struct buf *out)
{
    for (size_t i = 0; i < 2; i++) {
        for (size_t before = 0; before < 3; before++)
            add_aligned(mask, bytes, n, before, alphabets[i], out);
        add_lines_of(mask, bytes, n, 57, alphabets[i], out);
        add_lines_of(mask, bytes, n, 48, alphabets[i], out);
    }
}

/* -- all --------------------------------------------------------------------------------------- */

static void add_forms(struct mask *mask, const char *bytes, size_t n, struct buf *out)
{
    static const char *const hex[] = {"0123456789ABCDEF", "0123456789abcdef"};
    if (n < MASK_LEAST)
        return;
    mask_add(mask, bytes, n);
    add_shell(mask, bytes, n, out);
    for (size_t h = 0; h < 2; h++) {
        for (size_t i = 0; i < sizeof url_forms / sizeof *url_forms; i++)
            add_url(mask, bytes, n, &url_forms[i], hex[h], out);
        for (int kind = 0; kind < 4; kind++)
            add_json(mask, bytes, n, kind & 1, kind & 2, hex[h], out);
    }
    add_base64(mask, bytes, n, out);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Of the whole value alone: there are many such patterns. */
static void add_all_broken(struct mask *mask, const char *bytes, size_t n, struct buf *out)
{
    for (size_t i = 0; n >= MASK_LEAST && i < 2; i++) {
        for (size_t before = 0; before < 3; before++) {
            add_broken(mask, bytes, n, before, 76, alphabets[i], out);
            add_broken(mask, bytes, n, before, 64, alphabets[i], out);
        }
    }
}

/* Without blanks around it: that is how most programs take it up. */
static void add_trimmed(struct mask *mask, const char *bytes, size_t n, bool whole, struct buf *out)
{
    size_t from = 0;
    while (from < n && is_space(bytes[from]))
        from++;
    while (n > from && is_space(bytes[n - 1]))
        n--;
    add_forms(mask, bytes + from, n - from, out);
    if (whole)
        add_all_broken(mask, bytes + from, n - from, out);
}

void mask_add_secret(struct mask *mask, const char *bytes, size_t n)
{
    struct buf out = BUF_INIT;
    buf_reserve(&out,
                6 * n + 64); /* of the longest form: it is not moved, and so not left behind */
    if (n >= MASK_LEAST)     /* blanks around it cannot be told from others but here */
        add_base64(mask, bytes, n, &out);
    add_trimmed(mask, bytes, n, true, &out);
    for (size_t at = 0; at < n;) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t len = end ? (size_t)(end - bytes) - at : n - at;
        add_trimmed(mask, bytes + at, len, false, &out);
        at += len + 1;
    }
    forget(&out);
}
