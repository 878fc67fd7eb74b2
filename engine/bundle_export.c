/*
 * bundle_export.c - writes a run as a bundle (bundle.h).
 *
 * The run's files are read twice: the manifest, which comes first, has their digests. What turns
 * out to be another file by then, because somebody writes to the run, ends it with an error.
 */
#include "engine/bundle_private.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "cache/kept_inputs.h"
#include "engine/failure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct given_tree {
    struct digest root;
    struct buf message;
};

struct exporting {
    struct records *records;
    struct history *history;
    struct cache *cache;
    const char *id;
    char *run_dir;
    char *scratch; /* a directory for what is made for the bundle alone */
    struct bundle_manifest manifest;
    VEC(char *) sources; /* where the manifest's files are; parallel to them */
    VEC(struct given_tree) trees;
    VEC(struct digest) blobs;
    struct map known; /* hashes of blobs, and of roots */
    struct map keys;  /* step -> its key as hex, in the manifest's arena */
    bool finished;
    struct bundle_report *report;
    int fd; /* the bundle */
    struct buf out;
};

/* -- what the events tell ---------------------------------------------------------------------- */

static void on_event(void *ctx, const struct event *event)
{
    struct exporting *x = ctx;
    struct arena *arena = &x->manifest.arena;
    if (event->type == EVENT_RUN_STARTED && event->u.run_started.pipeline)
        x->manifest.pipeline = arena_strdup(arena, event->u.run_started.pipeline);
    else if (event->type == EVENT_RUN_FINISHED)
        x->finished = true;
    else if (event->type == EVENT_STEP_FINISHED && event->u.finished.key)
        map_put_str(&x->keys, event->step, arena_strdup(arena, event->u.finished.key));
}

static int read_events(struct exporting *x, struct err *err)
{
    bool found;
    x->run_dir = records_run_dir(x->records, x->id);
    int rc = x->run_dir ? records_replay(x->records, x->id, on_event, x, &found, err) : 0;
    if (rc < 0)
        return rc;
    if (!x->run_dir || !found)
        return err_set(err, ERR_USAGE, "there is no run %s (\"kiln runs\" lists them)", x->id);
    if (!x->finished)
        return err_set(err, ERR_USAGE,
                       "run %s has not ended, or kiln was killed in it: only a run that has ended "
                       "can be exported",
                       x->id);
    return 0;
}

/* -- what is known of its steps ---------------------------------------------------------------- */

static int note(struct exporting *x, struct history *to, const struct history_record *record,
                struct err *err)
{
    struct trees *trees = trees_new();
    bool known = history_load_tree(x->history, &record->input_root, trees);
    (void)known; /* the rest is told all the same */
    int rc = history_note(to, record, trees, err);
    trees_free(trees);
    return rc;
}

