/*
 * record.c - writing run records; record_read.c reads them.
 *
 * A run's events.ndjson is a stream of its own in the form of event.c, so its events are numbered
 * from 1. Paths in it that lie in the run's directory are relative to that, so that the state
 * directory can be moved. Nothing is made before there is something to put into it: a run that had
 * nothing to do costs a directory and one write.
 */
#include "engine/record.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/record_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES  ((size_t)64 * 1024)
#define PRUNE_SLACK  20 /* runs over RECORD_KEEP before it is worth removing some */
#define NAME_MAX_LEN ((size_t)40)
#define ID_HEX       ((size_t)16)

struct record {
    char *runs, *dir; /* dir: runs/<id> */
    const char *id;   /* the end of dir */
    int fd;           /* of events.ndjson, -1 before the first flush */
    uint64_t seq;
    uint64_t n_logs;
    struct buf buf;
    bool broken; /* an error was reported: nothing more is written */
};

/* -- the project's directory ------------------------------------------------------------------- */

/* The folder's name, as far as it is harmless in a path and on a screen, and a part of the digest
 * of the whole path. */
static char *project_id(const char *root)
{
    size_t end = strlen(root);
    while (end && root[end - 1] == '/')
        end--;
    struct digest digest = digest_of(root, end);
    size_t start = end;
    while (start && root[start - 1] != '/')
        start--;
    size_t n = end - start < NAME_MAX_LEN ? end - start : NAME_MAX_LEN;
    char hex[DIGEST_HEX + 1];
    digest_hex(&digest, hex);
    char *id = mem_printf("%.*s-%.*s", n ? (int)n : 4, n ? root + start : "root", (int)ID_HEX, hex);
    for (size_t i = 0; i < n; i++) {
        char c = id[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || (c == '.' && i > 0);
        if (!plain)
            id[i] = '_';
    }
    return id;
}

/* By a name that is always the same: what a killed process leaves is the next one's. Two at a time
 * write the same. */
static int write_root(const char *path, const char *root, struct err *err)
{
    char *line = mem_printf("%s\n", root), *name = mem_printf("%s.new", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int errnum = fd < 0 || file_write_all(fd, line, strlen(line)) < 0 ? errno : 0;
    if (fd >= 0 && close(fd) < 0 && !errnum && errno != EINTR)
        errnum = errno;
    if (!errnum && rename(name, path) < 0 && access(path, F_OK) < 0)
        errnum = errno;
    if (errnum)
        unlink(name);
    free(line);
    free(name);
    return errnum ? err_sys(err, errnum, "cannot write %s", path) : 0;
}

/* Makes the directory and says there whose it is. */
static int make_project(const char *dir, const char *root, struct err *err)
{
    int code = file_mkdirs(dir, 0700, err);
    char *path = path_join(dir, "root");
    if (code == 0 && access(path, F_OK) < 0 && errno == ENOENT)
        code = write_root(path, root, err);
    free(path);
    return code;
}

int records_open(const char *state_dir, const char *root, struct records **out, struct err *err)
{
    *out = NULL;
    char *id = project_id(root);
    char *dir = mem_printf("%s/projects/%s", state_dir, id);
    free(id);
    int code = make_project(dir, root, err);
    if (code < 0) {
        free(dir);
        return err_wrap(err, "no runs can be recorded");
    }
    struct records *records = mem_zalloc(1, sizeof(*records));
    records->dir = dir;
    records->runs = path_join(dir, "runs");
    *out = records;
    return 0;
}

void records_close(struct records *records)
{
    if (!records)
        return;
    free(records->dir);
    free(records->runs);
    free(records);
}

const char *records_dir(const struct records *records)
{
    return records->dir;
}

/* -- runs -------------------------------------------------------------------------------------- */

/* The number a run's directory is named by; 0 for other names. */
static uint64_t run_number(const char *name)
{
    uint64_t number = 0;
    size_t n = strspn(name, "0123456789");
    if (!n || name[n] || name[0] == '0' || n > 18)
        return 0;
    for (size_t i = 0; i < n; i++)
        number = number * 10 + (uint64_t)(name[i] - '0');
    return number;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int record_ids(const char *runs, run_ids *out, struct err *err)
{
    vec_clear(out);
    DIR *dir = opendir(runs);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot list %s", runs);
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir))) {
        uint64_t number = run_number(entry->d_name);
        if (number)
            vec_push(out, number);
        errno = 0;
    }
    int errnum = errno;
    closedir(dir);
    if (errnum)
        return err_sys(err, errnum, "cannot list %s", runs);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), compare_ids);
    return 0;
}

