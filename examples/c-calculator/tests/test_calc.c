/* What the functions promise; the program as a whole is tested by the cases beside this file. */
#include "calc.h"

#include <stdio.h>

static int failures;

static void check(int holds, const char *what, int line)
{
    if (holds)
        return;
    printf("tests/test_calc.c:%d: expected %s\n", line, what);
    failures++;
}
#define CHECK(condition) check(condition, #condition, __LINE__)

static void test_tokens(void)
{
    struct token token = calc_token("  12.5*", 0);

    CHECK(token.kind == TOKEN_NUMBER);
    CHECK(token.number == 12.5);
    CHECK(token.at == 2);
    token = calc_token("  12.5*", calc_behind("  12.5*", &token));
    CHECK(token.kind == TOKEN_SIGN && token.sign == '*');
    CHECK(calc_token("", 0).kind == TOKEN_END);
    CHECK(calc_token("?", 0).kind == TOKEN_WRONG);
}

static void test_values(void)
{
    CHECK(calc_evaluate("1 + 2 * 3").value == 7);
    CHECK(calc_evaluate("-2 ^ 2").value == -4);
    CHECK(calc_evaluate("2 ^ 3 ^ 2").value == 512);
}

static void test_errors(void)
{
    struct calc_result result = calc_evaluate("1 / (2 - 2)");

    CHECK(result.status == CALC_DIVISION);
    CHECK(result.at == 2);
    CHECK(calc_evaluate("2 +").status == CALC_SYNTAX);
    CHECK(calc_evaluate("").status == CALC_SYNTAX);
}

int main(void)
{
    test_tokens();
    test_values();
    test_errors();
    printf("%d checks failed\n", failures);
    return failures != 0;
}
