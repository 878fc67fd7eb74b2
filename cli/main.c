/* main.c - kiln's command line: from arguments to an exit code. The only file that ends the
 * process. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(const struct options *options);
} commands[] = {
    {"watch", command_run},     {"run", command_run},
    {"plan", command_plan},     {"explain", command_plan},
    {"logs", command_logs},     {"runs", command_runs},
    {"hook", command_hook},     {"replay", command_replay},
    {"shell", command_shell},   {"cache", command_cache},
    {"init", command_init},     {"doctor", command_doctor},
    {"schema", command_schema}, {"version", command_version},
    {"help", command_help},     {"completion", command_completion},
    {"bundle", command_bundle}, {"compare", command_compare},
    {"ci", command_ci},         {"debug", command_debug},
};

static int dispatch(const struct options *options)
{
    if (options->help)
        return command_help(options);
    if (options->directory && chdir(options->directory) < 0) {
        struct err err = ERR_INIT;
        err_sys(&err, errno, "-C %s", options->directory);
        complain(options, err_text(&err));
        err_release(&err);
        return EXIT_USAGE;
    }
    if (options->dry_run && strcmp(options->command, "run") == 0)
        return command_plan(options);
    if (options->last_pass)
        return command_last_pass(options);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, options->command) == 0)
            return commands[i].run(options);
    }
    return EXIT_USAGE;
}

/* A standard descriptor that is closed would become that of the next file kiln opens. Reading it
 * then finds the end, writing to it fails, as it would closed. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* What recurses is bounded by depth, not by what the stack happens to have; and a thread that can't
 * be made for lack of addresses ends libuv, and so kiln, without a word. */
static int check_limits(struct err *err)
{
    static const struct {
        int resource;
        const char *what, *option;
        unsigned kib;
    } needs[] = {
        {RLIMIT_STACK, "the stack", "-s", 1024},
        {RLIMIT_AS, "memory", "-v", 96 * 1024},
    };
    struct rlimit limit;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        if (getrlimit(needs[i].resource, &limit) == 0 && limit.rlim_cur / 1024 < needs[i].kib)
            return err_set(err, ERR_SYSTEM,
                           "the limit of %s (ulimit %s) is %ju KiB, and kiln needs %u; raise it",
                           needs[i].what, needs[i].option, (uintmax_t)limit.rlim_cur / 1024,
                           needs[i].kib);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct err err = ERR_INIT;
    int code = EXIT_USAGE;
    fill_standard_descriptors();
    setlocale(LC_CTYPE, "");
    if (argc > 1 && strcmp(argv[1], "internal") == 0)
        return command_internal(argc - 2, argv + 2);
    if (options_parse(argc, argv, &options, &err) == 0)
        code = check_limits(&err) == 0 ? dispatch(&options) : EXIT_KILN;
    if (err.kind != ERR_NONE)
        complain(&options, err_text(&err));
    code = output_end(&options, code);
    err_release(&err);
    options_release(&options);
    return code;
}
