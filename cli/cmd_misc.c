/* cmd_misc.c - kiln schema, version, help. */
#include "cli/cli.h"
#include "cli/settings.h"

#include <string.h>
#include <unistd.h>

static int print(const struct options *options, struct buf *text)
{
    fwrite(buf_str(text), 1, text->len, stdout);
    buf_release(text);
    return output_end(options, EXIT_OK);
}

int command_schema(const struct options *options)
{
    struct buf text = BUF_INIT;
    if (options->settings)
        cli_settings_schema(&text);
    else
        config_schema(&text);
    return print(options, &text);
}

int command_version(const struct options *options)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "kiln " KILN_VERSION "\n");
    return print(options, &text);
}

int command_help(const struct options *options)
{
    struct buf text = BUF_INIT;
    const char *topic = options->n_args ? options->args[0] : NULL;
    if (!options_help(topic, color_wanted(options, STDOUT_FILENO), &text))
        return EXIT_USAGE; /* not reached: parsing knows the commands */
    return print(options, &text);
}
