/* Text to tokens. */
#include "calc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static size_t skip_blanks(const char *text, size_t at)
{
    while (isspace((unsigned char)text[at]))
        at++;
    return at;
}

static int begins_number(const char *text)
{
    return isdigit((unsigned char)text[0]) || (text[0] == '.' && isdigit((unsigned char)text[1]));
}

struct token calc_token(const char *text, size_t at)
{
    struct token token = {.at = skip_blanks(text, at)};
    const char *here = text + token.at;

    if (!*here) {
        token.kind = TOKEN_END;
    } else if (begins_number(here)) {
        token.kind = TOKEN_NUMBER;
        token.number = strtod(here, NULL);
    } else if (strchr("+-*/^()", *here)) {
        token.kind = TOKEN_SIGN;
        token.sign = *here;
    } else {
        token.kind = TOKEN_WRONG;
    }
    return token;
}

size_t calc_behind(const char *text, const struct token *token)
{
    char *end = NULL;

    switch (token->kind) {
    case TOKEN_NUMBER: strtod(text + token->at, &end); return (size_t)(end - text);
    case TOKEN_SIGN: return token->at + 1;
    case TOKEN_END:
    case TOKEN_WRONG: break;
    }
    return token->at;
}
