/*
 * libgit2 finds the repository, reads its configuration and its index; all else is a handful of
 * small files that are read whole and compared by stamp afterwards.
 */
#include "cache/ignore_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RULES_BYTES ((size_t)16 << 20)
#define FIRST           UINT64_C(0xcbf29ce484222325)

uint64_t ignore_mix(uint64_t fingerprint, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        fingerprint = (fingerprint ^ p[i]) * UINT64_C(0x100000001b3);
    fingerprint = (fingerprint ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    return fingerprint ^ fingerprint >> 32;
}

struct stamp ignore_stamp(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? stamp_of(&st) : (struct stamp){.dev = 0};
}

void ignore_stamp_index(struct ignore *ignore)
{
    ignore->index_read_ns = (int64_t)clock_realtime_ns();
    ignore->index_stamp = ignore_stamp(ignore->index_path);
}

/* One that was young when it was looked at may be written again within the same tick. */
static bool index_settled(const struct ignore *ignore)
{
    return !ignore->index_stamp.ino || stamp_settled(&ignore->index_stamp, ignore->index_read_ns);
}

/* Adds the file to the fingerprint; rules says whether it holds any. Links are followed only where
 * git does so. */
static void read_source(struct ignore *ignore, struct source *source, bool rules, bool follow)
{
    struct buf text = BUF_INIT;
    source->read_ns = (int64_t)clock_realtime_ns();
    source->stamp = ignore_stamp(source->path);
    int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
    struct stat st;
    bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular && file_has_writer(fd, st.st_ctim.tv_sec))
        source->read_ns = NEVER_SETTLED;
    if (regular && rules && file_read_fd(fd, source->path, MAX_RULES_BYTES, &text, NULL) == 0)
        source->rules = ignore_rules_new(buf_str(&text), text.len, ignore->fold);
    if (fd >= 0)
        close(fd);
    if (rules) {
        ignore->fingerprint = ignore_mix(ignore->fingerprint, source->base, strlen(source->base));
        ignore->fingerprint = ignore_mix(ignore->fingerprint, buf_str(&text), text.len);
    }
    buf_release(&text);
}

static void add_rules(struct ignore *ignore, char *path, const char *base, bool follow)
{
    struct source source = {.path = path, .base = mem_strdup(base)};
    read_source(ignore, &source, true, follow);
    vec_push(&ignore->sources, source);
}

static void add_watched(struct ignore *ignore, char *path)
{
    struct source source = {.path = path, .base = mem_strdup("")};
    read_source(ignore, &source, false, true);
    vec_push(&ignore->watched, source);
}

/* A regular file counts by what is in it (".git" of a linked worktree), anything else by being
 * there. */
static void add_presence(struct ignore *ignore, char *path)
{
    add_watched(ignore, path);
    struct source *source = &vec_last(&ignore->watched);
    source->presence = !S_ISREG(source->stamp.mode);
}

static void release_source(struct source *source)
{
    ignore_rules_free(source->rules);
    free(source->path);
    free(source->base);
}

void ignore_close(struct ignore *ignore)
{
    if (ignore->awake) {
        ignore->git.index_free(ignore->index);
        ignore->git.repository_free(ignore->repo);
    }
    ignore->index = NULL;
    ignore->repo = NULL;
    free(ignore->prefix);
    free(ignore->index_path);
    ignore->prefix = mem_strdup("");
    ignore->index_path = NULL;
    ignore->index_bad = ignore->index_stale = false;
    ignore->index_stamp = (struct stamp){.dev = 0};
    ignore->fold = ignore->root_ignored = ignore->asleep = ignore->memorable = false;
    ignore->unfinished = false;
    vec_each (struct source, s, &ignore->sources)
        release_source(s);
    vec_each (struct source, w, &ignore->watched)
        release_source(w);
    vec_clear(&ignore->sources);
    vec_clear(&ignore->watched);
    ignore->fingerprint = FIRST;
}

static char *item_path(const struct ignore *ignore, git_repository_item_t item, const char *name)
{
    git_buf dir = {0};
    char *path = NULL;
    if (ignore->git.repository_item_path(&dir, ignore->repo, item) == 0)
        path = *name ? path_join(dir.ptr, name) : mem_strdup(dir.ptr);
    ignore->git.buf_dispose(&dir);
    return path;
}

