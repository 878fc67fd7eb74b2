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

static bool is_string(unsigned char second)
{
    return second == ']' || second == 'P' || second == '_' || second == '^' || second == 'X';
}

static enum progress look(const struct keys *keys)
{
    const unsigned char *held = keys->held;
    size_t n = keys->n;
    unsigned char last = held[n - 1];
    if (held[0] != 0x1b) {
        size_t need = held[0] < 0xc2 ? 1 : held[0] < 0xe0 ? 2 : held[0] < 0xf0 ? 3 : 4;
        return held[0] > 0xf4 || n >= need ? WHOLE : MORE;
    }
    if (n == 1)
        return MORE;
    if (held[1] == 'O')
        return n < 3 ? MORE : WHOLE;
    if (is_string(held[1]))
        return n > 2 && last < 0x20 ? WHOLE : MORE;
    if (held[1] != '[')
        return JUNK; /* ESC and a plain key: Alt, which means nothing here */
    if (n == 2)
        return MORE;
    if (held[2] == '[') /* the Linux console's F1 to F5 */
        return n < 4 ? MORE : WHOLE;
    if (held[2] == 'M') /* the mouse, as terminals of old tell of it: three bytes follow */
        return n < 6 ? MORE : WHOLE;
    if (last >= 0x40 && last <= 0x7e)
        return WHOLE;
    return last >= 0x20 && last <= 0x3f ? MORE : JUNK;
}

/* The numbers of "1;2;3"; how many there are, 0 where it is something else. Stops at what follows
 * them. */
static size_t numbers(const char **text, int *out, size_t max)
{
    size_t n = 0;
    while (**text >= '0' && **text <= '9') {
        int value = 0;
        for (; **text >= '0' && **text <= '9'; ++*text)
            value = value < 100000 ? value * 10 + (**text - '0') : value;
        if (n < max)
            out[n++] = value;
        if (**text == ';')
            ++*text;
    }
    return n;
}

static bool take_mouse(int code, int x, int y, bool released, struct key_input *input)
{
    struct mouse *mouse = &input->mouse;
    input->kind = INPUT_MOUSE;
    mouse->x = x - 1;
    mouse->y = y - 1;
    mouse->button = code & 3;
    if (code & 64)
        mouse->what = released          ? MOUSE_OTHER
                      : (code & 3) == 0 ? MOUSE_WHEEL_UP
                      : (code & 3) == 1 ? MOUSE_WHEEL_DOWN
                                        : MOUSE_OTHER;
    else if (code & (32 | 128))
        mouse->what = MOUSE_OTHER;
    else
        mouse->what = released || (code & 3) == 3 ? MOUSE_RELEASE : MOUSE_PRESS;
    return x > 0 && y > 0;
}

/* "rgb:ffff/ffff/ffff", of one to four digits each. */
static bool take_background(const char *text, struct key_input *input)
{
    static const int weights[] = {299, 587, 114};
    int sum = 0;
    if (strncmp(text, "rgb:", 4) != 0)
        return false;
    text += 4;
    for (int i = 0; i < 3; i++) {
        long value = 0, most = 0;
        for (; *text && *text != '/'; text++) {
            const char *digits = "0123456789abcdef0123456789ABCDEF";
            const char *digit = strchr(digits, *text);
            if (!digit || most > 0xfff)
                return false;
            value = value * 16 + (digit - digits) % 16;
            most = most * 16 + 15;
        }
        if (most == 0 || (i < 2 && *text++ != '/'))
            return false;
        sum += weights[i] * (int)(value * 255 / most);
    }
    input->kind = INPUT_BACKGROUND;
    input->light = sum > 127500;
    return true;
}

/* What follows "ESC [" and is no key: reports and answers. */
static bool take_report(const char *text, struct key_input *input)
{
    int n[3];
    if (text[0] == 'M' && strlen(text) >= 4) {
        const unsigned char *at = (const unsigned char *)text + 1;
        return take_mouse(at[0] - 32, at[1] - 32, at[2] - 32, false, input);
    }
    if (text[0] == '<') {
        text++;
        return numbers(&text, n, 3) == 3 && (*text == 'M' || *text == 'm') &&
               take_mouse(n[0], n[1], n[2], *text == 'm', input);
    }
    if (strcmp(text, "I") == 0 || strcmp(text, "O") == 0) {
        input->kind = INPUT_FOCUS;
        input->focused = text[0] == 'I';
        return true;
    }
    if (text[0] != '?')
        return false;
    text++;
    size_t count = numbers(&text, n, 2);
    if (count == 2 && strcmp(text, "$y") == 0) {
        input->kind = INPUT_MODE;
        input->mode = n[0];
        input->known = n[1] == 1 || n[1] == 2;
        return true;
    }
    input->kind = INPUT_DEVICE;
    return count > 0 && strcmp(text, "c") == 0;
}

