#include "cli/doctor.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NS 1000000000ull

void doctor_skopeo(const char *root, struct probe *probe)
{
    probe->name = "skopeo";
    char *program = probe_program("skopeo");
    if (program) {
        char *version = probe_version(program);
        buf_addf(&probe->found, "%s (%s)", *version ? version : "no version", program);
        free(version);
        free(program);
        return;
    }
    char *command = probe_install_command(root, "skopeo");
    probe->verdict = PROBE_LIMITED;
    buf_adds(&probe->found, "is not there");
    buf_adds(&probe->means, "Images can't be fetched; those that the cache has can be used.");
    buf_adds(&probe->remedy, "Install it:");
    buf_addf(&probe->commands, "%s\n", command);
    free(command);
}

/* -- inotify ----------------------------------------------------------------------------------- */

static uint64_t setting(const char *root, const char *name)
{
    struct buf text = BUF_INIT;
    char *path = mem_printf("%s/proc/sys/fs/inotify/%s", root, name);
    uint64_t value = 0;
    if (file_read(path, 4096, &text, NULL) == 0)
        value = strtoull(buf_str(&text), NULL, 10);
    free(path);
    buf_release(&text);
    return value;
}

/* The directories in which a watch may be wanted; those that git ignores are among them, so it is
 * the most there can be. */
static uint64_t count_directories(const char *project)
{
    char *name = mem_strdup(project), *paths[] = {name, NULL};
    uint64_t n = 0;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_D)
            continue;
        if (entry->fts_level && !strcmp(entry->fts_name, ".git"))
            fts_set(tree, entry, FTS_SKIP);
        else
            n++;
    }
    if (tree)
        fts_close(tree);
    free(name);
    return n;
}

static void raise_setting(struct probe *probe, const char *name, uint64_t value)
{
    buf_addf(&probe->commands,
             "echo fs.inotify.%s=%" PRIu64 " | sudo tee /etc/sysctl.d/50-kiln-inotify.conf\n"
             "sudo sysctl --system\n",
             name, value);
}

void doctor_inotify(const char *root, const char *project, struct probe *probe)
{
    uint64_t watches = setting(root, "max_user_watches");
    uint64_t needs = project ? count_directories(project) : 0;
    probe->name = "inotify";
    int fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0) {
        uint64_t instances = setting(root, "max_user_instances");
        probe->verdict = PROBE_LIMITED;
        buf_addf(&probe->found, "refused: %s", strerror(errno));
        buf_adds(&probe->means, "A watching kiln looks at every directory, again and again.");
        buf_addf(&probe->remedy,
                 "Of fs.inotify.max_user_instances = %" PRIu64
                 " none may be left, or no file may be opened any more. To have more:",
                 instances);
        raise_setting(probe, "max_user_instances", instances * 2 > 1024 ? instances * 2 : 1024);
        return;
    }
    close(fd);
    buf_addf(&probe->found, "%" PRIu64 " watches may be had", watches);
    if (project)
        buf_addf(&probe->found, ", this project takes %" PRIu64 " at most", needs);
    if (needs <= watches)
        return;
    probe->verdict = PROBE_LIMITED;
    buf_adds(&probe->means, "What of the project can't be watched is looked at again and again.");
    buf_adds(&probe->remedy, "To have more:");
    raise_setting(probe, "max_user_watches", needs * 2 > 524288 ? needs * 2 : 524288);
}

/* -- the cache's place ------------------------------------------------------------------------- */

static const char *filesystem_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},      {0x58465342, "xfs"},      {0x9123683e, "btrfs"},
        {0x01021994, "tmpfs"}, {0x794c7630, "overlay"},  {0x6969, "nfs"},
        {0x2fc12fc1, "zfs"},   {0xf2f52010, "f2fs"},     {0xca451a4e, "bcachefs"},
        {0x65735546, "fuse"},  {0xff534d42, "cifs"},     {0xfe534d42, "smb"},
        {0x01021997, "9p"},    {0x6a656a63, "virtiofs"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].type == type)
            return known[i].name;
    }
    return NULL;
}

