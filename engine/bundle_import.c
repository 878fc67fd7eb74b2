/*
 * bundle_import.c - takes a bundle in as a new run (bundle.h).
 *
 * The run's directory is made beside the others, with a name that is no run's, and gets the number
 * that was taken for it by one rename over the empty directory that stands for it meanwhile. What a
 * killed import leaves goes with the next one, after a day.
 */
#include "engine/bundle_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/kept_inputs.h"
#include "engine/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_MEMORY  ((size_t)1 << 20) /* of content; more goes through a file */
#define READ_BYTES ((size_t)256 * 1024)

struct taken_tree {
    struct digest root;
    struct buf message;
    bool whole; /* all that it names is in the cache */
};

struct taken_failure {
    char *step;
    struct digest root;
    bool kept;
};

struct importing {
    struct records *records;
    struct cache *cache;
    const char *root, *name; /* name: the file's, for people */
    int bundle;
    bool begun; /* to read it */
    char block[READ_BYTES];
    char *run_dir;      /* the number's */
    char *dir;          /* where it is made */
    char *run, *theirs; /* ids */
    char *pipeline;
    struct bundle_events events;
    int fd;          /* of the file of the run that is being written; -1 */
    struct buf text; /* of a failure, or content */
    int spill;       /* content that is too large for memory; -1: no file yet */
    uint64_t spilled;
    VEC(struct taken_tree) trees;
    VEC(struct taken_failure) failures;
    struct bundle_report *report;
};

/* -- the run's files --------------------------------------------------------------------------- */

static int on_manifest(void *ctx, const struct bundle_manifest *manifest, struct err *err)
{
    struct importing *m = ctx;
    (void)err;
    m->theirs = mem_strdup(manifest->run);
    m->pipeline = manifest->pipeline ? mem_strdup(manifest->pipeline) : NULL;
    return 0;
}

