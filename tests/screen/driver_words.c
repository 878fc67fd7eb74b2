#include "driver_words.h"

#include <stdlib.h>
#include <string.h>

char *word_take(char **rest)
{
    char *start = strsep(rest, " ");
    if (!start || strcmp(start, "-") == 0)
        return NULL;
    for (char *p = start; *p; p++)
        if (*p == '_')
            *p = ' ';
    return start;
}

long word_number(char **rest)
{
    const char *text = word_take(rest);
    return text ? strtol(text, NULL, 10) : 0;
}

int word_index(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (name && strcmp(name, names[i]) == 0)
            return i;
    return 0;
}

void word_unescape(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (*text != '\\' || !text[1]) {
            buf_addc(out, *text);
            continue;
        }
        char digits[3] = {0};
        switch (*++text) {
        case 'n': buf_addc(out, '\n'); break;
        case 'e': buf_addc(out, 0x1b); break;
        case 'r': buf_addc(out, '\r'); break;
        case 't': buf_addc(out, '\t'); break;
        case 'x':
            for (int i = 0; i < 2 && text[1]; i++)
                digits[i] = *++text;
            buf_addc(out, (char)strtol(digits, NULL, 16));
            break;
        default: buf_addc(out, *text); break;
        }
    }
}