static int note_step(struct exporting *x, struct history *to, const char *step, const char *hex,
                     struct err *err)
{
    struct digest key;
    const struct history_record *pass = history_last_pass(x->history, step);
    struct history_record *own =
        digest_parse(hex, 0, &key) ? history_find(x->history, step, &key) : NULL;
    int rc = 0;
    if (pass && !(own && own->status == HISTORY_PASSED))
        rc = note(x, to, pass, err);
    if (rc == 0 && own)
        rc = note(x, to, own, err);
    free(own);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A run from elsewhere has it already. */
static int make_history(struct exporting *x, char **path, struct err *err)
{
    VEC(const char *) steps = VEC_INIT;
    struct history *to;
    *path = path_join(x->run_dir, "steps.log");
    if (access(*path, F_OK) == 0 || !x->history)
        return 0;
    free(*path);
    *path = path_join(x->scratch, "steps.log");
    int rc = history_open(*path, &to, err);
    if (rc < 0)
        return rc;
    map_each (entry, &x->keys)
        vec_push(&steps, arena_strndup(&x->manifest.arena, entry->key, entry->key_len));
    if (steps.n)
        qsort(steps.v, steps.n, sizeof *steps.v, by_text);
    for (size_t i = 0; i < steps.n && rc == 0; i++)
        rc = note_step(x, to, steps.v[i], map_get_str(&x->keys, steps.v[i]), err);
    if (rc == 0)
        rc = history_flush(to, err);
    history_close(to);
    vec_release(&steps);
    return rc;
}

/* -- the run's files --------------------------------------------------------------------------- */

static int open_source(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return err_sys(err, errno, "cannot read %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_SYSTEM, "%s is no file", path);
    }
    return fd;
}

/* Takes source over. */
static int add_file(struct exporting *x, const char *name, char *source, struct err *err)
{
    struct bundle_file file = {.path = arena_strdup(&x->manifest.arena, name)};
    int fd = open_source(source, err);
    if (fd < 0) {
        free(source);
        return fd;
    }
    struct hasher *hasher = hasher_new();
    int rc = digest_of_fd(hasher, fd, &file.digest, err);
    hasher_free(hasher);
    close(fd);
    if (rc < 0) {
        free(source);
        return rc;
    }
    vec_push(&x->manifest.files, file);
    vec_push(&x->sources, source);
    return 0;
}

/* All that lies in the folder and may be in a bundle. */
static int add_folder(struct exporting *x, const char *folder, struct err *err)
{
    VEC(char *) names = VEC_INIT;
    char *path = path_join(x->run_dir, folder);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int rc = 0;
    while (dir && (entry = readdir(dir))) {
        char *name = mem_printf("run/%s/%s", folder, entry->d_name);
        if (bundle_kind_of(name) == BUNDLE_OTHER)
            free(name);
        else
            vec_push(&names, name);
    }
    if (dir)
        closedir(dir);
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, by_text);
    vec_each (char *, name, &names) {
        if (rc == 0)
            rc = add_file(x, *name, path_join(x->run_dir, *name + 4), err);
        free(*name);
    }
    vec_release(&names);
    free(path);
    return rc;
}

/* What a run had no time for. */
static void finish(void *ctx, const struct failure *failure)
{
    const struct exporting *x = ctx;
    if (failure->inputs == FAILURE_UNFINISHED)
        failure_finish(x->run_dir, failure->exec.name, x->cache);
}

static int add_files(struct exporting *x, struct err *err)
{
    char *history = NULL;
    failure_each(x->run_dir, finish, x);
    int rc = add_file(x, "run/events.ndjson", path_join(x->run_dir, "events.ndjson"), err);
    if (rc == 0)
        rc = add_folder(x, "failed", err);
    if (rc == 0)
        rc = add_folder(x, "logs", err);
    if (rc == 0)
        rc = make_history(x, &history, err);
    if (rc == 0 && access(history, F_OK) == 0) {
        rc = add_file(x, "run/steps.log", history, err);
        history = NULL;
    }
    free(history);
    if (rc == 0 && x->manifest.files.n > BUNDLE_FILES_MAX)
        rc = err_set(err, ERR_SYSTEM, "run %s has more than %zu files", x->id, BUNDLE_FILES_MAX);
    return rc;
}

/* -- inputs ------------------------------------------------------------------------------------ */

static bool is_new(struct exporting *x, const struct digest *digest)
{
    bool known;
    map_put(&x->known, digest->hash, DIGEST_BYTES, NULL, &known);
    return !known;
}

static int add_blob(void *ctx, const struct digest *digest, struct err *err)
{
    struct exporting *x = ctx;
    (void)err;
    if (is_new(x, digest)) {
        vec_push(&x->blobs, *digest);
        x->report->blob_bytes += digest->size;
    }
    return 0;
}

/* Inputs of which something is gone stay behind. */
static void add_failure(void *ctx, const struct failure *failure)
{
    struct exporting *x = ctx;
    struct given_tree tree = {.root = failure->input_root};
    bool found = false;
    x->report->failures++;
    if (failure->inputs != FAILURE_KEPT ||
        kept_inputs_tree(x->cache, &tree.root, &tree.message, &found, NULL) < 0 || !found) {
        buf_release(&tree.message);
        return;
    }
    x->report->inputs++;
    if (!is_new(x, &tree.root) ||
        kept_inputs_each(tree.message.data, tree.message.len, add_blob, x, NULL) < 0) {
        buf_release(&tree.message);
        return;
    }
    vec_push(&x->trees, tree);
}

