#include "tui/keys.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *sequence; /* without its ESC */
    uint32_t key;
} known[] = {
    {"[A", KEY_UP},       {"[B", KEY_DOWN},      {"[C", KEY_RIGHT},     {"[D", KEY_LEFT},
    {"OA", KEY_UP},       {"OB", KEY_DOWN},      {"OC", KEY_RIGHT},     {"OD", KEY_LEFT},
    {"[H", KEY_HOME},     {"[F", KEY_END},       {"OH", KEY_HOME},      {"OF", KEY_END},
    {"[1~", KEY_HOME},    {"[4~", KEY_END},      {"[7~", KEY_HOME},     {"[8~", KEY_END},
    {"[2~", KEY_INSERT},  {"[3~", KEY_DELETE},   {"[5~", KEY_PAGE_UP},  {"[6~", KEY_PAGE_DOWN},
    {"[Z", KEY_BACK_TAB}, {"OM", KEY_ENTER},     {"OP", KEY_F1},        {"OQ", KEY_F1 + 1},
    {"OR", KEY_F1 + 2},   {"OS", KEY_F1 + 3},    {"[P", KEY_F1},        {"[Q", KEY_F1 + 1},
    {"[R", KEY_F1 + 2},   {"[S", KEY_F1 + 3},    {"[[A", KEY_F1},       {"[[B", KEY_F1 + 1},
    {"[[C", KEY_F1 + 2},  {"[[D", KEY_F1 + 3},   {"[[E", KEY_F1 + 4},   {"[11~", KEY_F1},
    {"[12~", KEY_F1 + 1}, {"[13~", KEY_F1 + 2},  {"[14~", KEY_F1 + 3},  {"[15~", KEY_F1 + 4},
    {"[17~", KEY_F1 + 5}, {"[18~", KEY_F1 + 6},  {"[19~", KEY_F1 + 7},  {"[20~", KEY_F1 + 8},
    {"[21~", KEY_F1 + 9}, {"[23~", KEY_F1 + 10}, {"[24~", KEY_F1 + 11},
};

/* Whether the held bytes are whole, need more, or never will be anything. */
enum progress { MORE, WHOLE, JUNK };

static enum progress look(const struct keys *keys)
{
    const unsigned char *held = keys->held;
    size_t n = keys->n;
    if (held[0] != 0x1b) {
        size_t need = held[0] < 0xc2 ? 1 : held[0] < 0xe0 ? 2 : held[0] < 0xf0 ? 3 : 4;
        return held[0] > 0xf4 || n >= need ? WHOLE : MORE;
    }
    if (n == 1)
        return MORE;
    if (held[1] == 'O')
        return n < 3 ? MORE : WHOLE;
    if (held[1] != '[')
        return JUNK; /* ESC and a plain key: Alt, which means nothing here */
    if (n == 2)
        return MORE;
    if (n >= 3 && held[2] == '[') /* the Linux console's F1 to F5 */
        return n < 4 ? MORE : WHOLE;
    unsigned char last = held[n - 1];
    if (last >= 0x40 && last <= 0x7e)
        return WHOLE;
    return last >= 0x20 && last <= 0x3f ? MORE : JUNK;
}

static uint32_t meaning(const struct keys *keys)
{
    const char *held = (const char *)keys->held;
    if (held[0] != 0x1b) {
        uint32_t scalar;
        if (utf8_decode(held, keys->n, &scalar) == 0)
            return KEY_NONE;
        if (scalar == '\n')
            return KEY_ENTER;
        return scalar == '\b' ? KEY_BACKSPACE : scalar;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].sequence) == keys->n - 1 &&
            memcmp(known[i].sequence, held + 1, keys->n - 1) == 0)
            return known[i].key;
    return KEY_NONE;
}

