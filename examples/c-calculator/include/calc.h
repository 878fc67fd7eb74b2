/*
 * calc.h - reads an expression and works out its value.
 */
#ifndef CALC_H
#define CALC_H

#include <stddef.h>

enum token_kind { TOKEN_NUMBER, TOKEN_SIGN, TOKEN_END, TOKEN_WRONG };

struct token {
    enum token_kind kind;
    double number; /* TOKEN_NUMBER */
    char sign;     /* TOKEN_SIGN: one of + - * / ^ ( ) */
    size_t at;     /* where it begins in the text */
};

enum calc_status { CALC_OK, CALC_SYNTAX, CALC_DIVISION, CALC_DEEP };

struct calc_result {
    enum calc_status status;
    double value; /* CALC_OK */
    size_t at;    /* otherwise: where in the text it went wrong */
};

/** Reads the token of text that begins at or behind position at. */
struct token calc_token(const char *text, size_t at);

/** The position behind a token of text. */
size_t calc_behind(const char *text, const struct token *token);

/** Works out the value of an expression such as "2 * (3 + 4) ^ 2". */
struct calc_result calc_evaluate(const char *text);

/** What a status means, for people. */
const char *calc_explain(enum calc_status status);

#endif