static bool take(struct keys *keys, struct key_input *input)
{
    char *held = (char *)keys->held;
    *input = (struct key_input){.kind = INPUT_KEY};
    if (held[0] != 0x1b) {
        uint32_t scalar;
        if (utf8_decode(held, keys->n, &scalar) == 0)
            return false;
        input->key = scalar == '\n' ? KEY_ENTER : scalar == '\b' ? KEY_BACKSPACE : scalar;
        return scalar != 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].sequence) == keys->n - 1 &&
            memcmp(known[i].sequence, held + 1, keys->n - 1) == 0) {
            input->key = known[i].key;
            return true;
        }
    }
    held[keys->n] = '\0'; /* there is room: a full one is passed over */
    if (held[1] == '[' && strcmp(held, KEYS_PASTE_BEGIN) == 0)
        keys->pasting = true;
    else if (held[1] == '[')
        return take_report(held + 2, input);
    else if (held[1] == ']') {
        held[keys->n - 1] = '\0';
        return strncmp(held + 2, "11;", 3) == 0 && take_background(held + 5, input);
    }
    return false;
}

/* Raw: what is held is no key that is known here, but one all the same, unless only terminals send
 * such things. */
static void hand_on(struct keys *keys, input_cb *cb, void *ctx)
{
    const unsigned char *held = keys->held;
    bool escape = held[0] == 0x1b && keys->n > 1;
    bool report = escape && (is_string(held[1]) || held[1] == '\\' || /* the end of one */
                             (held[1] == '[' && keys->n > 2 && memchr("?<>M", held[2], 4)));
    struct key_input input = {.kind = INPUT_BYTES, .text = (const char *)held, .n = keys->n};
    if (keys->raw && keys->n > 0 && !report)
        cb(ctx, &input);
}

static void finish(struct keys *keys, input_cb *cb, void *ctx)
{
    struct key_input input;
    bool is = take(keys, &input);
    if (is && keys->raw && input.kind == INPUT_KEY) {
        input.text = (const char *)keys->held;
        input.n = keys->n;
    }
    if (is)
        cb(ctx, &input);
    else
        hand_on(keys, cb, ctx);
    keys->n = 0;
}

static void escape_key(input_cb *cb, void *ctx)
{
    cb(ctx, &(struct key_input){.kind = INPUT_KEY, .key = KEY_ESC, .text = "\x1b", .n = 1});
}

/* Half of what only a terminal sends: a report of the mouse, or an answer. */
static bool is_half_report(const struct keys *keys)
{
    const unsigned char *held = keys->held;
    return keys->n >= 3 && held[0] == 0x1b && !keys->pasting &&
           ((held[1] == '[' && (held[2] == '<' || held[2] == '?')) || held[1] == ']');
}

/* Whether that may be more of it. */
static bool goes_on(const struct keys *keys, unsigned char byte)
{
    const char *more =
        keys->held[1] == '[' ? "0123456789;$Mmyc\x1b" : "0123456789abcdefABCDEFrg:;/\a\x1b";
    return byte && strchr(more, byte);
}