/* False when the configuration includes files that libgit2 does not tell the names of. */
static bool read_config(struct ignore *ignore, char **excludes)
{
    const struct git *git = &ignore->git;
    git_config *config = NULL;
    git_buf path = {0};
    int fold = 0;
    bool complete = false;
    *excludes = NULL;
    if (git->repository_config_snapshot(&config, ignore->repo) == 0) {
        if (git->config_get_bool(&fold, config, "core.ignorecase") == 0)
            ignore->fold = fold;
        if (git->config_get_path(&path, config, "core.excludesfile") == 0 && path.ptr && *path.ptr)
            *excludes = path_join(git->repository_workdir(ignore->repo), path.ptr);
        git->buf_dispose(&path);
        git_config_iterator *all = NULL;
        git_config_entry *entry;
        complete = git->config_iterator_new(&all, config) == 0;
        while (complete && git->config_next(&entry, all) == 0)
            complete = strncmp(entry->name, "include", 7) != 0;
        git->config_iterator_free(all);
    }
    git->config_free(config);
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
    if (!*excludes && xdg && *xdg)
        *excludes = path_join(xdg, "git/ignore");
    else if (!*excludes && home && *home)
        *excludes = path_join(home, ".config/git/ignore");
    return complete;
}

/* Whether the folder of the project is ignored: each directory from the top of the work tree down
 * to it is asked for. */
static bool prefix_ignored(struct ignore *ignore)
{
    char *path = mem_strdup(ignore->prefix);
    bool ignored = false;
    for (char *slash = strchr(path, '/'); slash && !ignored; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        enum ignore_match match = IGNORE_UNDECIDED;
        vec_each (struct source, source, &ignore->sources) {
            size_t n = strlen(source->base);
            if (match == IGNORE_UNDECIDED && source->rules && strncmp(path, source->base, n) == 0 &&
                path[n])
                match = ignore_rules_match(source->rules, path + n, true);
        }
        ignored = match == IGNORE_YES;
        *slash = '/';
    }
    free(path);
    return ignored;
}

/* The .gitignore of every directory from the top of the work tree to just above the project's
 * folder, nearest first. */
static void add_above(struct ignore *ignore, const char *workdir)
{
    char *base = mem_strdup(ignore->prefix);
    for (size_t n = strlen(base); n > 0;) {
        base[--n] = '\0';
        while (n > 0 && base[n - 1] != '/')
            base[--n] = '\0';
        char *dir = path_join(workdir, base);
        add_rules(ignore, path_join(dir, ".gitignore"), base, false);
        free(dir);
    }
    free(base);
}

static bool find_prefix(struct ignore *ignore)
{
    const char *workdir = ignore->git.repository_workdir(ignore->repo);
    char *top = workdir ? realpath(workdir, NULL) : NULL;
    char *root = realpath(ignore->root, NULL);
    bool found = false;
    if (top && root) {
        size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
        found = strncmp(root, top, n) == 0 && (root[n] == '/' || !root[n]);
        if (found && root[n] && root[n + 1]) {
            free(ignore->prefix);
            ignore->prefix = mem_printf("%s/", root + n + 1);
        }
    }
    free(top);
    free(root);
    return found;
}

/* The ".git" of every directory from the project's up to top: one that comes is nearer, one that
 * goes is none. */
static void watch_upwards(struct ignore *ignore, const char *top)
{
    char *dir = realpath(ignore->root, NULL);
    while (dir) {
        add_presence(ignore, path_join(dir, ".git"));
        char *slash = strrchr(dir, '/');
        if (strcmp(dir, top) == 0 || slash == dir + strlen(dir) - 1)
            break;
        slash[slash == dir] = '\0';
    }
    free(dir);
}

