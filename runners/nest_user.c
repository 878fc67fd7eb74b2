#include "runners/nest_user.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "runners/probe.h"
#include "runners/subid.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a nest has at the most, as images expect: ids of 16 bits. */
#define NEST_IDS 65536
/* Root's, where /etc/subuid gives it none: of the range that systemd's allocation of container ids
 * (systemd.io/UIDS-GIDS) leaves to others, below 2^31. */
#define ROOT_RANGE 0x70000000u
#define MAX_FILE   ((size_t)1 << 20)

extern char **environ;

/* --- which ids --- */

/* Whether the ids first ... first + n - 1 exist in the namespace that a uid_map describes. */
static bool has_ids(const char *map, uint64_t first, uint64_t n)
{
    unsigned long inside, outside, count;
    int used;
    for (; map && sscanf(map, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3;
         map += used) {
        if (first < inside || first >= inside + count)
            continue;
        uint64_t here = inside + count - first;
        if (here >= n)
            return true;
        first += here;
        n -= here;
    }
    return false;
}

static struct nest_range roots_range(const char *sub, const char *map)
{
    struct subid_range own;
    if (subid_find(sub, "root", 0, &own) && own.count >= NEST_IDS && own.first &&
        has_ids(map, own.first, NEST_IDS))
        return (struct nest_range){own.first, own.first + 1, NEST_IDS - 1};
    if (has_ids(map, ROOT_RANGE, NEST_IDS))
        return (struct nest_range){ROOT_RANGE, ROOT_RANGE + 1, NEST_IDS - 1};
    /* A container that has few ids itself: what there is besides its root. */
    for (uint32_t n = NEST_IDS; n > 1; n /= 2) {
        if (has_ids(map, 1, n - 1))
            return (struct nest_range){1, 2, n - 2};
    }
    return (struct nest_range){0, 1, 0}; /* not the host's root, as it has one id only */
}

void nest_user_map_from(const struct nest_files *files, struct nest_map *map)
{
    struct subid_range uid, gid;
    *map = (struct nest_map){{files->uid, 0, 0}, {files->gid, 0, 0}, false};
    if (files->uid == 0) {
        map->uid = roots_range(files->subuid, files->uid_map);
        map->gid = roots_range(files->subgid, files->gid_map);
        return;
    }
    if (!files->helper || !subid_find(files->subuid, files->user, files->uid, &uid) ||
        !subid_find(files->subgid, files->user, files->uid, &gid) || !uid.first || !gid.first)
        return;
    map->uid.rest = uid.first;
    map->uid.more = uid.count < NEST_IDS - 1 ? uid.count : NEST_IDS - 1;
    map->gid.rest = gid.first;
    map->gid.more = gid.count < NEST_IDS - 1 ? gid.count : NEST_IDS - 1;
    map->by_helper = true;
}

static bool is_program(const char *name)
{
    char *path = probe_program(name);
    free(path);
    return path != NULL;
}

static void read_text(const char *path, struct buf *out)
{
    struct err err = ERR_INIT;
    if (file_read(path, MAX_FILE, out, &err) < 0)
        buf_reset(out);
    err_release(&err);
}

void nest_user_map(struct nest_map *map)
{
    struct buf texts[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    static const char *const paths[4] = {"/etc/subuid", "/etc/subgid", "/proc/self/uid_map",
                                         "/proc/self/gid_map"};
    struct passwd entry, *found = NULL;
    char buffer[4096];
    for (int i = 0; i < 4; i++)
        read_text(paths[i], &texts[i]);
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) != 0)
        found = NULL;
    struct nest_files files = {.subuid = buf_str(&texts[0]),
                               .subgid = buf_str(&texts[1]),
                               .uid_map = buf_str(&texts[2]),
                               .gid_map = buf_str(&texts[3]),
                               .user = found ? found->pw_name : NULL,
                               .uid = geteuid(),
                               .gid = getegid(),
                               .helper = is_program("newuidmap") && is_program("newgidmap")};
    nest_user_map_from(&files, map);
    for (int i = 0; i < 4; i++)
        buf_release(&texts[i]);
}

/* --- making it --- */

static int write_proc(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int errnum = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return errnum;
}

size_t nest_user_extents(const struct nest_range *range, uint32_t id, struct nest_extent out[3])
{
    size_t n = 0;
    if (id > range->more)
        id = 0;
    if (id)
        out[n++] = (struct nest_extent){0, range->rest, id};
    out[n++] = (struct nest_extent){id, range->first, 1};
    if (range->more > id)
        out[n++] = (struct nest_extent){id + 1, range->rest + id, range->more - id};
    return n;
}

static int write_map(pid_t pid, const char *name, const struct nest_range *range, uint32_t id)
{
    struct nest_extent extents[3];
    struct buf text = BUF_INIT;
    size_t n = nest_user_extents(range, id, extents);
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%u %u %u\n", extents[i].inside, extents[i].outside, extents[i].n);
    int errnum = write_proc(pid, name, buf_str(&text));
    buf_release(&text);
    return errnum;
}