static int open_file(struct importing *m, const char *path, struct err *err)
{
    char *full = path_join(m->dir, path);
    m->fd = open(full, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = m->fd < 0 ? err_sys(err, errno, "cannot make %s", full) : 0;
    free(full);
    return rc;
}

static int close_file(struct importing *m, struct err *err)
{
    int rc = close(m->fd) < 0 && errno != EINTR
                 ? err_sys(err, errno, "cannot write a file of run %s", m->run)
                 : 0;
    m->fd = -1;
    return rc;
}

static int take_failure(struct importing *m, const char *path, struct err *err)
{
    struct failure failure;
    struct buf text = BUF_INIT;
    char name[DIGEST_HEX + 6];
    int rc = failure_parse(buf_str(&m->text), m->text.len, &failure, err);
    if (rc < 0)
        return err_set(err, ERR_CONFIG, "a record of a failure in it is not as kiln writes it");
    failure_name(failure.exec.name, name);
    if (strcmp(path + sizeof "run/failed/" - 1, name) != 0) {
        rc = err_set(err, ERR_CONFIG, "a record of a failure in it is another step's");
    } else {
        char *full = path_join(m->dir, path + 4);
        failure_text(&failure, &text);
        rc = file_write_atomic(full, text.data, text.len, 0600, err);
        free(full);
        vec_push(&m->failures,
                 (struct taken_failure){mem_strdup(failure.exec.name), failure.input_root,
                                        failure.inputs == FAILURE_KEPT});
    }
    failure_release(&failure);
    buf_release(&text);
    buf_reset(&m->text);
    return rc;
}

static int take_events(struct importing *m, const void *bytes, size_t n, struct err *err)
{
    if (m->fd < 0) {
        if (open_file(m, "events.ndjson", err) < 0)
            return -(int)err->kind;
        m->events = (struct bundle_events){.id = m->run, .root = m->root, .fd = m->fd};
    }
    if (n)
        return bundle_events_add(&m->events, bytes, n, err);
    int rc = bundle_events_end(&m->events, err);
    return rc == 0 ? close_file(m, err) : rc;
}

static int on_file(void *ctx, const struct bundle_file *file, const void *bytes, size_t n,
                   struct err *err)
{
    struct importing *m = ctx;
    enum bundle_kind kind = bundle_kind_of(file->path);
    if (kind == BUNDLE_EVENTS)
        return take_events(m, bytes, n, err);
    if (kind == BUNDLE_FAILURE) {
        buf_add(&m->text, bytes, n);
        return n ? 0 : take_failure(m, file->path, err);
    }
    /* Theirs is not ours yet: take_history(). */
    const char *path = kind == BUNDLE_HISTORY ? "theirs.log" : file->path + sizeof "run/" - 1;
    if (m->fd < 0 && open_file(m, path, err) < 0)
        return -(int)err->kind;
    if (!n)
        return close_file(m, err);
    return file_write_all(m->fd, bytes, n) < 0
               ? err_sys(err, errno, "cannot write the files of run %s", m->run)
               : 0;
}

/* -- what is known of its steps ---------------------------------------------------------------- */

struct taking {
    struct importing *m;
    struct history *from, *to;
    int rc;
    struct err *err;
};

/* Numbers of runs are theirs, but for this one's. */
static void take_record(struct taking *taking, const struct history_record *record)
{
    struct history_record copy = *record;
    struct importing *m = taking->m;
    bool number = strspn(record->run, "0123456789") == strlen(record->run);
    char *run = !strcmp(record->run, m->theirs) ? mem_strdup(m->run)
                : number                        ? mem_printf("%s (elsewhere)", record->run)
                                                : mem_strdup("(elsewhere)");
    struct trees *trees = trees_new();
    bool known = history_load_tree(taking->from, &record->input_root, trees);
    (void)known;
    copy.run = run;
    taking->rc = history_note(taking->to, &copy, trees, taking->err);
    trees_free(trees);
    free(run);
}

static void take_step(void *ctx, const char *step)
{
    struct taking *taking = ctx;
    const struct history_record *pass = history_last_pass(taking->from, step);
    const struct history_record *last = history_last(taking->from, step);
    if (pass && taking->rc == 0)
        take_record(taking, pass);
    if (last && last != pass && taking->rc == 0)
        take_record(taking, last);
}

static int take_history(struct importing *m, struct err *err)
{
    struct taking taking = {.m = m, .err = err};
    char *theirs = path_join(m->dir, "theirs.log"), *ours = path_join(m->dir, "steps.log");
    if (access(theirs, F_OK) == 0) {
        taking.rc = history_open(theirs, &taking.from, err);
        if (taking.rc == 0)
            taking.rc = history_open(ours, &taking.to, err);
        if (taking.rc == 0)
            history_steps(taking.from, take_step, &taking);
        if (taking.rc == 0)
            taking.rc = history_flush(taking.to, err);
        history_close(taking.to);
        history_close(taking.from);
        unlink(theirs);
    }
    free(theirs);
    free(ours);
    return taking.rc;
}

/* -- inputs ------------------------------------------------------------------------------------ */

static int on_tree(void *ctx, const struct digest *root, const void *message, size_t n,
                   struct err *err)
{
    struct importing *m = ctx;
    struct taken_tree tree = {.root = *root};
    (void)err;
    buf_add(&tree.message, message, n);
    vec_push(&m->trees, tree);
    return 0;
}

static int spill(struct importing *m, struct err *err)
{
    if (m->spill < 0) {
        char *path = path_join(m->dir, "content");
        m->spill = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (m->spill < 0) {
            err_sys(err, errno, "cannot make %s", path);
            free(path);
            return -(int)ERR_SYSTEM;
        }
        unlink(path);
        free(path);
    }
    int rc = file_write_all(m->spill, buf_str(&m->text), m->text.len) < 0
                 ? err_sys(err, errno, "cannot write content of run %s", m->run)
                 : 0;
    m->spilled += m->text.len;
    buf_reset(&m->text);
    return rc;
}

static int on_blob(void *ctx, const struct digest *digest, const void *bytes, size_t n,
                   struct err *err)
{
    struct importing *m = ctx;
    struct digest stored;
    int rc = 0;
    buf_add(&m->text, bytes, n);
    if (n)
        return m->text.len >= IN_MEMORY ? spill(m, err) : 0;
    m->report->blobs++;
    m->report->blob_bytes += digest->size;
    if (!m->spilled) {
        rc = cache_put(m->cache, buf_str(&m->text), m->text.len, &stored, err);
    } else {
        rc = spill(m, err);
        if (rc == 0)
            rc = cache_put_fd(m->cache, m->spill, m->spilled, &stored, err);
        if (rc == 0 && (ftruncate(m->spill, 0) < 0 || lseek(m->spill, 0, SEEK_SET) < 0))
            rc = err_sys(err, errno, "cannot write content of run %s", m->run);
        m->spilled = 0;
    }
    buf_reset(&m->text);
    return rc;
}

static int look_at_blob(void *ctx, const struct digest *digest, struct err *err)
{
    struct importing *m = ctx;
    (void)err;
    return cache_has(m->cache, digest) ? 0 : 1;
}

static const char *step_of(const struct importing *m, const struct digest *root)
{
    for (size_t i = 0; i < m->failures.n; i++) {
        if (digest_eq(&m->failures.v[i].root, root))
            return m->failures.v[i].step;
    }
    return "a step";
}

static int note_inputs(struct importing *m, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < m->trees.n && rc == 0; i++) {
        struct taken_tree *tree = &m->trees.v[i];
        tree->whole =
            kept_inputs_each(buf_str(&tree->message), tree->message.len, look_at_blob, m, err) == 0;
        if (tree->whole)
            rc = kept_inputs_note(m->cache, buf_str(&tree->message), tree->message.len,
                                  step_of(m, &tree->root), m->root, err);
    }
    vec_each (struct taken_failure, failure, &m->failures) {
        m->report->failures++;
        for (size_t i = 0; failure->kept && i < m->trees.n; i++)
            m->report->inputs +=
                m->trees.v[i].whole && digest_eq(&m->trees.v[i].root, &failure->root);
    }
    return rc;
}