/* A file without a name there; -1 with errno. */
static int nameless(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    char *path = mem_printf("%s/.probe-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    int errnum = errno;
    if (fd >= 0)
        unlink(path);
    free(path);
    errno = errnum;
    return fd;
}

static bool shares_blocks(const char *dir, int from)
{
    int to = nameless(dir);
    bool can = to >= 0 && pwrite(from, "kiln", 4, 0) == 4 && ioctl(to, FICLONE, from) == 0;
    if (to >= 0)
        close(to);
    return can;
}

void doctor_cache(const char *dir, struct probe *probe)
{
    struct statvfs space;
    struct statfs fs;
    char free_bytes[16];
    probe->name = "cache";
    int fd = dir ? nameless(dir) : -1;
    if (fd < 0 || fstatvfs(fd, &space) < 0 || fstatfs(fd, &fs) < 0) {
        int errnum = errno;
        probe->verdict = PROBE_MISSING;
        buf_addf(&probe->found, dir ? "%s can't be written: %s" : "has no place", dir,
                 strerror(errnum));
        buf_adds(&probe->means, "Results can't be kept, nor steps isolated.");
        buf_adds(&probe->remedy, "Let KILN_CACHE_DIR name a directory that can be written.");
        if (fd >= 0)
            close(fd);
        return;
    }
    const char *name = filesystem_name((uint32_t)fs.f_type);
    uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
    uint64_t total = (uint64_t)space.f_blocks * space.f_frsize;
    bool attributes = fsetxattr(fd, "user.kiln", "1", 1, 0) == 0;
    buf_addf(&probe->found, "%s; ", dir);
    if (name)
        buf_adds(&probe->found, name);
    else
        buf_addf(&probe->found, "file system %#jx", (uintmax_t)fs.f_type);
    buf_addf(&probe->found, ", %s free%s%s", text_size(available, free_bytes),
             shares_blocks(dir, fd) ? ", copies share their blocks" : "",
             attributes ? "" : ", no attributes of the user");
    close(fd);
    if (available < total / 20 || available < 1ull << 30) {
        probe->verdict = PROBE_LIMITED;
        buf_adds(&probe->means, "kiln keeps 5 % of the disk free, and has little left to work in.");
        buf_adds(&probe->remedy, "Make room, let kiln have less, or let KILN_CACHE_DIR name a "
                                 "place on another disk:");
        buf_adds(&probe->commands, "kiln cache gc --size=1GiB\n");
    } else if (!attributes) {
        probe->verdict = PROBE_LIMITED;
        buf_adds(&probe->means, "A step can't replace a directory of its inputs by another.");
        buf_adds(&probe->remedy, "Let KILN_CACHE_DIR name a place on ext4, xfs or btrfs.");
    }
}

/* -- the clock --------------------------------------------------------------------------------- */

void doctor_clock(const char *dir, uint64_t now_ns, struct probe *probe)
{
    struct stat st;
    char now[32];
    probe->name = "clock";
    text_time(now_ns, now);
    buf_addf(&probe->found, "%.10s %.8s UTC", now, now + 11);
    /* The first second of 2024: before kiln was written. */
    if (now_ns < 1704067200ull * NS) {
        probe->verdict = PROBE_LIMITED;
        buf_adds(&probe->means, "The clock is wrong: certificates of registries are refused.");
        buf_adds(&probe->remedy, "Set it:");
        buf_adds(&probe->commands, "sudo timedatectl set-ntp true\n");
        return;
    }
    int fd = dir ? nameless(dir) : -1;
    if (fd < 0)
        return;
    if (write(fd, "", 1) == 1 && fstat(fd, &st) == 0) {
        uint64_t theirs = (uint64_t)st.st_mtim.tv_sec * NS + (uint64_t)st.st_mtim.tv_nsec;
        uint64_t ours = clock_realtime_ns();
        uint64_t off = theirs > ours ? theirs - ours : ours - theirs;
        if (off > 2 * NS) {
            char text[16];
            probe->verdict = PROBE_LIMITED;
            buf_addf(&probe->found, "; that of the files is %s %s",
                     text_duration(off / 1000000, text), theirs > ours ? "ahead" : "behind");
            buf_adds(&probe->means, "Changes could be missed on a file system with a clock of its "
                                    "own.");
            buf_adds(&probe->remedy, "Have both machines' clocks set by the network:");
            buf_adds(&probe->commands, "sudo timedatectl set-ntp true\n");
        }
    }
    close(fd);
}