/* Makes the first free directory from number on. */
static int make_run(const char *runs, uint64_t number, char **dir, struct err *err)
{
    for (int code = 0;;) {
        *dir = mem_printf("%s/%" PRIu64, runs, number);
        if (mkdir(*dir, 0700) == 0)
            return 0;
        if (errno == EEXIST) /* another process was faster */
            number++;
        else if (errno == ENOENT) /* the first run of all */
            code = file_mkdirs(runs, 0700, err);
        else
            code = err_sys(err, errno, "cannot make the run's directory %s", *dir);
        free(*dir);
        if (code < 0)
            return code;
    }
}

int records_reserve(struct records *records, char **dir, struct err *err)
{
    run_ids ids = VEC_INIT;
    *dir = NULL;
    int code = record_ids(records->runs, &ids, err);
    if (code == 0)
        code = make_run(records->runs, ids.n ? vec_last(&ids) + 1 : 1, dir, err);
    vec_release(&ids);
    if (code < 0)
        *dir = NULL;
    return code;
}

int record_new(struct records *records, struct record **out, struct err *err)
{
    char *dir;
    *out = NULL;
    int code = records_reserve(records, &dir, err);
    if (code < 0)
        return code;
    struct record *record = mem_zalloc(1, sizeof(*record));
    record->runs = mem_strdup(records->runs);
    record->dir = dir;
    record->id = strrchr(dir, '/') + 1;
    record->fd = -1;
    *out = record;
    return 0;
}

const char *record_id(const struct record *record)
{
    return record->id;
}

const char *record_dir(const struct record *record)
{
    return record->dir;
}

int record_spool(struct record *record, const char *step, char **path, int *fd, struct err *err)
{
    char *logs = path_join(record->dir, "logs");
    char *name = mem_printf("%s/%" PRIu64 ".log", logs, ++record->n_logs);
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int code = 0;
    *fd = open(name, flags, 0600);
    if (*fd < 0 && errno == ENOENT) {
        code = file_mkdirs(logs, 0700, err);
        if (code == 0)
            *fd = open(name, flags, 0600);
    }
    if (code == 0 && *fd < 0)
        code = err_sys(err, errno, "cannot make the log file %s of step %s", name, step);
    if (code < 0) {
        free(name);
        name = NULL;
    }
    *path = name;
    free(logs);
    return code;
}

/* -- events ------------------------------------------------------------------------------------ */

static int flush(struct record *record, struct err *err)
{
    if (!record->buf.len || record->broken)
        return 0;
    int code = 0;
    if (record->fd < 0) {
        char *path = path_join(record->dir, "events.ndjson");
        record->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (record->fd < 0)
            code = err_sys(err, errno, "cannot make %s", path);
        free(path);
    }
    if (code == 0 && file_write_all(record->fd, record->buf.data, record->buf.len) < 0)
        code = err_sys(err, errno, "cannot write %s/events.ndjson", record->dir);
    buf_reset(&record->buf);
    record->broken = code < 0;
    return code;
}

/* The path as the record has it. */
static const char *relative(const struct record *record, const char *path)
{
    if (!path || !path_is_below(path, record->dir))
        return path;
    path += strlen(record->dir);
    return path + strspn(path, "/");
}

/* What another process may ask for, or want to know after a crash, goes out at once; it has cost a
 * process anyway. */
static bool is_urgent(const struct event *event)
{
    switch (event->type) {
    case EVENT_STEP_STARTED:
    case EVENT_STEP_PAUSED:
    case EVENT_STEP_RESUMED:
    case EVENT_RUN_FINISHED: return true;
    case EVENT_STEP_FINISHED:
        return event->u.finished.status == STEP_PASSED || event->u.finished.status == STEP_FAILED;
    default: return false;
    }
}

void record_event(struct record *record, const struct event *event, struct err *err)
{
    if (record->broken)
        return;
    struct event copy = *event;
    copy.seq = ++record->seq;
    if (copy.type == EVENT_STEP_STARTED)
        copy.u.started.log = relative(record, copy.u.started.log);
    else if (copy.type == EVENT_STEP_LOG)
        copy.u.log.log = relative(record, copy.u.log.log);
    event_json(&copy, NULL, &record->buf);
    if (is_urgent(&copy) || record->buf.len >= FLUSH_BYTES)
        (void)!flush(record, err);
}

/* Removes the oldest runs when there are too many. What can't be removed stays. */
static void prune(const char *runs)
{
    run_ids ids = VEC_INIT;
    int fd = -1;
    if (record_ids(runs, &ids, NULL) == 0 && ids.n > RECORD_KEEP + PRUNE_SLACK)
        fd = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i + RECORD_KEEP < ids.n; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%" PRIu64, ids.v[i]);
        (void)!file_remove_tree(fd, name, NULL);
    }
    if (fd >= 0)
        close(fd);
    vec_release(&ids);
}

void record_free(struct record *record)
{
    if (!record)
        return;
    (void)!flush(record, NULL);
    if (record->fd >= 0)
        close(record->fd);
    prune(record->runs);
    buf_release(&record->buf);
    free(record->runs);
    free(record->dir);
    free(record);
}