/* -- all of it --------------------------------------------------------------------------------- */

static int pull(void *ctx, const void **bytes, size_t *n, struct err *err)
{
    struct importing *m = ctx;
    ssize_t got;
    do
        got = read(m->bundle, m->block, sizeof m->block);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, errno, "cannot read it");
    if (!m->begun && got >= 4 &&
        (!memcmp(m->block, "\x28\xb5\x2f\xfd", 4) || !memcmp(m->block, "\x1f\x8b", 2) ||
         !memcmp(m->block, "\xfd\x37zX", 4)))
        return err_set(err, ERR_CONFIG, "it is compressed; decompress it first (zstd -d, gunzip)");
    m->begun = true;
    m->report->bytes += (uint64_t)got;
    *bytes = m->block;
    *n = (size_t)got;
    return 0;
}

static int make_dir(struct importing *m, struct err *err)
{
    static const char *const folders[] = {"logs", "failed"};
    int rc = bundle_scratch(records_dir(m->records), "importing", &m->dir, err);
    if (rc == 0)
        rc = records_reserve(m->records, &m->run_dir, err);
    if (rc < 0)
        return rc;
    m->run = mem_strdup(strrchr(m->run_dir, '/') + 1);
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        char *path = path_join(m->dir, folders[i]);
        rc = file_mkdirs(path, 0700, err);
        free(path);
    }
    return rc;
}

/* "run 12 of demo" */
static void tell_origin(struct importing *m)
{
    struct buf text = BUF_INIT;
    buf_addf(&text, "run %s", m->theirs);
    if (m->pipeline) {
        buf_adds(&text, " of ");
        buf_add_shown(&text, m->pipeline, strlen(m->pipeline));
    }
    m->report->from = buf_detach(&text);
}

static int settle(struct importing *m, struct err *err)
{
    struct buf text = BUF_INIT;
    const char *slash = strrchr(m->name, '/'), *name = slash ? slash + 1 : m->name;
    char *path = path_join(m->dir, "imported");
    tell_origin(m);
    buf_addf(&text, "%s, from ", m->report->from);
    buf_add_shown(&text, name, strlen(name));
    buf_addc(&text, '\n');
    int rc = take_history(m, err);
    if (rc == 0)
        rc = file_write_atomic(path, text.data, text.len, 0600, err);
    if (rc == 0)
        rc = note_inputs(m, err);
    if (rc == 0 && rename(m->dir, m->run_dir) < 0)
        rc = err_sys(err, errno, "cannot put run %s into its place", m->run);
    buf_release(&text);
    free(path);
    return rc;
}

static void release(struct importing *m, bool ok)
{
    if (m->fd >= 0)
        close(m->fd);
    if (m->spill >= 0)
        close(m->spill);
    if (!ok && m->dir)
        (void)!file_remove_tree(AT_FDCWD, m->dir, NULL);
    if (!ok && m->run_dir)
        rmdir(m->run_dir);
    vec_each (struct taken_tree, tree, &m->trees)
        buf_release(&tree->message);
    vec_each (struct taken_failure, failure, &m->failures)
        free(failure->step);
    vec_release(&m->trees);
    vec_release(&m->failures);
    bundle_events_release(&m->events);
    buf_release(&m->text);
    free(m->dir);
    free(m->run_dir);
    free(m->theirs);
    free(m->pipeline);
    if (ok)
        m->report->run = m->run;
    else
        free(m->run);
    free(m);
}

int bundle_import(struct records *records, struct cache *cache, const char *root, const char *path,
                  struct bundle_report *report, struct err *err)
{
    struct err own = ERR_INIT;
    struct err *said = err ? err : &own;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *report = (struct bundle_report){0};
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_CONFIG, "%s is no file", path);
    }
    struct importing *m = mem_zalloc(1, sizeof *m);
    m->records = records;
    m->cache = cache;
    m->root = root;
    m->name = path;
    m->bundle = fd;
    m->fd = m->spill = -1;
    m->report = report;
    const struct bundle_sink sink = {
        .ctx = m, .manifest = on_manifest, .file = on_file, .tree = on_tree, .blob = on_blob};
    cache_use_begin(cache);
    int rc = make_dir(m, said);
    if (rc == 0)
        rc = bundle_read(pull, m, &sink, said);
    if (rc == 0)
        rc = settle(m, said);
    cache_use_end(cache);
    close(fd);
    if (rc < 0 && said->kind == ERR_CONFIG)
        err_wrap(said, "%s can't be imported", path);
    release(m, rc == 0);
    err_release(&own);
    return rc;
}
