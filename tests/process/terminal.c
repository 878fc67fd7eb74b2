/*
 * terminal.c - runs a command in a terminal, as a shell runs a job in the foreground, and does with
 * it what people do.
 *
 *     terminal ROWS COLUMNS COMMAND... < script
 *
 * The script's lines:
 *
 *     type TEXT     \n, \\ and \xNN are understood
 *     wait TEXT     until the terminal has shown it, after what was waited for before; the same
 *                   escapes
 *     size R C      the window has this size now
 *     signal N      to the command's process group
 *     kill N        to the command alone
 *     stop N        the same, until it is stopped; after SIGSTOP the terminal's modes are put back,
 *                   as shells do, after another one they must have been raw
 *     raw           until the terminal's modes are not those of before any more
 *     hangup        the window is closed
 *     stall         until no more fits into the terminal; it is not read any more before the end
 *     end           until the command has ended
 *
 * What the terminal shows goes to standard output. The last line there says how the command ended,
 * and whether the terminal's modes are the ones of before, and reading it blocks: "ended 7 sane",
 * "killed 9 raw". The modes are waited for a while: who puts them back may outlive the command.
 * Exits with 0 when the script was done, with 1 when something that was waited for did not come.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <utmp.h>

#define DEADLINE_MS 60000
#define SANE_MS     10000
#define SHOWN_MAX   (1 << 20)

struct terminal {
    int leader, say, told; /* say: to the shell; told: what it tells */
    pid_t command;
    struct termios before;
    char shown[SHOWN_MAX + 1];
    size_t n, waited; /* shown; passed by waiting */
    bool stalled, ended;
    struct end {
        int status; /* as of waitpid(2) */
        int flags;  /* of the terminal's descriptor */
    } end;
};

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The shell's part: the command's process id, its end; then it stays, so that the terminal does. */
static _Noreturn void be_shell(char **command, int say, int told)
{
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t pid = fork();
    struct end end;
    char none;
    if (pid == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        execvp(command[0], command);
        _exit(127);
    }
    setpgid(pid, pid);
    if (write(say, &pid, sizeof pid) != sizeof pid || waitpid(pid, &end.status, 0) != pid)
        _exit(1);
    tcsetpgrp(0, getpgrp());
    end.flags = fcntl(0, F_GETFL);
    if (write(say, &end, sizeof end) != sizeof end)
        _exit(1);
    _exit(read(told, &none, 1) == 1);
}

/* Reads what comes within so many milliseconds, or the command's end. */
static void go_on(struct terminal *t, long ms)
{
    struct pollfd polls[] = {{.fd = t->stalled ? -1 : t->leader, .events = POLLIN},
                             {.fd = t->ended ? -1 : t->told, .events = POLLIN}};
    if (poll(polls, 2, (int)ms) <= 0)
        return;
    if (polls[0].revents) {
        if (t->n == SHOWN_MAX) { /* what is long ago is not asked for */
            t->n /= 2;
            memmove(t->shown, t->shown + t->n, t->n);
            t->waited = t->waited > t->n ? t->waited - t->n : 0;
        }
        ssize_t n = read(t->leader, t->shown + t->n, SHOWN_MAX - t->n);
        if (n > 0 && write(1, t->shown + t->n, (size_t)n) == n)
            t->n += (size_t)n;
        else
            t->leader = -1;
        t->shown[t->n] = '\0';
    } else if (polls[1].revents) {
        t->ended = true;
        if (read(t->told, &t->end, sizeof t->end) != sizeof t->end)
            exit(2);
    }
}

static bool wait_shown(struct terminal *t, const char *text)
{
    long until = now_ms() + DEADLINE_MS, left;
    char *at;
    while (!(at = memmem(t->shown + t->waited, t->n - t->waited, text, strlen(text)))) {
        if ((left = until - now_ms()) <= 0 || t->leader < 0)
            return false;
        if (t->ended) { /* there may be something on its way */
            size_t before = t->n;
            go_on(t, 1000);
            if (t->n == before)
                return false;
        } else {
            go_on(t, left);
        }
    }
    t->waited = (size_t)(at - t->shown) + strlen(text);
    return true;
}

static bool wait_end(struct terminal *t)
{
    long until = now_ms() + DEADLINE_MS, left;
    while (!t->ended && (left = until - now_ms()) > 0)
        go_on(t, left);
    return t->ended;
}

static bool is_sane(const struct terminal *t)
{
    struct termios now;
    return !(t->end.flags & O_NONBLOCK) && tcgetattr(t->leader, &now) == 0 &&
           now.c_lflag == t->before.c_lflag && now.c_iflag == t->before.c_iflag &&
           now.c_oflag == t->before.c_oflag;
}

