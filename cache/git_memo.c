/*
 * The file: a head (struct head), sorted entries, as many as the head says, and entries in the
 * order in which they came, added by whoever learned them with one write. It is mapped and searched
 * where it lies, so opening it costs nothing however much it holds, but for the last part, which is
 * read whole and for that reason kept short: when it grows, all are sorted into a new file.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Raise it when keys or what they lead to change their meaning. */
#define MEMO_VERSION UINT64_C(1)
#define MAGIC        UINT64_C(0x6f6d656d74696e6b) /* "knitmemo" */
#define MOST_TAIL    ((size_t)4096)
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
    const unsigned char *bytes; /* the file, or NULL */
    size_t n_bytes;
    const struct entry *sorted;
    size_t n_sorted;
    const struct entry *tail;
    size_t n_tail;
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

static void take_tail(struct git_memo *memo)
{
    for (size_t i = 0; i < memo->n_tail; i++)
        if (memo->tail[i].check == check_of_entry(&memo->tail[i]))
            map_put(&memo->known, memo->tail[i].key.bytes, DIGEST_BYTES,
                    (void *)(uintptr_t)&memo->tail[i], NULL);
}

static void map_file(struct git_memo *memo)
{
    struct stat st;
    int fd = memo->path ? open(memo->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (size_t)st.st_size >= sizeof(struct head)) {
        void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            memo->bytes = bytes;
            memo->n_bytes = (size_t)st.st_size;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void read_file(struct git_memo *memo)
{
    struct head head;
    map_file(memo);
    if (!memo->bytes)
        return;
    memcpy(&head, memo->bytes, sizeof(head));
    size_t room = (memo->n_bytes - sizeof(head)) / sizeof(struct entry);
    if (head.magic != MAGIC || head.version != MEMO_VERSION ||
        head.check != check_of(&head, offsetof(struct head, check)) || head.n_sorted > room)
        return;
    memo->sorted = (const void *)(memo->bytes + sizeof(head));
    memo->n_sorted = (size_t)head.n_sorted;
    memo->tail = memo->sorted + memo->n_sorted;
    memo->n_tail = room - memo->n_sorted;
    take_tail(memo);
}

struct git_memo *git_memo_open(const char *path)
{
    struct git_memo *memo = mem_zalloc(1, sizeof(*memo));
    memo->path = path ? mem_strdup(path) : NULL;
    read_file(memo);
    return memo;
}

void git_memo_close(struct git_memo *memo)
{
    if (!memo)
        return;
    if (memo->bytes)
        munmap((void *)(uintptr_t)memo->bytes, memo->n_bytes);
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

bool git_memo_get(const struct git_memo *memo, const struct git_memo_key *key, struct digest *out)
{
    void **place = map_get(&memo->known, key->bytes, DIGEST_BYTES);
    const struct entry *entry = place ? *place : NULL;
    if (!entry && memo->n_sorted) {
        entry = bsearch(key, memo->sorted, memo->n_sorted, sizeof(*entry), by_key);
        if (entry && entry->check != check_of_entry(entry))
            entry = NULL;
    }
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

/* All that is known, sorted, each key once: the first of equal ones is what came last. */
static int write_all(struct git_memo *memo, struct err *err)
{
    struct buf out = BUF_INIT;
    struct head head = {.magic = MAGIC, .version = MEMO_VERSION};
    buf_add(&out, &head, sizeof(head));
    add_news(memo, &out);
    if (memo->n_sorted + memo->n_tail + memo->news.n <= MOST_ENTRIES) {
        add_entries(&out, memo->tail, memo->n_tail);
        add_entries(&out, memo->sorted, memo->n_sorted);
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
                memcmp(&head, memo->bytes, sizeof(head)) == 0 && fstat(fd, &st) == 0 &&
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
    if (!memo->n_sorted || memo->n_tail + memo->news.n > MOST_TAIL || !append(memo))
        rc = write_all(memo, err);
    if (rc == 0)
        vec_clear(&memo->news);
    return rc;
}
