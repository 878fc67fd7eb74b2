#include "hostile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool reached;

static void say(bool yes, const char *why, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    printf("%s: %s%s%s%s\n", yes ? "REACHED" : "denied", text, why ? " (" : "", why ? why : "",
           why ? ")" : "");
    fflush(stdout);
    reached = reached || yes;
}

void tell(bool yes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(yes, NULL, format, args);
    va_end(args);
}

void told(long result, const char *format, ...)
{
    va_list args;
    const char *why = result < 0 ? strerror(errno) : NULL;
    va_start(args, format);
    say(result >= 0, why, format, args);
    va_end(args);
}

bool anything_reached(void)
{
    return reached;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(int argc, char **argv);
    } groups[] = {
        {"write", group_write},
        {"read", group_read},
        {"descriptors", group_descriptors},
        {"root", group_root},
        {"readonly", group_readonly},
        {"network", group_network},
        {"sockets", group_sockets},
        {"listen", group_listen},
        {"kernel", group_kernel},
        {"proc", group_proc},
        {"identity", group_identity},
        {"euid", group_euid},
        {"processes", group_processes},
        {"terminal", group_terminal},
        {"forks", group_forks},
        {"memory", group_memory},
        {"file-size", group_file_size},
        {"daemon", group_daemon},
        {"mapping", group_mapping},
        {"swarm", group_swarm},
    };
    for (size_t i = 0; argc > 1 && i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(groups[i].name, argv[1]) != 0)
            continue;
        groups[i].run(argc - 2, argv + 2);
        return reached ? 1 : 0;
    }
    fprintf(stderr, "hostile: no such group\n");
    return 2;
}
