/*
 * box_bundle.c - config.json of an OCI bundle (Open Container Initiative, runtime specification
 * 1.0) for one box.
 */
#include "runners/box_private.h"

#include "base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

/* What root of an image may do besides what its files say: what package managers need. */
static const char *const root_capabilities[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",     "CAP_FSETID",
    "CAP_KILL",    "CAP_SETGID",           "CAP_SETUID",     "CAP_SETPCAP",
    "CAP_SETFCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
};

/* Open files, as login shells everywhere begin with. */
#define FILES 1024
/* Linux takes arguments and variables of less than 32 pages of 4 KiB (execve(2), MAX_ARG_STRLEN).
 */
#define MAX_WORD 131072

static json_t *strings(const char *const *list)
{
    json_t *array = json_array();
    for (; list && *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

/* --- process --- */

static json_t *capabilities(const struct box_plan *plan)
{
    bool root = plan->box->root == BOX_ROOT_IMAGE && plan->user.uid == 0 && !plan->nested;
    json_t *sets = json_object();
    static const char *const names[] = {"bounding", "effective", "permitted", "inheritable",
                                        "ambient"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *set = json_array();
        for (size_t k = 0;
             root && i < 3 && k < sizeof root_capabilities / sizeof *root_capabilities; k++)
            json_array_append_new(set, json_string(root_capabilities[k]));
        json_object_set_new(sets, names[i], set);
    }
    return sets;
}

/* At most what kiln has itself, which nobody here may raise. */
static void add_limit(json_t *list, const char *type, int resource, uint64_t value)
{
    struct rlimit own;
    if (getrlimit((__rlimit_resource_t)resource, &own) == 0 && own.rlim_max < value)
        value = own.rlim_max;
    json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "type", type, "hard",
                                          (json_int_t)value, "soft", (json_int_t)value));
}

/* So much at first; a program may raise it to what kiln may have. */
static void add_soft_limit(json_t *list, const char *type, int resource, uint64_t value)
{
    struct rlimit own;
    if (getrlimit((__rlimit_resource_t)resource, &own) != 0)
        return;
    if (own.rlim_max < value)
        value = own.rlim_max;
    json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "type", type, "hard",
                                          (json_int_t)own.rlim_max, "soft", (json_int_t)value));
}

static json_t *rlimits(const struct box_plan *plan)
{
    json_t *list = json_array();
    /* A core of one byte is none, for a program that takes cores through a pipe as well (core(5)):
     * memory may hold secrets. */
    add_limit(list, "RLIMIT_CORE", RLIMIT_CORE, 1);
    /* Not kiln's own, which it has raised: the same on every machine that has as many. */
    add_soft_limit(list, "RLIMIT_NOFILE", RLIMIT_NOFILE, FILES);
    if (plan->box->limits.file_size)
        add_limit(list, "RLIMIT_FSIZE", RLIMIT_FSIZE, plan->box->limits.file_size);
    return list;
}

static char *inside_folder(const struct box_plan *plan)
{
    const char *cwd = plan->request->cwd ? plan->request->cwd : "";
    if (*cwd == '/')
        return mem_strdup(cwd);
    return *cwd ? mem_printf("%s/%s", plan->box->mount, cwd) : mem_strdup(plan->box->mount);
}

/* The first process of a pid namespace gets no signal that it has no handler for, and has all
 * orphans as its children; few programs expect that. */
static json_t *args(const struct box_plan *plan)
{
    static const char *const init[] = {BOX_INIT, "-p", "SIGKILL", "--", NULL}; /* as its parent */
    json_t *list = strings(init), *command = strings(plan->request->argv);
    json_array_extend(list, command);
    json_decref(command);
    return list;
}

