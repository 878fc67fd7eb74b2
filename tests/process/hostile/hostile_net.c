#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Connecting with a deadline: an address that swallows packets is not reached. */
static int try_connect(int fd, const struct sockaddr *address, socklen_t n)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, address, n) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -1;
    if (poll(&wait, 1, 3000) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    return error ? -1 : 0;
}

static void tcp(const char *where, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, where, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    told(fd < 0 ? -1 : try_connect(fd, (struct sockaddr *)&address, sizeof address),
         "TCP to %s port %d", where, port);
    close(fd);
}

static void udp(const char *where, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, where, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    told(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address), "UDP to %s port %d",
         where, port);
    close(fd);
}

static socklen_t unix_address(struct sockaddr_un *out, const char *path, bool abstract)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    strncpy(out->sun_path + abstract, path, sizeof out->sun_path - 2);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static void unix_socket(const char *path, bool abstract)
{
    struct sockaddr_un address;
    socklen_t n = unix_address(&address, path, abstract);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    told(connect(fd, (struct sockaddr *)&address, n), "%ssocket %s", abstract ? "abstract " : "",
         path);
    close(fd);
}

void group_network(int argc, char **argv)
{
    struct ifaddrs *all = NULL;
    int port = argc > 0 ? atoi(argv[0]) : 80;
    tcp("127.0.0.1", port);
    tcp("169.254.169.254", 80);
    tcp("192.0.2.1", 80);
    udp("192.0.2.1", 53);
    udp("224.0.0.1", 9);
    if (argc > 1)
        unix_socket(argv[1], true);
    told(socket(AF_PACKET, SOCK_RAW, 0), "a socket for packets");
    told(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "a raw socket");
    told(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0), "a socket to the hypervisor");
    if (getifaddrs(&all) == 0) {
        for (struct ifaddrs *p = all; p; p = p->ifa_next) {
            if (strcmp(p->ifa_name, "lo") != 0)
                tell(true, "the interface %s", p->ifa_name);
        }
        freeifaddrs(all);
    }
    /* The one network that there always is. */
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof own;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool works = bind(server, (struct sockaddr *)&own, sizeof own) == 0 && listen(server, 1) == 0 &&
                 getsockname(server, (struct sockaddr *)&own, &n) == 0 &&
                 connect(client, (struct sockaddr *)&own, n) == 0;
    printf("own loopback: %s\n", works ? "works" : strerror(errno));
}

void group_sockets(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        unix_socket(argv[i], false);
}

/* Outside: FILE gets the port; a socket at FILE.socket; a line in FILE.log for whoever comes. Ends
 * with its standard input. */
void group_listen(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr_un file, name;
    socklen_t n = sizeof address;
    char path[512];
    if (argc < 2)
        return;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(path, sizeof path, "%s.socket", argv[0]);
    socklen_t n_file = unix_address(&file, path, false),
              n_name = unix_address(&name, argv[1], true);
    struct pollfd wait[4] = {{.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN},
                             {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN},
                             {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
    if (bind(wait[0].fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        bind(wait[1].fd, (struct sockaddr *)&file, n_file) < 0 ||
        bind(wait[2].fd, (struct sockaddr *)&name, n_name) < 0 ||
        getsockname(wait[0].fd, (struct sockaddr *)&address, &n) < 0) {
        perror("hostile listen");
        exit(2);
    }
    for (int i = 0; i < 3; i++)
        listen(wait[i].fd, 16);
    snprintf(path, sizeof path, "%s.new", argv[0]);
    FILE *out = fopen(path, "w");
    if (!out)
        exit(2);
    fprintf(out, "%d\n", ntohs(address.sin_port));
    fclose(out);
    rename(path, argv[0]);
    while (poll(wait, 4, -1) > 0 && !wait[3].revents) {
        for (int i = 0; i < 3; i++) {
            if (!wait[i].revents)
                continue;
            close(accept(wait[i].fd, NULL, NULL));
            snprintf(path, sizeof path, "%s.log", argv[0]);
            FILE *log = fopen(path, "a");
            if (log) {
                fprintf(log, "%s\n", i == 0 ? "tcp" : i == 1 ? "unix" : "abstract");
                fclose(log);
            }
        }
    }
}
