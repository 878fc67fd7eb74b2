#include "tui/clip.h"

#include "base/crypt.h"

#include <stdlib.h>
#include <string.h>

/* screen takes so many bytes of a string. */
#define SCREEN_PIECE ((size_t)700)

enum clip_way clip_way(const char *term, const char *tmux, const char *sty)
{
    if (!term || strcmp(term, "linux") == 0 || strncmp(term, "vt", 2) == 0 ||
        strncmp(term, "cons", 4) == 0)
        return CLIP_NONE;
    if ((tmux && *tmux) || strncmp(term, "tmux", 4) == 0)
        return CLIP_TMUX;
    if ((sty && *sty) || strncmp(term, "screen", 6) == 0)
        return CLIP_SCREEN;
    return CLIP_PLAIN;
}

void clip_write(enum clip_way way, const char *text, size_t n, struct buf *out)
{
    struct buf plain = BUF_INIT;
    if (way == CLIP_NONE)
        return;
    buf_adds(&plain, "\x1b]52;c;");
    char *digits = crypt_base64(text, n);
    buf_adds(&plain, digits);
    free(digits);
    buf_addc(&plain, '\a');
    if (way == CLIP_SCREEN) {
        for (size_t at = 0; at < plain.len; at += SCREEN_PIECE) {
            size_t piece = plain.len - at < SCREEN_PIECE ? plain.len - at : SCREEN_PIECE;
            buf_adds(out, "\x1bP");
            buf_add(out, plain.data + at, piece);
            buf_adds(out, "\x1b\\");
        }
    } else {
        buf_add(out, plain.data, plain.len);
    }
    if (way == CLIP_TMUX) {
        /* Where tmux does not take it from programs, but lets them through. */
        buf_adds(out, "\x1bPtmux;\x1b");
        buf_add(out, plain.data, plain.len);
        buf_adds(out, "\x1b\\");
    }
    buf_release(&plain);
}