/* Returns 0, or an errno; EPERM when the helper says no. */
static int run_helper(const char *program, pid_t pid, const struct nest_range *range, uint32_t id)
{
    struct nest_extent extents[3];
    char words[10][16];
    char *argv[12] = {(char *)program, words[0]};
    posix_spawn_file_actions_t files;
    int status = 0;
    pid_t child;
    size_t n = nest_user_extents(range, id, extents), k = 1;
    snprintf(words[0], sizeof words[0], "%d", (int)pid);
    for (size_t i = 0; i < n; i++) {
        const uint32_t numbers[3] = {extents[i].inside, extents[i].outside, extents[i].n};
        for (size_t j = 0; j < 3; j++, k++) {
            snprintf(words[k], sizeof words[k], "%u", numbers[j]);
            argv[k + 1] = words[k];
        }
    }
    posix_spawn_file_actions_init(&files);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    int errnum = posix_spawnp(&child, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (errnum)
        return errnum;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EPERM;
}

static int map_ids(pid_t pid, const struct nest_map *map, const struct nest_ids *ids)
{
    int errnum;
    if (map->by_helper) {
        errnum = run_helper("newuidmap", pid, &map->uid, ids->uid);
        return errnum ? errnum : run_helper("newgidmap", pid, &map->gid, ids->gid);
    }
    /* Without privilege, groups may only be mapped where they can't be dropped any more. */
    errnum = geteuid() == 0 && map->gid.more ? 0 : write_proc(pid, "setgroups", "deny");
    if (!errnum)
        errnum = write_map(pid, "uid_map", &map->uid, ids->uid);
    return errnum ? errnum : write_map(pid, "gid_map", &map->gid, ids->gid);
}

/* The first process of the namespace, which goes as soon as there is a descriptor. */
_Noreturn static void founder(int told, int parent)
{
    char answer = 0;
    int errnum = unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
    answer = (char)(errnum > 127 ? 127 : errnum);
    if (write(told, &answer, 1) == 1)
        while (read(parent, &answer, 1) < 0 && errno == EINTR)
            continue;
    _exit(0);
}

/* Returns 0, or an errno; *refused: the kernel makes no namespace, else ids could not be mapped. */
static int make(const struct nest_map *map, const struct nest_ids *ids, int *fd, bool *refused)
{
    int told[2], parent[2];
    char answer = 0, path[64];
    *refused = true;
    if (pipe2(told, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(parent, O_CLOEXEC) != 0) {
        int errnum = errno;
        close(told[0]);
        close(told[1]);
        return errnum;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(parent[1]); /* so that our end tells it to go */
        founder(told[1], parent[0]);
    }
    int errnum = pid < 0 ? errno : 0;
    close(told[1]);
    close(parent[0]);
    if (!errnum) {
        ssize_t n;
        while ((n = read(told[0], &answer, 1)) < 0 && errno == EINTR)
            continue;
        errnum = n == 1 ? answer : ECHILD;
    }
    if (!errnum) {
        *refused = false;
        errnum = map_ids(pid, map, ids);
    }
    if (!errnum) {
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
        *fd = open(path, O_RDONLY | O_CLOEXEC);
        errnum = *fd < 0 ? errno : 0;
    }
    close(told[0]);
    close(parent[1]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return errnum;
}

/* As far as a namespace can know: its 0 is 0 outside, too. */
static bool is_the_hosts_root(void)
{
    struct buf map = BUF_INIT;
    unsigned long inside = 0, outside = 0;
    read_text("/proc/self/uid_map", &map);
    bool is = sscanf(buf_str(&map), "%lu %lu", &inside, &outside) != 2 || outside == 0;
    buf_release(&map);
    return is;
}

int nest_user_open(const struct nest_ids *ids, struct nest_map *map, int *fd, struct err *err)
{
    bool refused = false;
    *fd = -1;
    nest_user_map(map);
    if (geteuid() == 0 && map->uid.first == 0 && is_the_hosts_root())
        return err_set(err, ERR_SYSTEM,
                       "kiln runs as root with no other user id to run steps as; start it as an "
                       "ordinary user, or set \"runner\": \"host\"");
    int errnum = make(map, ids, fd, &refused);
    if (errnum && !refused && map->by_helper) {
        *map = (struct nest_map){{geteuid(), 0, 0}, {getegid(), 0, 0}, false};
        errnum = make(map, ids, fd, &refused);
    }
    if (!errnum)
        return 0;
    struct err why = ERR_INIT;
    if (refused && probe_refusal(&(struct probe_options){0}, &why) < 0)
        return err_move(err, &why);
    err_release(&why);
    return err_sys(err, errnum,
                   "%s, which isolated steps need (kiln doctor says how to allow it; or set "
                   "\"runner\": \"host\" in kiln.json)",
                   refused ? "this machine lets kiln make no user namespace"
                           : "kiln can map no ids into a user namespace");
}

void nest_user_owner(const struct nest_map *map, struct box_owner *out)
{
    const uint32_t ids[] = {map->uid.first, map->uid.more, map->uid.more ? map->uid.rest : 0,
                            map->gid.first, map->gid.more, map->gid.more ? map->gid.rest : 0};
    *out = (struct box_owner){
        .uid = map->uid.first, .gid = map->gid.first, .n = map->uid.more ? map->uid.more + 1 : 0};
    struct digest digest = digest_of(ids, sizeof ids);
    memcpy(&out->mapping, digest.hash, sizeof out->mapping);
}

int box_owner(struct box_owner *out, struct err *err)
{
    struct nest_map map;
    (void)err;
    nest_user_map(&map);
    nest_user_owner(&map, out);
    return 0;
}