static int by_root(const void *a, const void *b)
{
    return digest_cmp(&((const struct given_tree *)a)->root, &((const struct given_tree *)b)->root);
}

static int by_digest(const void *a, const void *b)
{
    return digest_cmp(a, b);
}

static void add_inputs(struct exporting *x)
{
    failure_each(x->run_dir, add_failure, x);
    if (x->trees.n)
        qsort(x->trees.v, x->trees.n, sizeof *x->trees.v, by_root);
    if (x->blobs.n)
        qsort(x->blobs.v, x->blobs.n, sizeof *x->blobs.v, by_digest);
    vec_each (struct given_tree, tree, &x->trees)
        vec_push(&x->manifest.inputs, tree->root);
    x->manifest.blobs = x->blobs.n;
    x->report->blobs = x->blobs.n;
}

/* -- writing ----------------------------------------------------------------------------------- */

static int flush(struct exporting *x, struct err *err)
{
    int rc = 0;
    if (x->out.len && file_write_all(x->fd, x->out.data, x->out.len) < 0)
        rc = err_sys(err, errno, "cannot write the bundle");
    x->report->bytes += x->out.len;
    buf_reset(&x->out);
    return rc;
}

static int put_bytes(struct exporting *x, const char *name, const struct buf *bytes,
                     struct err *err)
{
    bundle_tar_header(name, bytes->len, &x->out);
    buf_add(&x->out, buf_str(bytes), bytes->len);
    bundle_tar_pad(bytes->len, &x->out);
    return flush(x, err);
}

/* Closes the descriptor. */
static int put_fd(struct exporting *x, const char *name, int fd, const struct digest *digest,
                  struct err *err)
{
    struct hasher *hasher = hasher_new();
    const size_t piece = (size_t)256 * 1024;
    uint64_t at = 0;
    ssize_t n = 1;
    int rc = 0;
    bundle_tar_header(name, digest->size, &x->out);
    hasher_start(hasher);
    while (rc == 0 && at < digest->size && n > 0) {
        uint64_t left = digest->size - at;
        char *to = buf_reserve(&x->out, piece);
        n = read(fd, to, left < piece ? (size_t)left : piece);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n > 0) {
            hasher_add(hasher, to, (size_t)n);
            x->out.len += (size_t)n;
            at += (uint64_t)n;
            rc = flush(x, err);
        }
    }
    struct digest found = hasher_end(hasher);
    hasher_free(hasher);
    close(fd);
    if (rc == 0 && n < 0)
        rc = err_sys(err, errno, "cannot read %s", name);
    else if (rc == 0 && !digest_eq(&found, digest))
        rc = err_set(err, ERR_SYSTEM, "%s changed while it was exported; try again", name);
    bundle_tar_pad(digest->size, &x->out);
    return rc;
}

static int put_blob(struct exporting *x, const struct digest *digest, struct err *err)
{
    char name[sizeof "cas/" + DIGEST_HEX] = "cas/";
    enum cache_answer answer;
    int fd = -1;
    digest_hex(digest, name + 4);
    int rc = cache_open_blob(x->cache, digest, &fd, &answer, err);
    if (rc == 0 && answer == CACHE_MISS)
        rc = err_set(err, ERR_SYSTEM,
                     "the cache lost some of the inputs while they were exported; try again");
    return rc == 0 ? put_fd(x, name, fd, digest, err) : rc;
}

