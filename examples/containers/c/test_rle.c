#include "rle.h"

#include <stdio.h>
#include <string.h>

static int failed;

static void check(const char *text, const char *want)
{
    char out[64];
    size_t n = rle_encode(text, strlen(text), out, sizeof out);
    if (n != strlen(want) || strcmp(out, want) != 0) {
        printf("test_rle.c: \"%s\": \"%s\", not \"%s\"\n", text, out, want);
        failed = 1;
    }
}

int main(void)
{
    char small[4];
    check("", "");
    check("a", "1a");
    check("aaab", "3a1b");
    check("aaaaaaaaaaaa", "12a");
    if (rle_encode("abcd", 4, small, sizeof small) != 8 || strcmp(small, "1a1") != 0)
        failed = 1;
    puts(failed ? "failed" : "passed");
    return failed;
}