static void feed_byte(struct keys *keys, unsigned char byte, key_cb *cb, void *ctx)
{
    if (keys->overlong) {
        keys->overlong = !(byte >= 0x40 && byte <= 0x7e) && byte >= 0x20;
        return;
    }
    /* ESC starts anew wherever it comes; two in a row are the key and a start. */
    if (byte == 0x1b && keys->n > 0) {
        bool alone = keys->n == 1 && keys->held[0] == 0x1b;
        keys->n = 0;
        if (alone)
            cb(ctx, KEY_ESC);
    }
    if (keys->n > 0 && keys->held[0] >= 0x80 && (byte & 0xc0) != 0x80)
        keys->n = 0; /* a cut-off character is dropped, what follows it is not */
    keys->held[keys->n++] = byte;
    enum progress progress = look(keys);
    if (progress == MORE) {
        if (keys->n == sizeof keys->held) {
            keys->n = 0;
            keys->overlong = true;
        }
        return;
    }
    uint32_t key = progress == WHOLE ? meaning(keys) : KEY_NONE;
    keys->n = 0;
    if (key != KEY_NONE)
        cb(ctx, key);
}

void keys_feed(struct keys *keys, const char *bytes, size_t n, key_cb *cb, void *ctx)
{
    for (size_t i = 0; i < n; i++)
        feed_byte(keys, (unsigned char)bytes[i], cb, ctx);
}

bool keys_pending(const struct keys *keys)
{
    return keys->n > 0 || keys->overlong;
}

void keys_timeout(struct keys *keys, key_cb *cb, void *ctx)
{
    bool alone = keys->n == 1 && keys->held[0] == 0x1b;
    keys->n = 0;
    keys->overlong = false;
    if (alone)
        cb(ctx, KEY_ESC);
}

char *key_name(uint32_t key, char out[16])
{
    static const char *const names[] = {"Up",   "Down", "Left", "Right",  "Home", "End",
                                        "PgUp", "PgDn", "Ins",  "Delete", "S-Tab"};
    if (key >= KEY_F1 && key <= KEY_F12)
        snprintf(out, 16, "F%u", (unsigned)(key - KEY_F1 + 1));
    else if (key >= KEY_PAIR(0, 0))
        snprintf(out, 16, "%c%c", (char)(key >> 8 & 0x7f), (char)(key & 0x7f));
    else if (key >= KEY_UP && key < KEY_F1)
        snprintf(out, 16, "%s", names[key - KEY_UP]);
    else if (key == KEY_TAB)
        snprintf(out, 16, "Tab");
    else if (key == KEY_ENTER)
        snprintf(out, 16, "Enter");
    else if (key == KEY_ESC)
        snprintf(out, 16, "Esc");
    else if (key == KEY_BACKSPACE)
        snprintf(out, 16, "Bksp");
    else if (key == ' ')
        snprintf(out, 16, "Space");
    else if (key < 0x20)
        snprintf(out, 16, "^%c", (char)(key + 0x40));
    else
        out[key > 0x10ffff ? 0 : utf8_encode(key, out)] = '\0';
    return out;
}

uint32_t key_of_name(const char *name)
{
    static const uint32_t plain[] = {KEY_TAB, KEY_ENTER, KEY_ESC, KEY_BACKSPACE, ' '};
    char text[16];
    uint32_t scalar;
    size_t n = strlen(name);
    for (uint32_t key = KEY_UP; key <= KEY_F12; key++)
        if (strcmp(key_name(key, text), name) == 0)
            return key;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(key_name(plain[i], text), name) == 0)
            return plain[i];
    if (n == 2 && name[0] == '^' && name[1] >= '@' && name[1] <= '_')
        return KEY_CTRL(name[1]);
    if (n == 2 && name[0] > ' ' && name[0] < 0x7f && name[1] > ' ' && name[1] < 0x7f)
        return KEY_PAIR(name[0], name[1]);
    return n > 0 && utf8_decode(name, n, &scalar) == n && scalar > ' ' ? scalar : KEY_NONE;
}
