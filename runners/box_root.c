/*
 * box_root.c - what a box sees of files, as operations of its nest.
 *
 *     <box>/nest/            a tmpfs: the OCI bundle, and where the runtime keeps its state
 *     <box>/nest/config.json
 *     <box>/nest/rootfs/     the image's layers below root-upper/, or the host's system directories
 *     <box>/nest/project/    the view of the project below upper/
 *     <box>/nest/secrets/N   files in memory
 *     <box>/work/, <box>/root-work/   overlayfs' own
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* What mount(2) takes of options: a page, with its NUL. */
#define MAX_OPTIONS 4095

#define SYSTEM_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* Of the host's root. What is a link there is one in the box. */
static const char *const system_dirs[] = {
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix", "gnu",
};

/* Of the host's /etc: what is secret, or tells one machine from another. */
static const char *const hidden_in_etc[] = {
    "NetworkManager", "apt/auth.conf", "apt/auth.conf.d", "docker",           "gshadow",
    "gshadow-",       "ipsec.d",       "ipsec.secrets",   "krb5.keytab",      "kubernetes",
    "letsencrypt",    "localtime",     "mysql",           "netplan",          "openvpn",
    "postgresql",     "ppp",           "rancher",         "security/opasswd", "shadow",
    "shadow-",        "ssh",           "ssl/private",     "sudo.conf",        "sudoers",
    "sudoers.d",      "timezone",      "wireguard",       "wpa_supplicant",
};

/* What a box has of its own there. */
static const char *const own_in_etc[] = {
    "passwd", "group", "hosts", "hostname", "machine-id", "resolv.conf",
};

static const char etc_passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                                 "kiln:x:1000:1000:kiln:" BOX_HOME ":/bin/sh\n"
                                 "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
static const char etc_group[] = "root:x:0:\nkiln:x:1000:\nnogroup:x:65534:\n";
static const char etc_hosts[] = "127.0.0.1 localhost kiln\n::1 localhost kiln\n";

/* --- overlays --- */

/* The directory that all lie below, so that options can be short. */
static char *common_folder(const char *const *paths, size_t n, const char *more)
{
    size_t length = (size_t)(strrchr(more, '/') - more);
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (same < length && paths[i][same] == more[same])
            same++;
        while (same > 0 && !(more[same] == '/' && paths[i][same] == '/'))
            same--;
        length = same;
    }
    return mem_strndup(more, length ? length : 1);
}

/* Colons part layers, commas options. */
static void add_escaped(struct buf *out, const char *path)
{
    for (; *path; path++) {
        if (*path == ':' || *path == ',' || *path == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *path);
    }
}

static const char *below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (n == 1)
        return path;
    return path + n + 1;
}

/* Lays n directories, the lowest first, and upper over one another on target. */
static int overlay(struct nest *nest, const char *const *lower, size_t n, const char *dir,
                   const char *prefix, const char *target, struct err *err)
{
    struct buf options = BUF_INIT;
    char *upper = mem_printf("%s/%supper", dir, prefix);
    char *work = mem_printf("%s/%swork", dir, prefix);
    char *folder = common_folder(lower, n, upper);
    int rc = 0;
    buf_adds(&options, "lowerdir=");
    for (size_t i = n; i-- > 0;) {
        add_escaped(&options, below(lower[i], folder));
        if (i)
            buf_addc(&options, ':');
    }
    buf_adds(&options, ",upperdir=");
    add_escaped(&options, below(upper, folder));
    buf_adds(&options, ",workdir=");
    add_escaped(&options, below(work, folder));
    /* volatile: what a killed machine leaves half-written is thrown away anyway. */
    buf_adds(&options, ",userxattr,volatile");
    if (options.len > MAX_OPTIONS)
        rc = err_set(err, ERR_CONFIG,
                     "an image of %zu layers has more than one mount can take; make one with fewer",
                     n);
    if (rc == 0) {
        /* Mounted before, for a step that failed: what overlayfs keeps there says no more than that
         * nobody synced it. */
        static const char *const marks[] = {"dirty", ""};
        for (size_t i = 0; i < 2; i++) {
            char *mark = mem_printf("%s/work/incompat/volatile/%s", work, marks[i]);
            nest_remove(nest, mark);
            nest_optional(nest);
            free(mark);
        }
        if (*prefix) /* else it is the caller's */
            nest_mkdir(nest, upper, 0755);
        nest_mkdir(nest, work, 0755);
        nest_chdir(nest, folder);
        nest_mount(nest, "overlay", target, 0, buf_str(&options));
    }
    buf_release(&options);
    free(upper);
    free(work);
    free(folder);
    return rc;
}

