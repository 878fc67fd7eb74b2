/*
 * The file: a head (struct head), sorted entries, as many as the head says, and entries in the
 * order in which they came, added by whoever learned them with one write. The sorted ones are
 * looked for in the file (mapped, it would end kiln when somebody cuts it short), so opening it
 * costs nothing however much it holds, but for the last part, which is read whole and for that
 * reason kept short: when it grows, all are sorted into a new file.
 *
 * Each entry has a check of its own, so that damage costs what it hits and nothing else; what two
 * processes add at the same time both stay, or one is lost, which the next run finds out again. All
 * numbers are the machine's: the file is of this machine's cache.
 */
#include "cache/git_memo.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/ignore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Raise it when keys or what they lead to change their meaning. */
#define MEMO_VERSION UINT64_C(1)
#define MAGIC        UINT64_C(0x6f6d656d74696e6b) /* "knitmemo" */
#define MOST_TAIL    ((size_t)4096)
#define MAX_BYTES    ((size_t)1 << 30)
/* Entries that are read at once while one is looked for. */
#define WINDOW  ((size_t)64)
#define GUESSES 6
/* Beyond that, what lies in the file is let go of: it is found out again. */
#define MOST_ENTRIES ((size_t)4 << 20)

struct head {
    uint64_t magic, version, n_sorted, check;
};

struct entry {
    struct git_memo_key key;
    uint8_t hash[DIGEST_BYTES];
    uint64_t size;
    uint64_t check;
};

struct git_memo {
    char *path;
    int fd; /* of the file; -1: there is nothing in it */
    struct head head;
    size_t n_sorted;
    struct buf tail;  /* entries */
    struct map known; /* key -> const struct entry *: of the tail, and news */
    VEC(const struct entry *) news;
    struct arena arena; /* theirs */
};

static uint64_t check_of(const void *bytes, size_t n)
{
    return ignore_mix(MEMO_VERSION, bytes, n);
}

static uint64_t check_of_entry(const struct entry *entry)
{
    return check_of(entry, offsetof(struct entry, check));
}

static size_t n_tail(const struct git_memo *memo)
{
    return memo->tail.len / sizeof(struct entry);
}

static void take_tail(struct git_memo *memo)
{
    const struct entry *entries = (const void *)memo->tail.data;
    for (size_t i = 0; i < n_tail(memo); i++)
        if (entries[i].check == check_of_entry(&entries[i]))
            map_put(&memo->known, entries[i].key.bytes, DIGEST_BYTES,
                    (void *)(uintptr_t)&entries[i], NULL);
}

/* Whether the head is one, and the file can hold what it says. */
static bool take_head(struct git_memo *memo, int fd)
{
    struct head *head = &memo->head;
    struct stat st;
    return pread(fd, head, sizeof(*head), 0) == (ssize_t)sizeof(*head) && fstat(fd, &st) == 0 &&
           head->magic == MAGIC && head->version == MEMO_VERSION &&
           head->check == check_of(head, offsetof(struct head, check)) &&
           head->n_sorted <= ((size_t)st.st_size - sizeof(*head)) / sizeof(struct entry);
}

static off_t place_of(size_t i)
{
    return (off_t)(sizeof(struct head) + i * sizeof(struct entry));
}

static void read_file(struct git_memo *memo)
{
    struct stat st;
    int fd = memo->path ? open(memo->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !take_head(memo, fd)) {
        close(fd);
        return;
    }
    memo->fd = fd;
    memo->n_sorted = (size_t)memo->head.n_sorted;
    if (lseek(fd, place_of(memo->n_sorted), SEEK_SET) < 0 ||
        file_read_fd(fd, memo->path, MAX_BYTES, &memo->tail, NULL) != 0)
        buf_reset(&memo->tail);
    take_tail(memo);
}

struct git_memo *git_memo_open(const char *path)
{
    struct git_memo *memo = mem_zalloc(1, sizeof(*memo));
    memo->path = path ? mem_strdup(path) : NULL;
    memo->fd = -1;
    read_file(memo);
    return memo;
}

void git_memo_close(struct git_memo *memo)
{
    if (!memo)
        return;
    if (memo->fd >= 0)
        close(memo->fd);
    buf_release(&memo->tail);
    map_release(&memo->known);
    vec_release(&memo->news);
    arena_release(&memo->arena);
    free(memo->path);
    free(memo);
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct git_memo_key));
}

static double weight(const struct git_memo_key *key)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | key->bytes[i];
    return (double)value;
}

/* Keys are hashes, spread evenly: where one lies can be guessed to within the square root of their
 * number, and from there nearly. A file whose keys are not what they were leads nowhere, soon. */