static int put_all(struct exporting *x, struct err *err)
{
    struct buf text = BUF_INIT;
    bundle_manifest_text(&x->manifest, &text);
    int rc = put_bytes(x, BUNDLE_MANIFEST, &text, err);
    buf_release(&text);
    for (size_t i = 0; i < x->manifest.files.n && rc == 0; i++) {
        int fd = open_source(x->sources.v[i], err);
        rc = fd < 0
                 ? fd
                 : put_fd(x, x->manifest.files.v[i].path, fd, &x->manifest.files.v[i].digest, err);
    }
    for (size_t i = 0; i < x->trees.n && rc == 0; i++) {
        char name[sizeof "inputs/" + DIGEST_HEX] = "inputs/";
        digest_hex(&x->trees.v[i].root, name + sizeof "inputs/" - 1);
        rc = put_bytes(x, name, &x->trees.v[i].message, err);
    }
    for (size_t i = 0; i < x->blobs.n && rc == 0; i++)
        rc = put_blob(x, &x->blobs.v[i], err);
    if (rc == 0) {
        bundle_tar_end(&x->out);
        rc = flush(x, err);
    }
    return rc;
}

/* Beside its place, without a name where that can be, so that nothing of it stays when kiln is
 * killed. */
static int open_bundle(const char *name, bool *named)
{
    const char *slash = strrchr(name, '/');
    char *dir = slash ? mem_strndup(name, (size_t)(slash - name) + 1) : mem_strdup(".");
    int fd = open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    free(dir);
    *named = fd < 0;
    return fd >= 0 ? fd : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
}

/* It gets its name, and then its place in one step. */
static int place_bundle(const struct exporting *x, const char *name, bool named, const char *path,
                        struct err *err)
{
    char *self = mem_printf("/proc/self/fd/%d", x->fd);
    int rc = 0;
    if (!named && linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0)
        rc = err_sys(err, errno, "cannot write %s", name);
    free(self);
    if (close(x->fd) < 0 && rc == 0 && errno != EINTR)
        rc = err_sys(err, errno, "cannot write %s", name);
    if (rc == 0 && rename(name, path) < 0)
        rc = err_sys(err, errno, "cannot put the bundle at %s", path);
    return rc;
}

static int write_bundle(struct exporting *x, const char *path, struct err *err)
{
    struct stat st;
    /* A device, or the link that /dev/stdout is, root could replace. */
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE,
                       "%s is there and no file that could be replaced; name another place", path);
    char *name = mem_printf("%s.%ld.part", path, (long)getpid());
    bool named;
    x->fd = open_bundle(name, &named);
    int rc = x->fd < 0 ? err_sys(err, errno, "cannot write %s", path) : 0;
    if (rc == 0) {
        rc = put_all(x, err);
        if (rc == 0)
            rc = place_bundle(x, name, named, path, err);
        else
            close(x->fd);
        if (rc < 0)
            unlink(name);
    }
    free(name);
    return rc;
}

static void release(struct exporting *x)
{
    if (x->scratch)
        (void)!file_remove_tree(AT_FDCWD, x->scratch, NULL);
    vec_each (char *, source, &x->sources)
        free(*source);
    vec_each (struct given_tree, tree, &x->trees)
        buf_release(&tree->message);
    vec_release(&x->sources);
    vec_release(&x->trees);
    vec_release(&x->blobs);
    map_release(&x->known);
    map_release(&x->keys);
    bundle_manifest_release(&x->manifest);
    buf_release(&x->out);
    free(x->scratch);
    free(x->run_dir);
}

int bundle_export(struct records *records, struct history *history, struct cache *cache,
                  const char *id, const char *version, const char *path,
                  struct bundle_report *report, struct err *err)
{
    struct exporting x = {
        .records = records, .history = history, .cache = cache, .id = id, .report = report};
    *report = (struct bundle_report){0};
    x.manifest.kiln = version;
    x.manifest.run = id;
    cache_use_begin(cache);
    int rc = read_events(&x, err);
    if (rc == 0)
        rc = bundle_scratch(records_dir(records), "exporting", &x.scratch, err);
    if (rc == 0)
        rc = add_files(&x, err);
    if (rc == 0) {
        add_inputs(&x);
        rc = write_bundle(&x, path, err);
    }
    cache_use_end(cache);
    release(&x);
    return rc;
}

void bundle_report_release(struct bundle_report *report)
{
    free(report->run);
    free(report->from);
    *report = (struct bundle_report){0};
}