/* --- the host's system --- */

/* One path below rootfs/ or etc-top/. */
static void make_parents(struct nest *nest, const char *base, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *parent = mem_printf("%s/%.*s", base, (int)(slash - path), path);
        nest_mkdir(nest, parent, 0755);
        free(parent);
    }
}

static void hide_in_etc(struct nest *nest, const char *path)
{
    struct stat st;
    char *host = mem_printf("/etc/%s", path), *top = mem_printf("etc/%s", path);
    if (lstat(host, &st) == 0) {
        make_parents(nest, "etc", path);
        nest_hide(nest, top);
    }
    free(host);
    free(top);
}

/* Where kiln's own files of /etc go: a layer over the host's, or the assembled one. */
static const char *etc_top(bool assembled)
{
    return assembled ? "rootfs/etc" : "etc";
}

static void file_in_etc(struct nest *nest, bool assembled, const char *name, const char *text)
{
    char *top = path_join(etc_top(assembled), name);
    nest_file(nest, top, text, strlen(text), 0644);
    free(top);
}

/* The host's own as it is now, wherever a link leads: with its network a step needs its resolver.
 */
static void copy_resolver(struct nest *nest, bool assembled)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (file_read("/etc/resolv.conf", 65536, &text, &err) < 0)
        buf_reset(&text);
    file_in_etc(nest, assembled, "resolv.conf", buf_str(&text));
    err_release(&err);
    buf_release(&text);
}

/* Whether something is mounted below the host's /etc, as containers have it with hosts and
 * resolv.conf. The nest may not look behind that, so an overlay cannot have /etc as a layer. */
static bool etc_has_mounts(void)
{
    struct buf text = BUF_INIT;
    bool any = file_read("/proc/self/mountinfo", 1 << 22, &text, NULL) == 0 &&
               strstr(buf_str(&text), " /etc/");
    buf_release(&text);
    return any;
}

/* Whether an entry of /etc is hidden, or (*within) something below it is. */
static bool is_hidden(const char *name, bool *within)
{
    size_t n = strlen(name);
    *within = false;
    for (size_t i = 0; i < sizeof hidden_in_etc / sizeof *hidden_in_etc; i++) {
        if (strncmp(hidden_in_etc[i], name, n) != 0)
            continue;
        if (!hidden_in_etc[i][n])
            return true;
        *within = *within || hidden_in_etc[i][n] == '/';
    }
    return false;
}

static bool is_own(const char *name)
{
    for (size_t i = 0; i < sizeof own_in_etc / sizeof *own_in_etc; i++) {
        if (!strcmp(own_in_etc[i], name))
            return true;
    }
    return false;
}

/* One entry of the host's, as it is. */
static void take_entry(struct nest *nest, const char *name)
{
    char target[4096];
    struct stat st;
    bool within;
    if (is_own(name) || is_hidden(name, &within))
        return;
    char *host = path_join("/etc", name), *inside = path_join("rootfs/etc", name);
    if (lstat(host, &st) < 0) {
        /* Gone meanwhile. */
    } else if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(host, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            nest_symlink(nest, target, inside);
        }
    } else if (S_ISDIR(st.st_mode) && within) {
        char *top = path_join("etc", name);
        char *options = mem_printf("lowerdir=%s:%s,userxattr", top, host);
        nest_mkdir(nest, top, 0755);
        nest_mkdir(nest, inside, 0755);
        nest_mount(nest, "overlay", inside, MS_RDONLY | MS_NOSUID | MS_NODEV, options);
        free(options);
        free(top);
    } else if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) {
        if (S_ISDIR(st.st_mode))
            nest_mkdir(nest, inside, 0755);
        else
            nest_file(nest, inside, "", 0, 0644);
        nest_bind(nest, host, inside, true, SYSTEM_ATTRIBUTES);
        nest_optional(nest);
    }
    free(host);
    free(inside);
}

