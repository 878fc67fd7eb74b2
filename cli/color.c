/*
 * color.c - what kiln may do to the terminal it writes to, and how it says that something is wrong.
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/plain_ci.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *env_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* CLICOLOR_FORCE=0 and FORCE_COLOR=0 or "false" do not force. */
static bool env_on(const char *name)
{
    const char *value = env_set(name);
    return value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

bool color_wanted(const struct options *options, int fd)
{
    if (options->color != WHEN_AUTO)
        return options->color == WHEN_ALWAYS;
    if (env_set("NO_COLOR"))
        return false;
    if (env_on("CLICOLOR_FORCE") || env_on("FORCE_COLOR"))
        return true;
    const char *term = env_set("TERM");
    return term && strcmp(term, "dumb") != 0 && isatty(fd);
}

bool in_ci(void)
{
    const char *value = env_set("CI");
    return value && strcmp(value, "false") != 0;
}

/* One write, so that it does not mix with what a step or another kiln writes there. */
static void say(const struct options *options, const char *color, const char *word,
                const char *text)
{
    struct buf line = BUF_INIT, shown = BUF_INIT;
    if (color_wanted(options, STDERR_FILENO))
        buf_addf(&line, "\033[%smkiln:\033[0m %s%s\n", color, word, text);
    else
        buf_addf(&line, "kiln: %s%s\n", word, text);
    plain_ci_words(plain_ci_here(), line.data, line.len, &shown);
    fflush(stdout);
    fwrite(shown.data, 1, shown.len, stderr);
    fflush(stderr);
    buf_release(&line);
    buf_release(&shown);
}

void complain(const struct options *options, const char *text)
{
    say(options, "1;31", "", text);
}

void warn(const struct options *options, const char *text)
{
    say(options, "1;33", "warning: ", text);
}

void remark(const struct options *options, const char *text)
{
    say(options, "1", "", text);
}

/* The reader of a pipe is gone: nobody is left to be told. */
static bool nobody_reads(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLERR | POLLHUP));
}

int output_end(const struct options *options, int code)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    int errnum = failed ? errno : 0;
    if (!failed && !ferror(stdout))
        return code;
    if (errnum != EPIPE && !nobody_reads(STDOUT_FILENO)) {
        char *text = mem_printf("standard output could not be written%s%s; what was printed is "
                                "not complete",
                                errnum ? ": " : "", errnum ? strerror(errnum) : "");
        complain(options, text);
        free(text);
    }
    clearerr(stdout); /* told; whoever ends next need not tell it again */
    return code > EXIT_STEP_FAILED ? code : EXIT_KILN;
}
