#include "base/buf.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *buf_reserve(struct buf *buf, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, extra, &need) || need == SIZE_MAX)
        need = SIZE_MAX - 1; /* mem_realloc() aborts on it */
    need++;
    if (need > buf->cap) {
        size_t cap = buf->cap < SIZE_MAX / 2 ? buf->cap * 2 : SIZE_MAX;
        if (cap < need)
            cap = need;
        if (cap < 64)
            cap = 64;
        buf->data = mem_realloc(buf->data, cap, 1);
        buf->cap = cap;
        buf->data[buf->len] = '\0';
    }
    return buf->data + buf->len;
}

void buf_add(struct buf *buf, const void *bytes, size_t n)
{
    char *to = buf_reserve(buf, n);
    if (n)
        memcpy(to, bytes, n);
    to[n] = '\0';
    buf->len += n;
}

void buf_adds(struct buf *buf, const char *string)
{
    buf_add(buf, string, strlen(string));
}

void buf_addc(struct buf *buf, char c)
{
    char *to = buf_reserve(buf, 1);
    to[0] = c;
    to[1] = '\0';
    buf->len++;
}

void buf_vaddf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int n = vsnprintf(room ? buf->data + buf->len : NULL, room, format, args);
    if (n >= 0 && (size_t)n >= room) {
        buf_reserve(buf, (size_t)n);
        n = vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (n > 0)
        buf->len += (size_t)n;
    else if (buf->data)
        buf->data[buf->len] = '\0';
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vaddf(buf, format, args);
    va_end(args);
}

static void add_json_escape(struct buf *buf, uint32_t scalar)
{
    switch (scalar) {
    case '"': buf_add(buf, "\\\"", 2); return;
    case '\\': buf_add(buf, "\\\\", 2); return;
    case '\n': buf_add(buf, "\\n", 2); return;
    case '\r': buf_add(buf, "\\r", 2); return;
    case '\t': buf_add(buf, "\\t", 2); return;
    case '\b': buf_add(buf, "\\b", 2); return;
    case '\f': buf_add(buf, "\\f", 2); return;
    default: buf_addf(buf, "\\u%04x", (unsigned)scalar); return;
    }
}

/* JSON asks for C0 only; DEL and C1 are controls too, and would act on a terminal that the line is
 * printed to. */
static bool is_control(uint32_t scalar)
{
    return scalar < 0x20 || (scalar >= 0x7f && scalar < 0xa0);
}

void buf_add_json(struct buf *buf, const char *bytes, size_t n)
{
    buf_addc(buf, '"');
    size_t plain = 0; /* start of the bytes that go out as they are */
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        uint32_t scalar;
        size_t taken = utf8_decode(bytes + i, n - i, &scalar);
        if (taken && !is_control(scalar) && scalar != '"' && scalar != '\\') {
            i += taken;
            continue;
        }
        buf_add(buf, bytes + plain, i - plain);
        if (taken)
            add_json_escape(buf, scalar);
        else
            buf_adds(buf, "\xef\xbf\xbd");
        i += taken ? taken : 1;
        plain = i;
    }
    buf_add(buf, bytes + plain, n - plain);
    buf_addc(buf, '"');
}

void buf_add_json_str(struct buf *buf, const char *string)
{
    if (string)
        buf_add_json(buf, string, strlen(string));
    else
        buf_adds(buf, "null");
}

/* Besides controls, what reorders or hides its neighbours is not shown as it is: a name must look
 * like what it is. */
static bool is_showable(uint32_t scalar)
{
    if (is_control(scalar))
        return false;
    if (scalar < 0xad)
        return true;
    if (scalar == 0xad || scalar == 0x61c || scalar == 0xfeff)
        return false;
    if (scalar == 0x200b || scalar == 0x200e || scalar == 0x200f)
        return false;
    if ((scalar >= 0x2028 && scalar <= 0x202e) || (scalar >= 0x2060 && scalar <= 0x206f))
        return false;
    if ((scalar >= 0xfdd0 && scalar <= 0xfdef) || (scalar >= 0xfff9 && scalar <= 0xfffb))
        return false;
    return !(scalar >= 0xe0000 && scalar <= 0xe007f) && (scalar & 0xfffe) != 0xfffe;
}

void buf_add_shown(struct buf *buf, const char *bytes, size_t n)
{
    size_t plain = 0;
    for (size_t i = 0; i < n;) {
        uint32_t scalar;
        size_t taken = utf8_decode(bytes + i, n - i, &scalar);
        if (taken && is_showable(scalar)) {
            i += taken;
            continue;
        }
        buf_add(buf, bytes + plain, i - plain);
        for (size_t end = i + (taken ? taken : 1); i < end; i++) {
            if (bytes[i] == '\n')
                buf_add(buf, "\\n", 2);
            else if (bytes[i] == '\t')
                buf_add(buf, "\\t", 2);
            else
                buf_addf(buf, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
        }
        plain = i;
    }
    buf_add(buf, bytes + plain, n - plain);
}

void buf_add_quoted(struct buf *buf, const char *text)
{
    buf_addc(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_adds(buf, "'\\''");
        else
            buf_addc(buf, *text);
    }
    buf_addc(buf, '\'');
}

void buf_add_word(struct buf *buf, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_@%+=:,./-";
    if (*text && !text[strspn(text, plain)])
        buf_adds(buf, text);
    else
        buf_add_quoted(buf, text);
}

void buf_truncate(struct buf *buf, size_t n)
{
    if (n >= buf->len)
        return;
    buf->len = n;
    buf->data[n] = '\0';
}

void buf_reset(struct buf *buf)
{
    buf_truncate(buf, 0);
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_detach(struct buf *buf)
{
    buf_reserve(buf, 0);
    char *data = buf->data;
    *buf = (struct buf)BUF_INIT;
    return data;
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf)BUF_INIT;
}