static void assemble_etc(struct nest *nest)
{
    DIR *dir = opendir("/etc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            take_entry(nest, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

static void add_etc(const struct box_plan *plan, struct nest *nest)
{
    bool assembled = etc_has_mounts();
    nest_mkdir(nest, "etc", 0755);
    nest_mkdir(nest, "rootfs/etc", 0755);
    for (size_t i = 0; i < sizeof hidden_in_etc / sizeof *hidden_in_etc; i++)
        hide_in_etc(nest, hidden_in_etc[i]);
    file_in_etc(nest, assembled, "passwd", etc_passwd);
    file_in_etc(nest, assembled, "group", etc_group);
    file_in_etc(nest, assembled, "hosts", etc_hosts);
    file_in_etc(nest, assembled, "hostname", "kiln\n");
    file_in_etc(nest, assembled, "machine-id", "");
    if (plan->box->network)
        copy_resolver(nest, assembled);
    else
        file_in_etc(nest, assembled, "resolv.conf", "");
    if (assembled)
        assemble_etc(nest);
    else
        nest_mount(nest, "overlay", "rootfs/etc", MS_RDONLY | MS_NOSUID | MS_NODEV,
                   "lowerdir=etc:/etc,userxattr");
}

static void add_system(const struct box_plan *plan, struct nest *nest)
{
    static const char *const empty[] = {"proc", "dev",  "sys", "tmp",  "run",
                                        "var",  "home", "mnt", "root", "srv"};
    for (size_t i = 0; i < sizeof system_dirs / sizeof *system_dirs; i++) {
        char target[4096];
        struct stat st;
        char *host = mem_printf("/%s", system_dirs[i]);
        char *inside = mem_printf("rootfs/%s", system_dirs[i]);
        ssize_t n = readlink(host, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            nest_symlink(nest, target, inside);
        } else if (stat(host, &st) == 0 && S_ISDIR(st.st_mode)) {
            nest_mkdir(nest, inside, 0755);
            nest_bind(nest, host, inside, true, SYSTEM_ATTRIBUTES);
        }
        free(host);
        free(inside);
    }
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char *inside = mem_printf("rootfs/%s", empty[i]);
        nest_mkdir(nest, inside, 0755);
        free(inside);
    }
    nest_symlink(nest, "/tmp", "rootfs/var/tmp");
    add_etc(plan, nest);
}

/* --- all of it --- */

static int add_root(const struct box_plan *plan, struct nest *nest, struct err *err)
{
    const struct runner_box *box = plan->box;
    if (box->root == BOX_ROOT_HOST) {
        add_system(plan, nest);
        return 0;
    }
    if (!box->n_layers)
        return err_set(err, ERR_CONFIG, "its image has no layers: there is nothing to run in it");
    char *target = mem_printf("%s/rootfs", plan->nest_path);
    int rc = overlay(nest, box->layers, box->n_layers, box->dir, "root-", target, err);
    free(target);
    nest_chdir(nest, plan->nest_path);
    return rc;
}

static int add_project(const struct box_plan *plan, struct nest *nest, struct err *err)
{
    const struct runner_box *box = plan->box;
    char *target = mem_printf("%s/project", plan->nest_path);
    char *upper = mem_printf("%s/upper", box->dir);
    int rc = 0;
    nest_mkdir(nest, "project", 0755);
    if (box->n_view)
        rc = overlay(nest, box->view, box->n_view, box->dir, "", target, err);
    else
        nest_bind(nest, upper, target, false, 0);
    nest_chdir(nest, plan->nest_path);
    free(upper);
    free(target);
    return rc;
}

static void add_secrets(const struct box_plan *plan, struct nest *nest)
{
    const struct runner_box *box = plan->box;
    if (box->n_secrets)
        nest_mkdir(nest, "secrets", 0755);
    for (size_t i = 0; i < box->n_secrets; i++) {
        char *path = mem_printf("secrets/%zu", i);
        nest_file(nest, path, box->secrets[i].bytes, box->secrets[i].n, 0444);
        free(path);
    }
}

int box_root_nest(const struct box_plan *plan, struct nest *nest, struct err *err)
{
    /* Mixed hierarchies make crun give up, and it needs none: kiln sets limits. Others want to see
     * groups, and take it that they may not make any. */
    if (plan->is_crun) {
        nest_mount(nest, "tmpfs", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k");
        nest_optional(nest);
    }
    nest_mkdir(nest, plan->nest_path, 0755);
    nest_mount(nest, "tmpfs", plan->nest_path, MS_NOSUID | MS_NODEV, "mode=755");
    nest_chdir(nest, plan->nest_path);
    nest_mkdir(nest, "rootfs", 0755);
    nest_mkdir(nest, "state", 0700);
    add_secrets(plan, nest);
    int rc = add_root(plan, nest, err);
    return rc == 0 ? add_project(plan, nest, err) : rc;
}
