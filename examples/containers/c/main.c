#include "rle.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char out[4096];
    for (int i = 1; i < argc; i++) {
        if (rle_encode(argv[i], strlen(argv[i]), out, sizeof out) >= sizeof out) {
            fprintf(stderr, "rle: too long\n");
            return 1;
        }
        puts(out);
    }
    return 0;
}
