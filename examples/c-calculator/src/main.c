/* calc [EXPRESSION ...]: prints the value of each, or of each line of standard input. */
#include "calc.h"

#include <stdio.h>
#include <string.h>

static int show(const char *text)
{
    struct calc_result result = calc_evaluate(text);

    if (result.status == CALC_OK) {
        printf("%.12g\n", result.value);
        return 0;
    }
    printf("error at %zu: %s\n", result.at + 1, calc_explain(result.status));
    return 1;
}

int main(int argc, char **argv)
{
    char line[4096];
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= show(argv[i]);
    if (argc == 1) {
        while (fgets(line, sizeof line, stdin)) {
            line[strcspn(line, "\n")] = '\0';
            failed |= show(line);
        }
    }
    return failed;
}
