/*
 * wire_meet.c - who the two processes of a wire are, and where they find each other.
 *
 * Sockets lie in $XDG_RUNTIME_DIR/kiln, a directory that is the user's alone, under a hash of the
 * project's and the pipeline's paths.
 */
#include "cli/wire.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool stat_pair(const char *path, uint64_t out[2])
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    out[0] = st.st_dev;
    out[1] = st.st_ino;
    return true;
}

/* Without setting it, which the other threads would notice. */
static uint64_t current_umask(void)
{
    static const char name[] = "\nUmask:";
    char text[512]; /* it is the second line */
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, name);
    return at ? strtoull(at + sizeof name - 1, NULL, 8) : UINT64_MAX;
}

bool wire_stand(struct wire_stand *out)
{
    static const char *const namespaces[] = {"/proc/self/ns/mnt", "/proc/self/ns/user",
                                             "/proc/self/ns/net", "/proc/self/ns/pid",
                                             "/proc/self/ns/uts"};
    struct stat st;
    *out = (struct wire_stand){0};
    if (stat("/proc/self/exe", &st) != 0 || !stat_pair("/", out->top))
        return false;
    out->exe[0] = st.st_dev;
    out->exe[1] = st.st_ino;
    out->exe[2] = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
        (void)stat_pair(namespaces[i], out->namespaces[i]); /* a kernel may be without some */
    out->umask = current_umask();
    return true;
}

void wire_stamp(const struct stat *st, uint64_t out[5])
{
    out[0] = st->st_dev;
    out[1] = st->st_ino;
    out[2] = (uint64_t)st->st_size;
    out[3] = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
    out[4] = (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec;
}

int wire_dir_open(bool make)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    if (!runtime || *runtime != '/')
        return -1;
    char *path = path_join(runtime, "kiln");
    if (make)
        (void)!mkdir(path, 0700);
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    free(path);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 077))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* FNV-1a. A name that two projects share costs one of them its watcher, nothing else. */
static uint64_t mix(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return hash;
}

void wire_name(const char *root, const char *config, char name[WIRE_NAME_SIZE])
{
    uint64_t hash = mix(mix(UINT64_C(0xcbf29ce484222325), root), config);
    snprintf(name, WIRE_NAME_SIZE, "%016llx", (unsigned long long)hash);
}

void wire_address(int dir_fd, const char *name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
}

bool wire_peer_is_me(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && n == sizeof peer &&
           peer.uid == geteuid() && peer.gid == getegid();
}
