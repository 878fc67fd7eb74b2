/*
 * frames.c - how long a program in a terminal takes from a key to the picture that answers it.
 *
 *     frames [-c COLS] [-r ROWS] [-u TEXT] [-d MS] N KEYS TEXT BACK COMMAND...
 *
 * Starts the command on a terminal of its own and reads what it draws. Once TEXT of -u has been
 * drawn and MS have gone by since, N times: types KEYS, waits until TEXT has come, writes the
 * milliseconds between to standard output; types BACK, waits until nothing has come for a moment or
 * 100 ms have gone by. In the end standard error says how large the command has been, in KiB
 * (VmHWM), and how many bytes it has drawn, and it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 60000.0

static int master;
static pid_t child;
static unsigned long long drawn;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
    fprintf(stderr, "frames: %s: %s\n", what, strerror(errno));
    if (child > 0)
        kill(child, SIGKILL);
    exit(1);
}

static void start(int cols, int rows, char **argv)
{
    struct winsize size = {.ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows};
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        die("a terminal");
    ioctl(master, TIOCSWINSZ, &size);
    const char *name = ptsname(master);
    child = fork();
    if (child < 0)
        die("fork");
    if (child > 0)
        return;
    setsid();
    int slave = open(name, O_RDWR);
    ioctl(slave, TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; fd++)
        dup2(slave, fd);
    setenv("TERM", "xterm-256color", 1);
    unsetenv("CI");
    execvp(argv[0], argv);
    _exit(127);
}

/* Reads until the text (NULL: none) has been drawn or until then; whether it was. What it drew
 * before is kept for a text that comes in two pieces. */
static int wait_for(const char *text, double until)
{
    static char held[1 << 17];
    static size_t n;
    n = 0;
    for (;;) {
        double left = until - now_ms();
        struct pollfd fd = {.fd = master, .events = POLLIN};
        if (left <= 0 || poll(&fd, 1, (int)left + 1) < 0)
            return 0;
        if (!fd.revents)
            continue;
        if (n > sizeof held / 2) {
            memmove(held, held + n - 1000, 1000);
            n = 1000;
        }
        ssize_t got = read(master, held + n, sizeof held / 2);
        if (got <= 0)
            die("it has ended by itself");
        drawn += (unsigned long long)got;
        n += (size_t)got;
        if (text && memmem(held, n, text, strlen(text)))
            return 1;
    }
}

static void type(const char *keys)
{
    if (write(master, keys, strlen(keys)) != (ssize_t)strlen(keys))
        die("typing");
}

static void report(void)
{
    char path[64], line[200];
    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            fprintf(stderr, "peak %ld KiB, drawn %llu bytes\n", strtol(line + 6, NULL, 10), drawn);
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    int cols = 120, rows = 40, option;
    double delay = 0;
    const char *first = NULL;
    while ((option = getopt(argc, argv, "+c:r:u:d:")) != -1) {
        switch (option) {
        case 'c': cols = atoi(optarg); break;
        case 'r': rows = atoi(optarg); break;
        case 'u': first = optarg; break;
        case 'd': delay = atof(optarg); break;
        default: return 2;
        }
    }
    if (argc - optind < 5)
        return 2;
    int n = atoi(argv[optind]);
    const char *keys = argv[optind + 1], *text = argv[optind + 2], *back = argv[optind + 3];
    start(cols, rows, argv + optind + 4);
    if (first && !wait_for(first, now_ms() + DEADLINE_MS)) {
        errno = ETIMEDOUT;
        die(first);
    }
    wait_for(NULL, now_ms() + delay);
    for (int i = 0; i < n; i++) {
        double at = now_ms();
        type(keys);
        if (!wait_for(text, at + DEADLINE_MS)) {
            errno = ETIMEDOUT;
            die(text);
        }
        printf("%.3f\n", now_ms() - at);
        type(back);
        /* Not always at the same place between two pictures. */
        wait_for(NULL, now_ms() + 60 + i * 7 % 41);
    }
    report();
    kill(child, SIGTERM);
    double until = now_ms() + 10000;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        struct pollfd fd = {.fd = master, .events = POLLIN};
        char bytes[65536];
        if (poll(&fd, 1, 10) > 0 && read(master, bytes, sizeof bytes) <= 0)
            usleep(1000);
        if (now_ms() > until)
            kill(child, SIGKILL);
    }
    return 0;
}
