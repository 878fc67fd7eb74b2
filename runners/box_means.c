/*
 * box_means.c - what all boxes of a runner need: the OCI runtime's program, an init, the seccomp
 * filter, and the user namespaces (nests).
 *
 * Each is made when it is first missed, once. Most runs need the same, which takes 2 ms: so a
 * thread begins with that when the runner is made. What fails there is tried again by who asks for
 * it, and told to them alone.
 */
#include "runners/box_private.h"

#include "base/mem.h"
#include "runners/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* memfd_create(2), since Linux 6.3 */
#endif

static bool names_crun(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strncmp(slash ? slash + 1 : program, "crun", 4) == 0;
}

/* File systems that overlayfs cannot write to, and another user's directory, where the nest of root
 * cannot get. */
int box_check_dir(const char *dir, struct err *err)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } unfit[] = {{OVERLAYFS_SUPER_MAGIC, "overlayfs"},
                 {NFS_SUPER_MAGIC, "NFS"},
                 {FUSE_SUPER_MAGIC, "a FUSE file system"},
                 {ECRYPTFS_SUPER_MAGIC, "eCryptfs"}};
    struct statfs fs;
    struct stat st;
    if (!dir || statfs(dir, &fs) != 0)
        return 0;
    if (geteuid() == 0 && stat(dir, &st) == 0 && st.st_uid != 0 && !(st.st_mode & S_IXOTH))
        return err_set(err, ERR_SYSTEM,
                       "the cache (%s) is that of another user (%u), where isolated steps of root "
                       "cannot get; run kiln as that user, or set KILN_CACHE_DIR to another "
                       "directory",
                       dir, (unsigned)st.st_uid);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        if ((unsigned long)fs.f_type == unfit[i].magic)
            return err_set(err, ERR_SYSTEM,
                           "the cache (%s) lies on %s, where isolated steps cannot write; set "
                           "KILN_CACHE_DIR to a directory on a file system of this machine (in a "
                           "container: a volume, or /dev/shm)",
                           dir, unfit[i].name);
    }
    return 0;
}

/* A runtime makes a sealed copy of itself each time and executes that, so that nothing in a box can
 * write to it through /proc (CVE-2019-5736); one that is executed from such a copy does not. -1
 * when none can be had: then the runtime does it. */
static int seal(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    int from = open(program, O_RDONLY | O_CLOEXEC), seals = 0;
    int fd = from < 0 ? -1 : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && from >= 0 && errno == EINVAL) /* before Linux 6.3 all are executable */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0)
        n = sendfile(fd, from, NULL, (size_t)1 << 24);
    seals = n < 0
                ? -1
                : fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    if (from >= 0)
        close(from);
    if (fd >= 0 && seals != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int need_runtime(struct box_means *means, struct err *err)
{
    if (!means->program && !(means->program = probe_program(means->runtime)))
        return err_set(err, ERR_SYSTEM,
                       "isolated steps are run by %s, which is not installed (on Debian: "
                       "apt-get install crun); install it, or name another OCI runtime in "
                       "KILN_RUNTIME",
                       means->runtime);
    means->is_crun = names_crun(means->program);
    if (!means->init && !(means->init = probe_init()))
        return err_set(err, ERR_SYSTEM,
                       "isolated steps need an init that ends them with kiln, and there is none "
                       "(on Debian: apt-get install tini; Docker's docker-init serves as well)");
    if (!means->filter && means->is_crun) {
        struct err none = ERR_INIT;
        means->filter = box_filter_base64(&none);
        err_release(&none);
    }
    if (means->file < 0)
        means->file = seal(means->program);
    return 0;
}

static const struct box_nest *need_nest(struct box_means *means, const struct nest_ids *ids,
                                        struct err *err)
{
    struct box_nest nest = {.ids = *ids};
    vec_each (struct box_nest, known, &means->nests) {
        if (known->ids.uid == ids->uid && known->ids.gid == ids->gid)
            return known;
    }
    if (box_check_dir(means->dir, err) < 0 || nest_user_open(ids, &nest.map, &nest.fd, err) < 0)
        return NULL;
    vec_push(&means->nests, nest);
    return &vec_last(&means->nests);
}

/* What nearly every run needs. */
static void begin(void *ctx)
{
    static const struct nest_ids root = {0, 0};
    struct box_means *means = ctx;
    struct err none = ERR_INIT;
    (void)need_nest(means, &root, &none);
    err_release(&none);
    int rc = need_runtime(means, &none);
    (void)rc;
    err_release(&none);
}

static void join(struct box_means *means)
{
    if (means->under_way)
        uv_thread_join(&means->thread);
    means->under_way = false;
}

void box_means_open(struct box_means *means, const char *runtime, const char *dir)
{
    *means = (struct box_means){
        .runtime = mem_strdup(runtime), .dir = dir ? mem_strdup(dir) : NULL, .file = -1};
    means->under_way = uv_thread_create(&means->thread, begin, means) == 0;
}

int box_means_runtime(struct box_means *means, struct err *err)
{
    join(means);
    return need_runtime(means, err);
}

const struct box_nest *box_means_nest(struct box_means *means, const struct nest_ids *ids,
                                      struct err *err)
{
    join(means);
    return need_nest(means, ids, err);
}

void box_means_close(struct box_means *means)
{
    join(means);
    vec_each (struct box_nest, nest, &means->nests)
        close(nest->fd);
    vec_release(&means->nests);
    if (means->file >= 0)
        close(means->file);
    free(means->runtime);
    free(means->dir);
    free(means->program);
    free(means->init);
    free(means->filter);
}
