/*
 * serve_match.c - whether a watcher may answer a command: whether that would come to the same.
 */
#include "cli/serve_match.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/git_source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

extern char **environ;

#define CONFIG_BYTES ((size_t)16 << 20)
#define YOUNG_NS     UINT64_C(2000000000) /* a stamp may hide a change made right after it */

bool serve_is_local(const char *root)
{
    static const uint32_t remote[] = {
        0x6969,     /* nfs */
        0x517b,     /* smb */
        0xff534d42, /* cifs */
        0xfe534d42, /* smb2 */
        0x65735546, /* fuse: who knows; virtiofs */
        0x01021997, /* 9p */
        0x00c36400, /* ceph */
        0x5346414f, /* afs */
        0x6b414653, /* kafs */
        0x73757245, /* coda */
        0x786f4256, /* vboxsf */
        0xbacbacbc, /* vmhgfs */
        0x7c7c6673, /* prl_fs */
        0x0bd00bd0, /* lustre */
        0x47504653, /* gpfs */
        0x01161970, /* gfs2 */
        0x7461636f, /* ocfs2 */
    };
    struct statfs fs;
    if (statfs(root, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++) {
        if ((uint32_t)fs.f_type == remote[i])
            return false;
    }
    return true;
}

static const char *variable(const struct wire_request *request, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < request->n_env; i++) {
        if (strncmp(request->env[i], name, n) == 0 && request->env[i][n] == '=')
            return request->env[i] + n + 1;
    }
    return NULL;
}

static bool same_variable(const struct wire_request *request, const char *name)
{
    const char *here = getenv(name), *there = variable(request, name);
    return here && there ? strcmp(here, there) == 0 : here == there;
}

/* What git would write of a tree is the same: settings can come by variables ("git -c"). */
static bool same_settings(const struct wire_request *request)
{
    size_t here = 0, there = 0;
    for (char **at = environ; at && *at; at++)
        here += git_source_goes_by(*at);
    for (size_t i = 0; i < request->n_env; i++) {
        char *name = mem_strndup(request->env[i], strcspn(request->env[i], "="));
        bool goes_by = git_source_goes_by(request->env[i]);
        bool same = !goes_by || same_variable(request, name);
        there += goes_by;
        free(name);
        if (!same)
            return false;
    }
    return here == there;
}

static bool same_environment(const struct serve_match *match, const struct wire_request *request)
{
    /* Where things lie, and what git's rules come from. */
    static const char *const always[] = {"HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME",
                                         "XDG_CONFIG_HOME", "KILN_CACHE_DIR"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (!same_variable(request, always[i]))
            return false;
    }
    for (size_t i = 0; i < match->names.n; i++) {
        if (!same_variable(request, match->names.v[i]))
            return false;
    }
    return !*request->tree || same_settings(request);
}

/* Whether the file that the asker has seen is the one that was read: by its stamp, and as long as
 * that is too young to tell, by its content. */
static bool same_config(struct serve_match *match, const struct wire_request *request)
{
    const struct config *config = match->app->config;
    uint64_t stamp[5];
    wire_stamp(&match->app->config_stat, stamp);
    if (!match->good || memcmp(stamp, request->stamp, sizeof stamp) != 0)
        return false;
    if (match->sure)
        return true;
    struct buf text = BUF_INIT;
    uint64_t now = clock_realtime_ns();
    bool same = file_read(config->path, CONFIG_BYTES, &text, NULL) == 0;
    struct digest digest = digest_of(buf_str(&text), text.len);
    same = same && digest_eq(&digest, &config->text);
    match->sure = same && stamp[4] < now && now - stamp[4] > YOUNG_NS;
    buf_release(&text);
    return same;
}

/* Whether a step has a secret that may be another one by now without the watcher's knowing. */
static bool has_foreign_secrets(const struct config *config)
{
    for (size_t i = 0; i < config->n_steps; i++) {
        for (size_t k = 0; k < config->steps[i].n_secrets; k++) {
            if (config->steps[i].secrets[k].source != CONFIG_SECRET_ENV)
                return true;
        }
    }
    return false;
}

const char *serve_trouble(struct serve_match *match, const struct wire_request *request)
{
    const struct app *app = match->app;
    struct stat st;
    if (memcmp(&match->stand, &request->stand, sizeof match->stand) != 0)
        return "another kiln, or in other surroundings";
    if (strcmp(request->root, app->root) != 0 || strcmp(request->config, app->config->path) != 0 ||
        stat(app->root, &st) != 0 || st.st_dev != request->project[0] ||
        st.st_ino != request->project[1])
        return "another project";
    if (app->config->generate)
        return "the pipeline is generated";
    if (!same_config(match, request))
        return "another pipeline";
    if (!same_environment(match, request))
        return "another environment";
    if (has_foreign_secrets(app->config))
        return "secrets are to be fetched";
    return NULL;
}

static void add_name(struct serve_match *match, const char *name)
{
    vec_each (const char *, have, &match->names) {
        if (strcmp(*have, name) == 0)
            return;
    }
    vec_push(&match->names, name);
}

void serve_match_loaded(struct serve_match *match, bool good)
{
    const struct config *config = match->app->config;
    match->good = good;
    match->sure = false;
    vec_clear(&match->names);
    for (size_t i = 0; good && i < config->n_steps; i++) {
        for (size_t k = 0; k < config->steps[i].n_pass_env; k++)
            add_name(match, config->steps[i].pass_env[k].text);
        for (size_t k = 0; k < config->steps[i].n_secrets; k++) {
            const struct config_secret *secret = &config->steps[i].secrets[k];
            if (secret->source == CONFIG_SECRET_ENV)
                add_name(match, secret->from);
        }
    }
}