static void feed_byte(struct keys *keys, unsigned char byte, input_cb *cb, void *ctx)
{
    if (keys->late && !goes_on(keys, byte))
        keys->n = 0;
    keys->late = false;
    if (keys->skip != SKIP_NONE) {
        bool last = keys->skip == SKIP_STRING ? byte < 0x20 : byte < 0x20 || byte >= 0x40;
        if (last)
            keys->skip = SKIP_NONE;
        if (!last || byte != 0x1b)
            return;
    }
    /* ESC starts anew wherever it comes; two in a row are the key and a start. It also ends a
     * string, and what then follows of its end is Alt and a key: nothing. */
    if (byte == 0x1b && keys->n > 0) {
        if (keys->n == 1 && keys->held[0] == 0x1b)
            escape_key(cb, ctx);
        else if (keys->n > 1 && keys->held[0] == 0x1b && is_string(keys->held[1])) {
            keys->held[keys->n++] = byte;
            finish(keys, cb, ctx);
        }
        keys->n = 0;
    }
    if (keys->n > 0 && keys->held[0] >= 0x80 && (byte & 0xc0) != 0x80)
        keys->n = 0; /* a cut-off character is dropped, what follows it is not */
    keys->held[keys->n++] = byte;
    enum progress progress = look(keys);
    if (progress == WHOLE)
        finish(keys, cb, ctx);
    else if (progress == JUNK) {
        hand_on(keys, cb, ctx);
        keys->n = 0;
    } else if (keys->n == sizeof keys->held - 1) {
        keys->skip = is_string(keys->held[1]) ? SKIP_STRING : SKIP_SEQUENCE;
        keys->n = 0;
    }
}

/* Takes what is pasted, up to its end; returns how many bytes that were. */
static size_t feed_paste(struct keys *keys, const char *bytes, size_t n, input_cb *cb, void *ctx)
{
    struct key_input input = {.kind = INPUT_TEXT};
    size_t i = 0;
    while (i < n && keys->pasting) {
        /* Held is what may be the start of the end. */
        if (bytes[i] == KEYS_PASTE_END[keys->n]) {
            keys->held[keys->n++] = (unsigned char)bytes[i++];
            if (keys->n == strlen(KEYS_PASTE_END)) {
                hand_on(keys, cb, ctx);
                keys->n = 0;
                keys->pasting = false;
            }
            continue;
        }
        if (keys->n > 0) {
            input.text = KEYS_PASTE_END;
            input.n = keys->n;
            keys->n = 0;
            cb(ctx, &input);
            continue;
        }
        input.text = bytes + i;
        const char *esc = memchr(bytes + i, 0x1b, n - i);
        input.n = esc ? (size_t)(esc - input.text) : n - i;
        i += input.n;
        cb(ctx, &input);
    }
    return i;
}

void keys_feed(struct keys *keys, const char *bytes, size_t n, input_cb *cb, void *ctx)
{
    for (size_t i = 0; i < n;) {
        if (keys->pasting)
            i += feed_paste(keys, bytes + i, n - i, cb, ctx);
        else
            feed_byte(keys, (unsigned char)bytes[i++], cb, ctx);
    }
}

bool keys_pending(const struct keys *keys)
{
    return (keys->n > 0 && !keys->late) || keys->skip != SKIP_NONE;
}

void keys_timeout(struct keys *keys, input_cb *cb, void *ctx)
{
    bool alone = keys->n == 1 && keys->held[0] == 0x1b;
    keys->late = is_half_report(keys);
    if (!keys->late && !alone && !keys->pasting)
        hand_on(keys, cb, ctx);
    if (!keys->late)
        keys->n = 0;
    keys->skip = SKIP_NONE;
    if (alone && !keys->pasting)
        escape_key(cb, ctx);
    /* The end of what was pasted was lost: ESC leads out of it. */
    if (alone)
        keys->pasting = false;
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

uint32_t key_named(size_t i)
{
    static const uint32_t plain[] = {KEY_TAB, KEY_ENTER, KEY_ESC, KEY_BACKSPACE, ' '};
    const size_t special = KEY_F12 - KEY_UP + 1;
    if (i < special)
        return KEY_UP + (uint32_t)i;
    return i - special < sizeof plain / sizeof *plain ? plain[i - special] : KEY_NONE;
}

uint32_t key_of_name(const char *name)
{
    char text[16];
    uint32_t scalar, key;
    size_t n = strlen(name);
    for (size_t i = 0; (key = key_named(i)) != KEY_NONE; i++)
        if (strcmp(key_name(key, text), name) == 0)
            return key;
    if (n == 2 && name[0] == '^' && name[1] >= '@' && name[1] <= '_')
        return KEY_CTRL(name[1]);
    if (n == 2 && name[0] > ' ' && name[0] < 0x7f && name[1] > ' ' && name[1] < 0x7f)
        return KEY_PAIR(name[0], name[1]);
    return n > 0 && utf8_decode(name, n, &scalar) == n && scalar > ' ' ? scalar : KEY_NONE;
}
