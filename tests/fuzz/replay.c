/*
 * replay.c - feeds the files of the directories named (and no bytes at all) to one fuzz target, so
 * that what was found once is tried again wherever the tests run, without libFuzzer.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

static void feed(const char *path)
{
    FILE *file = fopen(path, "rb");
    long end;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) < 0) {
        perror(path);
        exit(2);
    }
    size_t n = (size_t)end;
    rewind(file);
    uint8_t *bytes = malloc(n); /* no more than that, so that reading beyond is seen */
    if ((!bytes && n) || fread(bytes, 1, n, file) != n) {
        perror(path);
        exit(2);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
}

int main(int argc, char **argv)
{
    size_t fed = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int n = scandir(argv[i], &entries, NULL, alphasort);
        if (n < 0) {
            perror(argv[i]);
            return 2;
        }
        for (int k = 0; k < n; k++) {
            char path[4096];
            if (entries[k]->d_name[0] != '.') {
                snprintf(path, sizeof(path), "%s/%s", argv[i], entries[k]->d_name);
                feed(path);
                fed++;
            }
            free(entries[k]);
        }
        free(entries);
    }
    if (!fed)
        fprintf(stderr, "there is nothing to feed\n");
    return fed ? 0 : 2;
}
