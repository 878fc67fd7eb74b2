/*
 * cmd_internal.c - "kiln internal": what kiln has itself do in other namespaces. Not for people: no
 * help tells of it, and it may change with any version.
 *
 *     kiln internal unpack BLOB DIGEST DIFF-ID LAYERS NAME [LOWER...]
 *         unpacks a layer (runners/unpack.h); digests as 64 hex, DIGEST "-" for none; LOWERs are
 *         names in LAYERS, the lowest first. Prints "read BYTES" now and then, then "skipped N".
 *     kiln internal remove LAYERS NAME...
 *         removes layers.
 *     kiln internal man kiln.1|kiln.json.5
 *         prints a page of the manual, for the build.
 *
 * What goes wrong is said on standard error. Exits with 0, with 1 when the layer is refused, with 4
 * when the blob is damaged, else with 2 or 3 as ever.
 */
#include "cli/cli.h"
#include "cli/man.h"
#include "runners/unpack.h"

#include <inttypes.h>
#include <string.h>

#define EXIT_REFUSED 1
#define EXIT_DAMAGED 4
#define TELL_EVERY   ((uint64_t)1 << 20)

static void tell_read(void *ctx, uint64_t bytes)
{
    uint64_t *told = ctx;
    if (bytes - *told < TELL_EVERY)
        return;
    *told = bytes;
    printf("read %" PRIu64 "\n", bytes);
    fflush(stdout);
}

static int exit_code(int rc)
{
    switch (-rc) {
    case ERR_NONE: return EXIT_OK;
    case ERR_CONFIG: return EXIT_REFUSED;
    case ERR_CORRUPT: return EXIT_DAMAGED;
    case ERR_USAGE: return EXIT_USAGE;
    default: return EXIT_KILN;
    }
}

static int unpack(int argc, char **argv, struct err *err)
{
    uint64_t told = 0;
    struct unpack_counts counts;
    if (argc < 5)
        return err_set(err, ERR_USAGE, "internal unpack: too few arguments");
    struct unpack_request request = {
        .blob = argv[0],
        .layers = argv[3],
        .name = argv[4],
        .lowers = (const char *const *)argv + 5,
        .n_lowers = (size_t)argc - 5,
        .progress = tell_read,
        .ctx = &told,
    };
    if ((strcmp(argv[1], "-") != 0 && !digest_parse(argv[1], 0, &request.blob_digest)) ||
        !digest_parse(argv[2], 0, &request.diff_id))
        return err_set(err, ERR_USAGE, "internal unpack: not a digest");
    int rc = unpack_layer(&request, &counts, err);
    if (rc == 0)
        printf("skipped %" PRIu64 "\n", counts.devices + counts.owners + counts.xattrs);
    return rc;
}

static int remove_layers(int argc, char **argv, struct err *err)
{
    int rc = argc < 2 ? err_set(err, ERR_USAGE, "internal remove: too few arguments") : 0;
    for (int i = 1; i < argc && rc == 0; i++)
        rc = unpack_remove(argv[0], argv[i], err);
    return rc;
}

/* A page of the manual, for the build: "kiln.1" or "kiln.json.5". */
static int print_manual(int argc, char **argv, struct err *err)
{
    struct buf out = BUF_INIT;
    if (argc == 1 && !strcmp(argv[0], "kiln.1"))
        man_kiln(&out);
    else if (argc == 1 && !strcmp(argv[0], "kiln.json.5"))
        config_man(MAN_DATE, &out);
    else
        return err_set(err, ERR_USAGE, "internal man: there is no such page");
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return fflush(stdout) == 0 ? 0 : err_set(err, ERR_SYSTEM, "internal man: it can't be written");
}

int command_internal(int argc, char **argv)
{
    struct err err = ERR_INIT;
    int rc;
    if (argc > 0 && strcmp(argv[0], "unpack") == 0)
        rc = unpack(argc - 1, argv + 1, &err);
    else if (argc > 0 && strcmp(argv[0], "remove") == 0)
        rc = remove_layers(argc - 1, argv + 1, &err);
    else if (argc > 0 && strcmp(argv[0], "man") == 0)
        rc = print_manual(argc - 1, argv + 1, &err);
    else
        rc = err_set(&err, ERR_USAGE, "internal: there is no such command");
    if (rc < 0)
        fprintf(stderr, "%s\n", err_text(&err));
    err_release(&err);
    return exit_code(rc);
}
