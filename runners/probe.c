#include "runners/probe_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/subid.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where root's boxes are when nobody gave it a range: far above what systems give out. */
#define ROOT_FIRST 1879048192u
#define IDS        65536u

static bool read_below(const struct probe_context *context, const char *path, struct buf *out)
{
    char *full = mem_printf("%s%s", context->root, path);
    bool ok = file_read(full, 1 << 20, out, NULL) == 0;
    free(full);
    return ok;
}

long long probe_setting(const struct probe_context *context, const char *path, long long none)
{
    struct buf text = BUF_INIT;
    char *end = NULL;
    long long value = none;
    if (read_below(context, path, &text)) {
        value = strtoll(buf_str(&text), &end, 10);
        if (end == buf_str(&text))
            value = none;
    }
    buf_release(&text);
    return value;
}

/* The value of "name:\tvalue" in /proc/self/status. */
static long status_field(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    return at ? strtol(at + strlen(name), NULL, 10) : 0;
}

static bool exists_below(const struct probe_context *context, const char *path)
{
    char *full = mem_printf("%s%s", context->root, path);
    bool yes = access(full, F_OK) == 0;
    free(full);
    return yes;
}

static bool inside_container(const struct probe_context *context)
{
    struct buf text = BUF_INIT;
    bool yes = exists_below(context, "/.dockerenv") ||
               exists_below(context, "/run/.containerenv") ||
               exists_below(context, "/run/systemd/container");
    if (!yes && read_below(context, "/proc/1/cgroup", &text))
        /* In a cgroup namespace of its own: at the root, which is none, as its files tell. */
        yes = strstr(buf_str(&text), "/docker") || strstr(buf_str(&text), "/kubepods") ||
              strstr(buf_str(&text), "/lxc") ||
              (!strcmp(buf_str(&text), "0::/\n") &&
               exists_below(context, "/sys/fs/cgroup/cgroup.events"));
    buf_release(&text);
    return yes;
}

/* As an ordinary user, oneself; as root, a range that nobody uses: never the host's uid 0. */
static void set_ids(struct probe_context *context)
{
    struct subid_range uids, gids;
    char *subuid = mem_printf("%s/etc/subuid", context->root);
    char *subgid = mem_printf("%s/etc/subgid", context->root);
    if (context->uid) {
        context->ids = (struct try_ids){context->uid, context->gid, 1};
    } else if (subid_read(subuid, context->user, 0, &uids) &&
               subid_read(subgid, context->user, 0, &gids)) {
        context->ids = (struct try_ids){uids.first, gids.first,
                                        uids.count < gids.count ? uids.count : gids.count};
        context->range_is_given = true;
    } else {
        context->ids = (struct try_ids){ROOT_FIRST, ROOT_FIRST, IDS};
    }
    free(subuid);
    free(subgid);
}

void probe_context_init(struct probe_context *context, const char *root)
{
    struct buf status = BUF_INIT;
    *context = (struct probe_context){.root = root ? root : "", .uid = geteuid(), .gid = getegid()};
    struct passwd entry, *found = NULL;
    char space[4096];
    if (getpwuid_r(context->uid, &entry, space, sizeof space, &found) == 0 && found)
        context->user = mem_strdup(found->pw_name);
    else
        context->user = mem_printf("%u", context->uid);
    context->container = inside_container(context);
    if (read_below(context, "/proc/self/status", &status)) {
        context->no_new_privs = status_field(buf_str(&status), "\nNoNewPrivs:") == 1;
        context->filtered = status_field(buf_str(&status), "\nSeccomp:") == 2;
    }
    buf_release(&status);
    set_ids(context);
}

void probe_context_release(struct probe_context *context)
{
    free(context->user);
    *context = (struct probe_context){0};
}

void probe_all(const struct probe_options *options, struct probe_report *out)
{
    struct probe_context context;
    struct trial trial;
    struct err err = ERR_INIT;
    struct utsname names = {0};
    const char *runtime = options->runtime;
    *out = (struct probe_report){0};
    struct probe *probes = out->probes;
    probe_context_init(&context, options->root);
    uname(&names);
    probe_kernel(&context, names.release, &probes[PROBE_KERNEL]);
    bool tried = trial_run(&context.ids, options->dir, &trial, &err) == 0;
    if (!tried && options->dir) {
        /* What the directory refuses is the overlay's trouble alone. */
        struct probe *overlay = &probes[PROBE_OVERLAY];
        overlay->name = "overlay";
        overlay->verdict = PROBE_MISSING;
        buf_addf(&overlay->found, "not tried: %s", err_text(&err));
        buf_adds(&overlay->means, "What steps write has no place.");
        buf_adds(&overlay->remedy, "Let KILN_CACHE_DIR name a directory that can be written.");
        err_release(&err);
        tried = trial_run(&context.ids, NULL, &trial, &err) == 0;
    }
    err_release(&err);
    probe_userns(&context, tried ? &trial : NULL, &probes[PROBE_USERNS]);
    probe_mounts(&context, tried ? &trial : NULL, &probes[PROBE_MOUNTS]);
    if (!probes[PROBE_OVERLAY].name)
        probe_overlay(&context, tried ? &trial : NULL, options->dir, &probes[PROBE_OVERLAY]);
    if (!runtime)
        runtime = getenv("KILN_RUNTIME");
    probe_runtime(&context, runtime && *runtime ? runtime : "crun", &probes[PROBE_RUNTIME]);
    probe_init_program(&context, &probes[PROBE_INIT]);
    probe_ids(&context, &probes[PROBE_IDS]);
    probe_seccomp(&context, &probes[PROBE_SECCOMP]);
    probe_cgroups(&context, &probes[PROBE_CGROUPS]);
    probe_context_release(&context);
}

/* The remedy and its commands, in one line. */
static void add_remedy(const struct probe *probe, struct buf *out)
{
    const char *between = "";
    buf_adds(out, buf_str(&probe->remedy));
    for (const char *p = buf_str(&probe->commands); *p; between = " &&") {
        size_t n = strcspn(p, "\n");
        buf_addf(out, "%s %.*s", between, (int)n, p);
        p += n + (p[n] == '\n');
    }
}

int probe_first_missing(const struct probe_report *report, struct err *err)
{
    for (size_t i = 0; i < PROBE_N; i++) {
        const struct probe *probe = &report->probes[i];
        if (probe->verdict != PROBE_MISSING)
            continue;
        struct buf remedy = BUF_INIT;
        add_remedy(probe, &remedy);
        int rc = err_set(err, ERR_SYSTEM, "%s: %s. %s %s", probe->name, buf_str(&probe->found),
                         buf_str(&probe->means), buf_str(&remedy));
        buf_release(&remedy);
        return rc;
    }
    return 0;
}

void probe_limits(struct buf *out)
{
    struct probe_context context;
    struct probe_report report = {0};
    probe_context_init(&context, NULL);
    probe_cgroups(&context, &report.probes[PROBE_CGROUPS]);
    add_remedy(&report.probes[PROBE_CGROUPS], out);
    probe_release(&report);
    probe_context_release(&context);
}

int probe_refusal(const struct probe_options *options, struct err *err)
{
    struct probe_report report;
    probe_all(options, &report);
    int rc = probe_first_missing(&report, err);
    probe_release(&report);
    return rc;
}

void probe_release(struct probe_report *report)
{
    for (size_t i = 0; i < PROBE_N; i++) {
        buf_release(&report->probes[i].found);
        buf_release(&report->probes[i].means);
        buf_release(&report->probes[i].remedy);
        buf_release(&report->probes[i].commands);
    }
    *report = (struct probe_report){0};
}
