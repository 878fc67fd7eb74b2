/* Tokens to a value, by recursive descent:
 *
 *     sum     = product { ("+" | "-") product }
 *     product = factor { ("*" | "/") factor }
 *     factor  = ("+" | "-") factor | power
 *     power   = atom [ "^" factor ]
 *     atom    = number | "(" sum ")"
 */
#include "calc.h"

#include <math.h>

enum { DEEPEST = 200 };

struct reader {
    const char *text;
    struct token token; /* the next one */
    struct calc_result result;
    int depth;
};

static double sum(struct reader *reader);

static double fail(struct reader *reader, enum calc_status status, size_t at)
{
    if (reader->result.status == CALC_OK) {
        reader->result.status = status;
        reader->result.at = at;
    }
    return 0;
}

static void advance(struct reader *reader)
{
    reader->token = calc_token(reader->text, calc_behind(reader->text, &reader->token));
}

/* Takes the sign if it is the next token. */
static int took(struct reader *reader, char sign)
{
    if (reader->token.kind != TOKEN_SIGN || reader->token.sign != sign)
        return 0;
    advance(reader);
    return 1;
}

static double atom(struct reader *reader)
{
    if (reader->token.kind == TOKEN_NUMBER) {
        double number = reader->token.number;
        advance(reader);
        return number;
    }
    if (took(reader, '(')) {
        double value = sum(reader);
        return took(reader, ')') ? value : fail(reader, CALC_SYNTAX, reader->token.at);
    }
    return fail(reader, CALC_SYNTAX, reader->token.at);
}

static double factor(struct reader *reader)
{
    double value = 0;

    if (++reader->depth > DEEPEST) {
        fail(reader, CALC_DEEP, reader->token.at);
    } else if (took(reader, '-')) {
        value = -factor(reader);
    } else if (took(reader, '+')) {
        value = factor(reader);
    } else {
        value = atom(reader);
        if (took(reader, '^'))
            value = pow(value, factor(reader));
    }
    reader->depth--;
    return value;
}

static double product(struct reader *reader)
{
    double value = factor(reader);

    while (reader->result.status == CALC_OK) {
        size_t at = reader->token.at;
        if (took(reader, '*')) {
            value *= factor(reader);
        } else if (took(reader, '/')) {
            double divisor = factor(reader);
            if (divisor == 0)
                return fail(reader, CALC_DIVISION, at);
            value /= divisor;
        } else {
            break;
        }
    }
    return value;
}

static double sum(struct reader *reader)
{
    double value = product(reader);

    while (reader->result.status == CALC_OK) {
        if (took(reader, '+'))
            value += product(reader);
        else if (took(reader, '-'))
            value -= product(reader);
        else
            break;
    }
    return value;
}

struct calc_result calc_evaluate(const char *text)
{
    struct reader reader = {.text = text, .token = calc_token(text, 0)};

    reader.result.value = sum(&reader);
    if (reader.token.kind != TOKEN_END)
        fail(&reader, CALC_SYNTAX, reader.token.at);
    return reader.result;
}

const char *calc_explain(enum calc_status status)
{
    switch (status) {
    case CALC_OK: return "fine";
    case CALC_SYNTAX: return "this can't stand here";
    case CALC_DIVISION: return "division by zero";
    case CALC_DEEP: return "nested too deeply";
    }
    return "unknown";
}
