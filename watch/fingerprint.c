#include "watch/private.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A clock of files moves in steps of up to 10 ms; where it has whole seconds only, of up to 2 s. */
#define FINE_STEP_NS   INT64_C(50000000)
#define COARSE_STEP_NS INT64_C(2100000000)

static uint64_t mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) + UINT64_C(0x9e3779b97f4a7c15);
    sum = (sum ^ (sum >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    sum = (sum ^ (sum >> 27)) * UINT64_C(0x94d049bb133111eb);
    return sum ^ (sum >> 31);
}

static uint64_t mix_name(const char *name)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        sum = (sum ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return sum;
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(now);
}

static uint64_t entry_sum(const char *name, const struct stat *st)
{
    uint64_t sum = mix(mix_name(name), st->st_mode);
    sum = mix(mix(sum, st->st_dev), st->st_ino);
    /* What happens below a directory is not a change of the one that holds it. */
    if (S_ISDIR(st->st_mode))
        return sum;
    sum = mix(sum, (uint64_t)st->st_size);
    sum = mix(sum, (uint64_t)nanoseconds(st->st_mtim));
    return mix(sum, (uint64_t)nanoseconds(st->st_ctim));
}

/* Only the change time counts: programs may set the other to anything. */
static bool is_racy(const struct stat *st, int64_t begun)
{
    int64_t changed = nanoseconds(st->st_ctim);
    int64_t step = st->st_ctim.tv_nsec ? FINE_STEP_NS : COARSE_STEP_NS;
    /* Clearly in the future: another machine's clock; that must not count as new for ever. */
    return changed > begun - step && changed < begun + 2 * COARSE_STEP_NS;
}

static void look(struct fingerprint *found, int root_fd, const char *path, atomic_bool *stop)
{
    *found = (struct fingerprint){.gone = true};
    int64_t begun = now_ns();
    int fd = root_fd < 0 ? -1
                         : openat(root_fd, *path ? path : ".",
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return;
    }
    struct stat st;
    if (!fstat(fd, &st)) {
        found->gone = false;
        found->sum = mix(mix(mix(0, st.st_dev), st.st_ino), st.st_mode);
        const struct dirent *entry;
        while ((entry = readdir(stream)) && !atomic_load_explicit(stop, memory_order_relaxed)) {
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                continue;
            if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
                continue;
            found->sum += entry_sum(entry->d_name, &st);
            found->racy |= !S_ISDIR(st.st_mode) && is_racy(&st, begun);
        }
    }
    closedir(stream);
}

void fingerprint_work(struct poll_pass *pass)
{
    int root_fd = open(pass->root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; i < pass->n_items; i++) {
        if (atomic_load_explicit(&pass->stop, memory_order_relaxed))
            break;
        look(&pass->items[i].found, root_fd, buf_str(&pass->paths) + pass->items[i].path,
             &pass->stop);
    }
    if (root_fd >= 0)
        close(root_fd);
}