static json_t *process(const struct box_plan *plan)
{
    json_t *user = json_pack("{s:I, s:I}", "uid", (json_int_t)plan->user.uid, "gid",
                             (json_int_t)plan->user.gid);
    json_t *groups = json_array();
    for (size_t i = 0; i < plan->user.groups.n && !plan->nested; i++)
        json_array_append_new(groups, json_integer(plan->user.groups.v[i]));
    if (json_array_size(groups))
        json_object_set(user, "additionalGids", groups);
    json_decref(groups);
    char *cwd = inside_folder(plan);
    json_t *process = json_object();
    const struct runner_terminal *terminal = plan->request->terminal;
    struct winsize size = plan->request->pty ? *plan->request->pty : (struct winsize){0};
    bool sized = plan->request->pty || (terminal && ioctl(terminal->fd, TIOCGWINSZ, &size) == 0);
    json_object_set_new(process, "terminal", json_boolean(terminal || plan->request->pty));
    if (sized)
        json_object_set_new(process, "consoleSize",
                            json_pack("{s:i, s:i}", "height", size.ws_row, "width", size.ws_col));
    json_object_set_new(process, "user", user);
    json_object_set_new(process, "args", args(plan));
    json_object_set_new(process, "env", strings(plan->request->envp));
    json_object_set_new(process, "cwd", json_string(cwd));
    json_object_set_new(process, "capabilities", capabilities(plan));
    json_object_set_new(process, "rlimits", rlimits(plan));
    json_object_set_new(process, "noNewPrivileges", json_true());
    free(cwd);
    return process;
}

/* --- mounts --- */

static void add_mount(json_t *mounts, const char *type, const char *source, const char *place,
                      const char *options)
{
    json_t *list = json_array();
    for (const char *at = options; *at; at += strcspn(at, ","), at += *at == ',')
        json_array_append_new(list, json_stringn(at, strcspn(at, ",")));
    json_t *mount = json_object();
    json_object_set_new(mount, "destination", json_string(place));
    json_object_set_new(mount, "type", json_string(type));
    json_object_set_new(mount, "source", json_string(source));
    json_object_set_new(mount, "options", list);
    json_array_append_new(mounts, mount);
}

static json_t *mounts(const struct box_plan *plan)
{
    const struct runner_box *box = plan->box;
    json_t *list = json_array();
    char *project = mem_printf("%s/project", plan->nest_path);
    add_mount(list, "proc", "proc", "/proc", "nosuid,noexec,nodev");
    add_mount(list, "tmpfs", "tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k");
    add_mount(list, "devpts", "devpts", "/dev/pts",
              "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
    add_mount(list, "tmpfs", "shm", "/dev/shm", "nosuid,noexec,nodev,mode=1777,size=25%");
    if (!box->network)
        add_mount(list, "sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,ro");
    add_mount(list, "tmpfs", "tmpfs", "/tmp", "nosuid,nodev,mode=1777,size=50%");
    if (box->root == BOX_ROOT_HOST) {
        add_mount(list, "tmpfs", "tmpfs", "/run", "nosuid,nodev,mode=755,size=10%");
        add_mount(list, "tmpfs", "tmpfs", BOX_HOME, "nosuid,nodev,mode=755,size=50%");
    }
    add_mount(list, "bind", project, box->mount, "rbind,rw,nosuid,nodev");
    for (size_t i = 0; i < box->n_caches; i++)
        add_mount(list, "bind", box->caches[i].dir, box->caches[i].path, "rbind,rw,nosuid,nodev");
    for (size_t i = 0; i < box->n_secrets; i++) {
        char *source = mem_printf("%s/secrets/%zu", plan->nest_path, i);
        add_mount(list, "bind", source, box->secrets[i].path, "bind,ro,nosuid,nodev,noexec");
        free(source);
    }
    add_mount(list, "bind", plan->init, BOX_INIT, "bind,ro,nosuid,nodev");
    free(project);
    return list;
}

/* --- namespaces and the rest --- */

static void add_namespace(json_t *list, const char *type)
{
    json_array_append_new(list, json_pack("{s:s}", "type", type));
}

/* Inside, the nest's root. Others than crun want a 0 as well; nothing there can become it. */
static json_t *one_id(const struct box_plan *plan, uint32_t inside, uint32_t more)
{
    json_t *list = json_array();
    static const char *const names[] = {"containerID", "hostID", "size"};
    if (!plan->is_crun && inside && more)
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:i}", names[0], 0, names[1], 1, names[2], 1));
    json_array_append_new(
        list, json_pack("{s:I, s:i, s:i}", names[0], (json_int_t)inside, names[1], 0, names[2], 1));
    return list;
}