static void watch_config(struct ignore *ignore)
{
    static const struct {
        git_config_level_t level;
        const char *name;
    } files[] = {{GIT_CONFIG_LEVEL_SYSTEM, "gitconfig"},
                 {GIT_CONFIG_LEVEL_XDG, "config"},
                 {GIT_CONFIG_LEVEL_GLOBAL, ".gitconfig"}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        git_buf paths = {0};
        if (ignore->git.libgit2_opts(GIT_OPT_GET_SEARCH_PATH, files[i].level, &paths) == 0 &&
            paths.ptr) {
            char *rest = paths.ptr, *dir;
            while ((dir = strsep(&rest, ":")))
                add_watched(ignore, path_join(dir, files[i].name));
        }
        ignore->git.buf_dispose(&paths);
    }
    char *own = item_path(ignore, GIT_REPOSITORY_ITEM_CONFIG, "");
    if (own)
        add_watched(ignore, own);
    char *worktree = item_path(ignore, GIT_REPOSITORY_ITEM_GITDIR, "config.worktree");
    if (worktree)
        add_watched(ignore, worktree);
    char *head = item_path(ignore, GIT_REPOSITORY_ITEM_GITDIR, "HEAD");
    if (head) {
        add_watched(ignore, head);
        vec_last(&ignore->watched).presence = true;
    }
}

static void open_repo(struct ignore *ignore)
{
    ignore_close(ignore);
    if (ignore->git.repository_open_ext(&ignore->repo, ignore->root, 0, NULL) != 0) {
        ignore->repo = NULL;
        watch_upwards(ignore, "/");
        /* What there is and can't be opened may be mended by files that nobody watches. */
        ignore->memorable = true;
        vec_each (struct source, git, &ignore->watched)
            ignore->memorable &= !git->stamp.ino;
        ignore->unfinished = !ignore->memorable;
        return;
    }
    if (!find_prefix(ignore)) {
        ignore_close(ignore);
        return;
    }
    char *excludes;
    char *top = realpath(ignore->git.repository_workdir(ignore->repo), NULL);
    watch_upwards(ignore, top ? top : "/");
    free(top);
    watch_config(ignore);
    bool complete = read_config(ignore, &excludes);
    ignore->fingerprint = ignore_mix(ignore->fingerprint, ignore->prefix, strlen(ignore->prefix));
    ignore->fingerprint = ignore_mix(ignore->fingerprint, &ignore->fold, sizeof(ignore->fold));
    add_above(ignore, ignore->git.repository_workdir(ignore->repo));
    char *info = item_path(ignore, GIT_REPOSITORY_ITEM_INFO, "exclude");
    if (info)
        add_rules(ignore, info, "", true);
    if (excludes)
        add_rules(ignore, excludes, "", true);
    ignore->index_path = item_path(ignore, GIT_REPOSITORY_ITEM_INDEX, "");
    if (ignore->index_path)
        ignore_stamp_index(ignore);
    ignore->root_ignored = prefix_ignored(ignore);
    ignore->memorable = complete && ignore->index_path && !ignore->root_ignored;
    if (ignore->root_ignored && ignore_tracked(ignore, "", true) == IGNORE_UNTRACKED)
        ignore_close(ignore);
    ignore->fingerprint =
        ignore_mix(ignore->fingerprint, &ignore->root_ignored, sizeof(ignore->root_ignored));
}

/* Asks libgit2, whatever was remembered. */
static void wake(struct ignore *ignore)
{
    if (!ignore->awake) {
        git_load(&ignore->git);
        /* Who may run commands in a project may also read its ignore rules: the owner of the folder
         * does not matter. */
        ignore->git.libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    }
    ignore->awake = true;
    open_repo(ignore);
}

static bool source_changed(const struct source *source)
{
    struct stamp now = ignore_stamp(source->path);
    if (source->presence)
        return (now.mode & S_IFMT) != (source->stamp.mode & S_IFMT);
    /* One that was young when it was read may have been written again within the same tick. */
    return !stamp_eq(&now, &source->stamp) || (now.ino && !stamp_settled(&now, source->read_ns));
}

bool ignore_any_changed(const struct ignore *ignore)
{
    if (ignore->unfinished)
        return true;
    vec_each (const struct source, s, &ignore->sources)
        if (source_changed(s))
            return true;
    vec_each (const struct source, w, &ignore->watched)
        if (source_changed(w))
            return true;
    return false;
}

struct ignore *ignore_new(const char *root, const void *memory, size_t n)
{
    struct ignore *ignore = mem_zalloc(1, sizeof(*ignore));
    ignore->root = mem_strdup(root);
    if (!ignore_recall(ignore, memory, n))
        wake(ignore);
    ignore->told_rules = ignore->fingerprint;
    ignore->told_index = ignore_index_fingerprint(ignore);
    return ignore;
}

