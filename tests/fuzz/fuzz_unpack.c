/*
 * Any bytes as layers, one on top of the other: nothing outside of their directories is touched,
 * what is refused is refused in words, and the directories can be removed afterwards.
 *
 * The first byte says how many layers the rest is cut into (1 to 3), at multiples of 512 bytes.
 * Checksums are put right, so that bytes that were changed are not refused for that alone.
 */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "runners/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 3

struct source {
    const uint8_t *bytes;
    size_t n, piece;
};

static int pull(void *ctx, const void **bytes, size_t *n, struct err *err)
{
    struct source *source = ctx;
    (void)err;
    *bytes = source->bytes;
    *n = source->n < source->piece ? source->n : source->piece;
    source->bytes += *n;
    source->n -= *n;
    return 0;
}

static void mend(uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512) {
        uint8_t *header = bytes + at;
        unsigned sum = 0;
        char text[16];
        if (memcmp(header + 257, "ustar", 5) != 0)
            continue;
        memset(header + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
            sum += header[i];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(header + 148, text, 7);
    }
}

static void layer(int root, const int *lowers, size_t n_lowers, struct source *source)
{
    static const struct unpack_limits limits = {
        .entries = 200, .bytes = 1 << 20, .ratio = 10, .free = 0};
    struct unpack_counts counts = {0};
    struct err err = ERR_INIT;
    int rc = unpack_tree(root, lowers, n_lowers, pull, source, NULL, &limits, &counts, &err);
    CLAIM(rc == 0 ? !*err_text(&err) : *err_text(&err) != '\0');
    CLAIM(rc == 0 || rc == -ERR_CONFIG || rc == -ERR_SYSTEM);
    err_release(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[64] = "/tmp/kiln-fuzz-XXXXXX", path[128];
    struct input input = {data, size};
    size_t n = 1 + input_byte(&input) % MOST, blocks = input.left / 512;
    uint8_t *bytes = malloc(input.left + 1);
    int roots[MOST];
    struct stat before, after;
    struct err err = ERR_INIT;
    CLAIM(bytes && mkdtemp(dir));
    if (input.left)
        memcpy(bytes, input.at, input.left);
    mend(bytes, input.left);
    /* Where "../" and "../../" lead from a layer. */
    snprintf(path, sizeof path, "%s/layers", dir);
    CLAIM(mkdir(path, 0755) == 0);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/layers/%zu", dir, i);
        CLAIM(mkdir(path, 0700) == 0);
        roots[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CLAIM(roots[i] >= 0);
    }
    CLAIM(stat(dir, &before) == 0);
    for (size_t i = 0; i < n; i++) {
        size_t from = blocks * i / n * 512,
               to = i + 1 == n ? input.left : blocks * (i + 1) / n * 512;
        layer(roots[i], roots, i, &(struct source){bytes + from, to - from, 700});
    }
    CLAIM(stat(dir, &after) == 0);
    CLAIM(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
          before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_nlink == after.st_nlink);
    for (size_t i = 0; i < n; i++)
        close(roots[i]);
    CLAIM(file_remove_tree(AT_FDCWD, dir, &err) == 0);
    err_release(&err);
    free(bytes);
    return 0;
}