static bool is_stopped(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *stat = fopen(path, "re");
    bool known = stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1;
    if (stat)
        fclose(stat);
    return known && state == 'T';
}

static bool stop(struct terminal *t, int number)
{
    if (kill(t->command, number) != 0)
        return false;
    for (long until = now_ms() + DEADLINE_MS; !is_stopped(t->command); go_on(t, 20)) {
        if (t->ended || now_ms() >= until)
            return false;
    }
    return number == SIGSTOP ? tcsetattr(t->leader, TCSANOW, &t->before) == 0 : is_sane(t);
}

static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text != '\\')
            *to++ = *text;
        else if (*++text == 'n')
            *to++ = '\n';
        else if (*text == 'x') {
            char digits[3] = {text[1], text[1] ? text[2] : '\0', '\0'};
            *to++ = (char)strtol(digits, NULL, 16);
            text += strlen(digits);
        } else
            *to++ = *text;
    }
    *to = '\0';
}

static bool obey(struct terminal *t, char *line)
{
    int a, b;
    if (strncmp(line, "type ", 5) == 0) {
        unescape(line + 5);
        return write(t->leader, line + 5, strlen(line + 5)) == (ssize_t)strlen(line + 5);
    }
    if (strncmp(line, "wait ", 5) == 0) {
        unescape(line + 5);
        return wait_shown(t, line + 5);
    }
    if (sscanf(line, "size %d %d", &a, &b) == 2) {
        struct winsize size = {.ws_row = (unsigned short)a, .ws_col = (unsigned short)b};
        return ioctl(t->leader, TIOCSWINSZ, &size) == 0;
    }
    if (sscanf(line, "signal %d", &a) == 1)
        return kill(-t->command, a) == 0;
    if (sscanf(line, "kill %d", &a) == 1)
        return kill(t->command, a) == 0;
    if (sscanf(line, "stop %d", &a) == 1)
        return stop(t, a);
    if (strcmp(line, "raw") == 0) {
        long until = now_ms() + DEADLINE_MS;
        while (is_sane(t) && !t->ended && now_ms() < until)
            go_on(t, 20);
        return !is_sane(t);
    }
    if (strcmp(line, "hangup") == 0) {
        close(t->leader);
        t->leader = -1;
        return true;
    }
    if (strcmp(line, "stall") == 0) {
        int before = -1, now = 0;
        t->stalled = true;
        for (long until = now_ms() + DEADLINE_MS; before != now && now_ms() < until;) {
            before = now;
            go_on(t, 300);
            ioctl(t->leader, FIONREAD, &now);
        }
        return true;
    }
    if (strcmp(line, "end") != 0)
        return false;
    bool ended = wait_end(t);
    t->stalled = false;
    return ended;
}

static void start(struct terminal *t, const struct winsize *size, char **command)
{
    int say[2], told[2], follower;
    if (pipe2(say, O_CLOEXEC) != 0 || pipe2(told, O_CLOEXEC) != 0 ||
        openpty(&t->leader, &follower, NULL, NULL, size) != 0)
        exit(2);
    fcntl(t->leader, F_SETFD, FD_CLOEXEC);
    tcgetattr(follower, &t->before);
    if (fork() == 0) {
        close(t->leader);
        close(say[1]);
        close(told[0]);
        if (login_tty(follower) != 0)
            _exit(1);
        be_shell(command, told[1], say[0]);
    }
    close(follower);
    close(say[0]);
    close(told[1]);
    t->say = say[1];
    t->told = told[0];
    if (read(t->told, &t->command, sizeof t->command) != sizeof t->command)
        exit(2);
}

int main(int argc, char **argv)
{
    static struct terminal t;
    char line[4096];
    int done = 0;
    if (argc < 4)
        return 2;
    struct winsize size = {.ws_row = (unsigned short)atoi(argv[1]),
                           .ws_col = (unsigned short)atoi(argv[2])};
    start(&t, &size, argv + 3);
    while (!done && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && !obey(&t, line)) {
            printf("\nnot done: %s\n", line);
            done = 1;
        }
    }
    for (long until = now_ms() + SANE_MS; t.leader >= 0 && t.ended && !is_sane(&t);) {
        if (now_ms() >= until)
            break;
        go_on(&t, 20);
    }
    if (t.ended)
        printf("\n%s %d", WIFSIGNALED(t.end.status) ? "killed" : "ended",
               WIFSIGNALED(t.end.status) ? WTERMSIG(t.end.status) : WEXITSTATUS(t.end.status));
    else
        printf("\nruns");
    printf(" %s\n", t.leader < 0 ? "closed" : is_sane(&t) ? "sane" : "raw");
    if (!t.ended)
        kill(-t.command, SIGKILL);
    close(t.say);
    return done;
}
