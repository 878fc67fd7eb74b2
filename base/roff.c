#include "base/roff.h"

#include <stdbool.h>
#include <string.h>

#define WIDTH 78

static void add_char(struct buf *out, char c)
{
    switch (c) {
    case '\\': buf_adds(out, "\\e"); break;
    case '-': buf_adds(out, "\\-"); break;
    case '\'': buf_adds(out, "\\(aq"); break;
    case '`': buf_adds(out, "\\(ga"); break;
    case '^': buf_adds(out, "\\(ha"); break;
    case '~': buf_adds(out, "\\(ti"); break;
    default: buf_addc(out, c); break;
    }
}

static bool ends_sentence(const char *word, size_t n)
{
    while (n && strchr(")\"", word[n - 1]))
        n--;
    return n > 1 && strchr(".!?:", word[n - 1]);
}

static void add_word(struct buf *out, const char *word, size_t n, bool first)
{
    if (first && (*word == '.' || *word == '\''))
        buf_adds(out, "\\&");
    for (size_t i = 0; i < n; i++) {
        bool within = i && i + 1 < n && word[i] == '-' && word[i - 1] != '-' && word[i + 1] != '-';
        if (within) /* a hyphen, at which a line may break */
            buf_addc(out, '-');
        else
            add_char(out, word[i]);
    }
}

void roff_text(struct buf *out, const char *text)
{
    size_t line = out->len;
    bool ended = false;
    while (*text) {
        size_t blank = strspn(text, " \n");
        bool paragraph = memmem(text, blank, "\n\n", 2) != NULL;
        text += blank;
        size_t n = strcspn(text, " \n");
        if (!n)
            break;
        if (out->len > line && (paragraph || ended || out->len - line + 1 + n > WIDTH)) {
            buf_addc(out, '\n');
            line = out->len;
        }
        if (paragraph) {
            buf_adds(out, ".Pp\n");
            line = out->len;
        }
        if (out->len > line)
            buf_addc(out, ' ');
        add_word(out, text, n, out->len == line);
        ended = ends_sentence(text, n);
        text += n;
    }
    if (out->len > line)
        buf_addc(out, '\n');
}

void roff_argument(struct buf *out, const char *text)
{
    buf_adds(out, "\"\\&");
    for (; *text; text++) {
        if (*text == '"')
            buf_adds(out, "\"\"");
        else
            add_char(out, *text);
    }
    buf_adds(out, "\\&\""); /* so that no bracket at its end is for the macro */
}
