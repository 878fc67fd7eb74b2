/*
 * keys.h - what a terminal sends, as keys.
 *
 * A machine fed with bytes as they come, in any pieces: UTF-8, control characters, CSI and SS3
 * sequences. Whatever it does not know gives no key. ESC alone is only known to be alone once
 * nothing has followed for a moment: keys_pending() asks for a timer, keys_timeout() says the
 * moment has passed.
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

struct keys {
    unsigned char held[32]; /* the sequence so far */
    size_t n;
    bool overlong; /* longer than any known one: passed over to its end */
};

typedef void key_cb(void *ctx, uint32_t key);

/* Takes n bytes and calls back for each key in them, in order. */
void keys_feed(struct keys *keys, const char *bytes, size_t n, key_cb *cb, void *ctx);
/* True when what came last may go on: wait a moment for more. */
bool keys_pending(const struct keys *keys);
/* Nothing more came: a held ESC is the key, anything else held is dropped. */
void keys_timeout(struct keys *keys, key_cb *cb, void *ctx);
/* The key as people write it: "j", "^D", "PgUp", "F1", "Enter", "]e". Returns out. */
char *key_name(uint32_t key, char out[16]);
/* The key of that name; KEY_NONE when it names none. */
uint32_t key_of_name(const char *name);

#endif