bool ignore_was_remembered(const struct ignore *ignore)
{
    return !ignore->awake;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    ignore_close(ignore);
    vec_release(&ignore->sources);
    vec_release(&ignore->watched);
    buf_release(&ignore->path);
    free(ignore->prefix);
    free(ignore->root);
    free(ignore);
}

unsigned ignore_refresh(struct ignore *ignore)
{
    unsigned news = IGNORE_SAME;
    if (ignore_any_changed(ignore)) {
        wake(ignore);
    } else if (ignore->index_path) {
        struct stamp before = ignore->index_stamp;
        bool settled = index_settled(ignore);
        ignore_stamp_index(ignore);
        if (!settled || !stamp_eq(&before, &ignore->index_stamp)) {
            ignore->index_stale = true;
            ignore->index_bad = false;
        }
    }
    if (ignore->told_rules != ignore->fingerprint)
        news |= IGNORE_NEW_RULES;
    if (ignore->told_index != ignore_index_fingerprint(ignore))
        news |= IGNORE_NEW_INDEX;
    ignore->told_rules = ignore->fingerprint;
    ignore->told_index = ignore_index_fingerprint(ignore);
    return news;
}

uint64_t ignore_rules_fingerprint(const struct ignore *ignore)
{
    return ignore->fingerprint;
}

uint64_t ignore_index_fingerprint(const struct ignore *ignore)
{
    const struct stamp *stamp = &ignore->index_stamp;
    uint64_t parts[] = {stamp->dev,
                        stamp->ino,
                        stamp->size,
                        (uint64_t)stamp->mtime_ns,
                        (uint64_t)stamp->ctime_ns,
                        index_settled(ignore) ? 0 : (uint64_t)ignore->index_read_ns};
    return ignore_mix(FIRST, parts, sizeof(parts));
}

bool ignore_folds_case(const struct ignore *ignore)
{
    return ignore->fold;
}

bool ignore_root_ignored(const struct ignore *ignore)
{
    return ignore->root_ignored;
}

enum ignore_match ignore_outer(struct ignore *ignore, const char *path, bool directory)
{
    if (ignore->asleep)
        wake(ignore);
    if (!ignore->sources.n)
        return IGNORE_UNDECIDED;
    struct buf joined = BUF_INIT;
    const char *full = path;
    if (*ignore->prefix) {
        buf_adds(&joined, ignore->prefix);
        buf_adds(&joined, path);
        full = buf_str(&joined);
    }
    enum ignore_match match = IGNORE_UNDECIDED;
    for (size_t i = 0; i < ignore->sources.n && match == IGNORE_UNDECIDED; i++) {
        const struct source *source = &ignore->sources.v[i];
        if (source->rules)
            match = ignore_rules_match(source->rules, full + strlen(source->base), directory);
    }
    buf_release(&joined);
    return match;
}

/* The repository keeps one index object: it is read again in place. */
static bool read_index(struct ignore *ignore)
{
    if (ignore->index_bad)
        return false;
    if (!ignore->index && ignore->git.repository_index(&ignore->index, ignore->repo) != 0) {
        ignore->index = NULL;
        ignore->index_bad = true;
    } else if (ignore->index_stale && ignore->git.index_read(ignore->index, true) != 0) {
        ignore->index_bad = true;
    }
    ignore->index_stale = false;
    return !ignore->index_bad;
}

enum ignore_tracked ignore_tracked(struct ignore *ignore, const char *path, bool directory)
{
    if (ignore->asleep)
        wake(ignore);
    if (!ignore->repo || !read_index(ignore))
        return IGNORE_UNTRACKED;
    buf_reset(&ignore->path);
    buf_adds(&ignore->path, ignore->prefix);
    buf_adds(&ignore->path, path);
    for (int stage = 0; stage <= 3 && *path; stage++) {
        const git_index_entry *entry =
            ignore->git.index_get_bypath(ignore->index, buf_str(&ignore->path), stage);
        if (entry && (!directory || entry->mode == GIT_FILEMODE_COMMIT))
            return IGNORE_TRACKED;
    }
    if (!directory)
        return IGNORE_UNTRACKED;
    if (*path)
        buf_addc(&ignore->path, '/');
    size_t at;
    return ignore->git.index_find_prefix(&at, ignore->index, buf_str(&ignore->path)) == 0
               ? IGNORE_ABOVE
               : IGNORE_UNTRACKED;
}
