/*
 * keys.h - what a terminal sends: keys, the mouse, pasted text, whether its window has the focus,
 * and its answers.
 *
 * A machine fed with bytes as they come, in any pieces: UTF-8, control characters, CSI and SS3
 * sequences, strings. Whatever it does not know gives nothing. ESC alone is only known to be alone
 * once nothing has followed for a moment: keys_pending() asks for a timer, keys_timeout() says the
 * moment has passed. What is pasted (between the brackets that terminals put around it) is text,
 * never keys.
 *
 * Ownership: the struct is the caller's, zeroed to start. Loop thread only.
 */
#ifndef KILN_TUI_KEYS_H
#define KILN_TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is a Unicode scalar value (control characters as they are), or one of these. */
enum {
    KEY_NONE = 0,
    KEY_TAB = '\t',
    KEY_ENTER = '\r',
    KEY_ESC = 0x1b,
    KEY_BACKSPACE = 0x7f,
    KEY_UP = 0x110000,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_INSERT,
    KEY_DELETE,
    KEY_BACK_TAB,
    KEY_F1, /* to F12, in a row */
    KEY_F12 = KEY_F1 + 11,
};
/* Two keys, one after the other, both ASCII: "]e". */
#define KEY_PAIR(first, second) (0x1000000U | ((uint32_t)(first) << 8) | (uint32_t)(second))
#define KEY_CTRL(letter)        ((uint32_t)(letter)&0x1f)

struct mouse {
    enum { MOUSE_PRESS, MOUSE_RELEASE, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN, MOUSE_OTHER } what;
    int button; /* of a press: 0 left, 1 middle, 2 right */
    int x, y;   /* from 0 */
};

struct key_input {
    enum {
        INPUT_KEY,
        INPUT_MOUSE,
        INPUT_TEXT,       /* pasted; a long one comes in several */
        INPUT_FOCUS,      /* the window has it now, or not */
        INPUT_MODE,       /* whether the terminal knows that private mode */
        INPUT_BACKGROUND, /* of the terminal */
        INPUT_DEVICE,     /* what it is: it answers in order, so all asked before is answered */
        INPUT_BYTES,      /* raw: what is no key here, or the brackets around what is pasted */
    } kind;
    uint32_t key;
    struct mouse mouse;
    const char *text; /* TEXT and BYTES; KEY: the bytes that it came as, when raw */
    size_t n;
    bool focused;
    int mode;
    bool known;
    bool light; /* the background: text on it should be dark */
};

struct keys {
    unsigned char held[64]; /* the sequence so far */
    size_t n;
    enum {
        SKIP_NONE,
        SKIP_SEQUENCE,
        SKIP_STRING
    } skip;    /* longer than any known one: passed over */
    bool late; /* held is half a report, for whose rest nobody waits */
    bool pasting;
    bool raw; /* the caller's: keys are for somebody else, who takes all that people type */
};
#define KEYS_PASTE_BEGIN "\x1b[200~"
#define KEYS_PASTE_END   "\x1b[201~"

typedef void input_cb(void *ctx, const struct key_input *input);

/* Takes n bytes and calls back for each thing in them, in order. */
void keys_feed(struct keys *keys, const char *bytes, size_t n, input_cb *cb, void *ctx);
/* True when what came last may go on: wait a moment for more. */
bool keys_pending(const struct keys *keys);
/* Nothing more came: a held ESC is the key, anything else held is dropped; but half a report, whose
 * rest over a slow line would be taken for keys, is kept for that. */
void keys_timeout(struct keys *keys, input_cb *cb, void *ctx);
/* The key as people write it: "j", "^D", "PgUp", "F1", "Enter", "]e". Returns out. */
char *key_name(uint32_t key, char out[16]);
/* The key of that name; KEY_NONE when it names none. */
uint32_t key_of_name(const char *name);
/* The i-th of the keys that go by a word: "Up", "Enter"; KEY_NONE: there are no more. */
uint32_t key_named(size_t i);

#endif
