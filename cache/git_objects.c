/*
 * The conversation (git-cat-file(1), BATCH OUTPUT): a line for each object, answered by "<id>
 * <type> <size>", a newline, the bytes and a newline, or by "<what was asked> missing". With
 * filters the size is still that of the stored object, so each question is followed by one that no
 * object answers, made of a number that nobody can foresee: what lies before that answer is the
 * object. So many questions as a socket certainly takes are sent before their answers are read.
 */
#include "cache/git_objects.h"

#include "base/mem.h"
#include "cache/git_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE     ((size_t)64 * 1024)
#define AHEAD     ((size_t)32 * 1024) /* bytes of questions */
#define MOST_LINE ((size_t)16 * 1024)

struct git_objects {
    struct git_running running;
    bool filters;
    char token[40];
    struct buf in; /* from at on it is still to be taken */
    size_t at;
};

int git_objects_new(const struct git_place *place, const char *attributes, struct git_objects **out,
                    struct err *err)
{
    static const char *const raw[] = {"cat-file", "--batch", NULL};
    static const char *const filtered[] = {"cat-file", "--batch", "--filters", NULL};
    struct git_command command = {
        .place = place, .args = attributes ? filtered : raw, .work_tree = attributes};
    struct git_objects *objects = mem_zalloc(1, sizeof(*objects));
    unsigned char random[16];
    objects->filters = attributes;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        memset(random, 0, sizeof(random));
    strcpy(objects->token, "kiln");
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(objects->token + 4 + 2 * i, 3, "%02x", random[i]);
    int rc = git_command_start(&command, &objects->running, err);
    if (rc != 0) {
        free(objects);
        return rc;
    }
    *out = objects;
    return 0;
}

void git_objects_free(struct git_objects *objects)
{
    if (!objects)
        return;
    if (objects->running.pid >= 0) {
        int rc = git_command_end(&objects->running, NULL);
        (void)rc; /* nobody waits for more of it */
    }
    buf_release(&objects->in);
    free(objects);
}

static size_t have(const struct git_objects *objects)
{
    return objects->in.len - objects->at;
}

static const char *head(const struct git_objects *objects)
{
    return buf_str(&objects->in) + objects->at;
}

/* More bytes; false when there are none. What was taken is forgotten. */
static bool receive(struct git_objects *objects)
{
    struct buf *in = &objects->in;
    size_t rest = have(objects);
    if (objects->at) {
        memmove(in->data, in->data + objects->at, rest);
        buf_truncate(in, rest);
        objects->at = 0;
    }
    char *to = buf_reserve(in, PIECE);
    ssize_t n;
    while ((n = read(objects->running.out, to, PIECE)) < 0 && errno == EINTR)
        ;
    if (n <= 0)
        return false;
    in->len += (size_t)n;
    in->data[in->len] = '\0';
    return true;
}

static bool send_all(struct git_objects *objects, const struct buf *bytes)
{
    for (size_t done = 0; done < bytes->len;) {
        ssize_t n = send(objects->running.in, bytes->data + done, bytes->len - done, MSG_NOSIGNAL);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return false;
    }
    return true;
}

/* The next line, without its newline; it lives until the next call. NULL: there is none. */
static const char *take_line(struct git_objects *objects)
{
    char *newline;
    while (!(newline = have(objects) ? memchr(head(objects), '\n', have(objects)) : NULL))
        if (have(objects) > MOST_LINE || !receive(objects))
            return NULL;
    *newline = '\0';
    const char *line = head(objects);
    objects->at += (size_t)(newline - line) + 1;
    return line;
}

struct sink {
    git_bytes_cb *bytes;
    void *ctx;
    size_t i;
};

static bool give(struct git_objects *objects, const struct sink *sink, size_t n)
{
    bool fine = n == 0 || sink->bytes(sink->ctx, sink->i, head(objects), n);
    objects->at += n;
    return fine;
}

static bool take_sized(struct git_objects *objects, const struct sink *sink, size_t left)
{
    while (left > 0) {
        if (!have(objects) && !receive(objects))
            return false;
        size_t n = have(objects) < left ? have(objects) : left;
        if (!give(objects, sink, n))
            return false;
        left -= n;
    }
    if (!have(objects) && !receive(objects))
        return false;
    objects->at++; /* the newline */
    return sink->bytes(sink->ctx, sink->i, "", 0);
}

static bool take_until_token(struct git_objects *objects, const struct sink *sink)
{
    char end[64];
    size_t n = (size_t)snprintf(end, sizeof(end), "\n%s missing\n", objects->token);
    for (;;) {
        const char *found =
            have(objects) >= n ? memmem(head(objects), have(objects), end, n) : NULL;
        size_t safe = found ? (size_t)(found - head(objects))
                            : have(objects) - (have(objects) < n ? have(objects) : n);
        if (!give(objects, sink, safe))
            return false;
        if (found) {
            objects->at += n;
            return sink->bytes(sink->ctx, sink->i, "", 0);
        }
        if (!receive(objects))
            return false;
    }
}

/* Why the conversation broke off. */
static int broken(struct git_objects *objects, const struct git_wanted *wanted, struct err *err)
{
    int rc = git_command_end(&objects->running, err);
    objects->running.pid = -1;
    return rc != 0 ? rc
                   : err_set(err, ERR_CORRUPT, "git cat-file did not give object %s", wanted->hex);
}

static int take_one(struct git_objects *objects, const struct git_wanted *wanted,
                    const struct sink *sink, struct err *err)
{
    const char *line = take_line(objects);
    const char *space = line ? strrchr(line, ' ') : NULL;
    if (!space)
        return broken(objects, wanted, err);
    char *behind;
    unsigned long long size = strtoull(space + 1, &behind, 10);
    if (behind == space + 1 || *behind)
        return err_set(err, ERR_CORRUPT,
                       "the repository lacks the object %s; \"git fsck\" says what else is wrong",
                       wanted->hex);
    bool fine =
        objects->filters ? take_until_token(objects, sink) : take_sized(objects, sink, size);
    return fine ? 0 : broken(objects, wanted, err);
}

int git_objects_each(struct git_objects *objects, const struct git_wanted *wanted, size_t n,
                     git_bytes_cb *bytes, void *ctx, struct err *err)
{
    struct buf questions = BUF_INIT;
    int rc = 0;
    for (size_t done = 0, asked = 0; done < n && rc == 0;) {
        buf_reset(&questions);
        while (asked < n && questions.len < AHEAD) {
            const struct git_wanted *next = &wanted[asked++];
            if (objects->filters)
                buf_addf(&questions, "%s %s\n%s\n", next->hex, next->path, objects->token);
            else
                buf_addf(&questions, "%s\n", next->hex);
        }
        if (!send_all(objects, &questions))
            rc = broken(objects, &wanted[done], err);
        for (; done < asked && rc == 0; done++) {
            struct sink sink = {bytes, ctx, done};
            rc = take_one(objects, &wanted[done], &sink, err);
        }
    }
    buf_release(&questions);
    return rc;
}

static bool add_bytes(void *ctx, size_t i, const void *bytes, size_t n)
{
    (void)i;
    buf_add(ctx, bytes, n);
    return true;
}

int git_objects_get(struct git_objects *objects, const struct git_wanted *wanted, struct buf *out,
                    struct err *err)
{
    return git_objects_each(objects, wanted, 1, add_bytes, out, err);
}