static bool find_sorted(const struct git_memo *memo, const struct git_memo_key *key,
                        struct entry *out)
{
    struct entry window[WINDOW];
    size_t low = 0, high = memo->n_sorted;
    double from = 0, to = 18446744073709551616.0, wanted = weight(key);
    for (int tries = 0; low < high; tries++) {
        size_t n = high - low < WINDOW ? high - low : WINDOW, start = low;
        double share = tries < GUESSES && to > from ? (wanted - from) / (to - from) : 0.5;
        if (share > 0 && share <= 1)
            start += (size_t)(share * (double)(high - low));
        start = start > low + n / 2 ? start - n / 2 : low;
        start = start > high - n ? high - n : start;
        if (pread(memo->fd, window, n * sizeof(*window), place_of(start)) !=
            (ssize_t)(n * sizeof(*window)))
            return false;
        if (by_key(key, &window[0]) < 0) {
            high = start;
            to = weight(&window[0].key);
        } else if (by_key(key, &window[n - 1]) > 0) {
            low = start + n;
            from = weight(&window[n - 1].key);
        } else {
            const struct entry *found = bsearch(key, window, n, sizeof(*window), by_key);
            if (found)
                *out = *found;
            return found && found->check == check_of_entry(found);
        }
    }
    return false;
}

bool git_memo_get(const struct git_memo *memo, const struct git_memo_key *key, struct digest *out)
{
    void **place = map_get(&memo->known, key->bytes, DIGEST_BYTES);
    const struct entry *entry = place ? *place : NULL;
    struct entry found;
    if (!entry && memo->n_sorted && find_sorted(memo, key, &found))
        entry = &found;
    if (!entry)
        return false;
    memcpy(out->hash, entry->hash, DIGEST_BYTES);
    out->size = entry->size;
    return true;
}

void git_memo_put(struct git_memo *memo, const struct git_memo_key *key,
                  const struct digest *digest)
{
    struct digest known;
    if (git_memo_get(memo, key, &known) && digest_eq(&known, digest))
        return;
    struct entry *entry = arena_alloc(&memo->arena, sizeof(*entry));
    *entry = (struct entry){.key = *key, .size = digest->size};
    memcpy(entry->hash, digest->hash, DIGEST_BYTES);
    entry->check = check_of_entry(entry);
    vec_push(&memo->news, entry);
    map_put(&memo->known, key->bytes, DIGEST_BYTES, entry, NULL);
}

static void add_entries(struct buf *out, const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].check == check_of_entry(&entries[i]))
            buf_add(out, &entries[i], sizeof(entries[i]));
}

static void add_news(const struct git_memo *memo, struct buf *out)
{
    for (size_t i = 0; i < memo->news.n; i++)
        buf_add(out, memo->news.v[i], sizeof(struct entry));
}

static void add_sorted(const struct git_memo *memo, struct buf *out)
{
    struct entry window[WINDOW];
    for (size_t at = 0; at < memo->n_sorted;) {
        size_t n = memo->n_sorted - at < WINDOW ? memo->n_sorted - at : WINDOW;
        if (pread(memo->fd, window, n * sizeof(*window), place_of(at)) !=
            (ssize_t)(n * sizeof(*window)))
            return;
        add_entries(out, window, n);
        at += n;
    }
}

/* All that is known, sorted, each key once: the first of equal ones is what came last. */
static int write_all(struct git_memo *memo, struct err *err)
{
    struct buf out = BUF_INIT;
    struct head head = {.magic = MAGIC, .version = MEMO_VERSION};
    buf_add(&out, &head, sizeof(head));
    add_news(memo, &out);
    if (memo->n_sorted + n_tail(memo) + memo->news.n <= MOST_ENTRIES) {
        add_entries(&out, (const void *)memo->tail.data, n_tail(memo));
        add_sorted(memo, &out);
    }
    struct entry *entries = (void *)(out.data + sizeof(head));
    size_t n = (out.len - sizeof(head)) / sizeof(*entries), kept = 0;
    qsort(entries, n, sizeof(*entries), by_key);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || by_key(&entries[i], &entries[kept - 1]) != 0)
            entries[kept++] = entries[i];
    head.n_sorted = kept;
    head.check = check_of(&head, offsetof(struct head, check));
    memcpy(out.data, &head, sizeof(head));
    char *slash = strrchr(memo->path, '/');
    char *dir = mem_strndup(memo->path, slash ? (size_t)(slash - memo->path) : 0);
    int rc = slash ? file_mkdirs(dir, 0700, err) : 0;
    if (rc == 0)
        rc = file_write_atomic(memo->path, out.data, sizeof(head) + kept * sizeof(*entries), 0600,
                               err);
    free(dir);
    buf_release(&out);
    return rc;
}

/* Adds to the file that has the path now. False when it is not one that can be added to. */
static bool append(const struct git_memo *memo)
{
    struct buf out = BUF_INIT;
    struct head head;
    struct stat st;
    int fd = open(memo->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool fits = fd >= 0 && pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
                memcmp(&head, &memo->head, sizeof(head)) == 0 && fstat(fd, &st) == 0 &&
                ((size_t)st.st_size - sizeof(head)) % sizeof(struct entry) == 0;
    add_news(memo, &out);
    /* Cut short by a full disk: what follows is out of step, and worth nothing by its checks. */
    fits = fits && write(fd, out.data, out.len) == (ssize_t)out.len;
    if (fd >= 0)
        close(fd);
    buf_release(&out);
    return fits;
}

int git_memo_save(struct git_memo *memo, struct err *err)
{
    int rc = 0;
    if (!memo->path || !memo->news.n)
        return 0;
    if (!memo->n_sorted || n_tail(memo) + memo->news.n > MOST_TAIL || !append(memo))
        rc = write_all(memo, err);
    if (rc == 0)
        vec_clear(&memo->news);
    return rc;
}