static json_t *linux_part(const struct box_plan *plan)
{
    static const char *const types[] = {"pid", "ipc", "uts", "mount", "cgroup"};
    static const char *const masked[] = {"/proc/keys", "/proc/timer_list", "/proc/scsi", NULL};
    static const char *const fixed[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/bus", NULL};
    json_t *part = json_object(), *namespaces = json_array();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        add_namespace(namespaces, types[i]);
    if (!plan->box->network)
        add_namespace(namespaces, "network");
    if (plan->nested) {
        add_namespace(namespaces, "user");
        json_object_set_new(part, "uidMappings", one_id(plan, plan->user.uid, plan->map->uid.more));
        json_object_set_new(part, "gidMappings", one_id(plan, plan->user.gid, plan->map->gid.more));
    }
    json_object_set_new(part, "namespaces", namespaces);
    json_object_set_new(part, "maskedPaths", strings(masked));
    json_object_set_new(part, "readonlyPaths", strings(fixed));
    if (!plan->is_crun || !plan->filter)
        json_object_set_new(part, "seccomp", box_filter_json());
    return part;
}

static int check_words(const char *const *words, struct err *err)
{
    for (; words && *words; words++) {
        if (strlen(*words) >= MAX_WORD)
            return err_set(err, ERR_CONFIG,
                           "Argument list too long (an argument or a variable may have 128 KiB: "
                           "put what is long into a file)");
    }
    return 0;
}

int box_bundle(const struct box_plan *plan, struct buf *out, struct err *err)
{
    if (check_words(plan->request->argv, err) < 0 || check_words(plan->request->envp, err) < 0)
        return -(int)err->kind;
    json_t *root = json_object();
    json_object_set_new(root, "ociVersion", json_string("1.0.0"));
    json_object_set_new(root, "process", process(plan));
    json_object_set_new(
        root, "root",
        json_pack("{s:s, s:b}", "path", "rootfs", "readonly", plan->box->root == BOX_ROOT_HOST));
    json_object_set_new(root, "hostname", json_string("kiln"));
    json_object_set_new(root, "mounts", mounts(plan));
    json_object_set_new(root, "linux", linux_part(plan));
    if (plan->is_crun && plan->filter)
        json_object_set_new(root, "annotations",
                            json_pack("{s:s}", "run.oci.seccomp_bpf_data", plan->filter));
    /* What is not UTF-8 has not become a value. */
    json_t *argv = json_object_get(json_object_get(root, "process"), "args");
    json_t *env = json_object_get(json_object_get(root, "process"), "env");
    size_t n_args = 0, n_env = 0;
    for (size_t i = 0; plan->request->argv[i]; i++)
        n_args++;
    while (plan->request->envp && plan->request->envp[n_env])
        n_env++;
    int rc = 0;
    if (json_array_size(argv) < n_args || json_array_size(env) != n_env)
        rc = err_set(err, ERR_CONFIG,
                     "its command or a variable is not UTF-8, which an OCI runtime cannot be told");
    char *text = rc == 0 ? json_dumps(root, JSON_COMPACT) : NULL;
    if (rc == 0 && !text)
        rc = err_set(err, ERR_CONFIG,
                     "a path of its box is not UTF-8, which an OCI runtime cannot "
                     "be told");
    if (text) {
        buf_adds(out, text);
        explicit_bzero(text, strlen(text)); /* the environment may hold secrets */
    }
    free(text);
    json_decref(root);
    return rc;
}
