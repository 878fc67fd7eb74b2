/*
 * A tree of git: directories by one conversation with git that begins when it is first needed,
 * files by conversations of the workers' own.
 */
#include "cache/git_source.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_command.h"
#include "cache/git_filters.h"
#include "cache/git_memo.h"
#include "cache/git_objects.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct git_source {
    struct git_place place;
    struct git_id tree; /* of the whole repository */
    char *scratch;
    struct git_memo *memo;
    struct git_outer outer;
    struct git_objects *objects; /* NULL: not needed yet */
    struct git_id root;          /* of the project; "": there is nothing */
    struct git_filters filters;  /* above it */
    pthread_mutex_t lock;        /* for what filters need, which workers ask for */
    char *attributes;            /* a directory with them, made when first needed */
    bool attributes_made;
};

static struct git_id id_of(const char *hex)
{
    struct git_id id;
    size_t n = strlen(hex);
    if (n >= sizeof(id.hex))
        n = 0;
    memcpy(id.hex, hex, n);
    id.hex[n] = '\0';
    return id;
}

static int talk(struct git_source *source, struct err *err)
{
    return source->objects ? 0 : git_objects_new(&source->place, NULL, &source->objects, err);
}

static int get(struct git_source *source, const struct git_id *id, struct buf *out, struct err *err)
{
    int rc = talk(source, err);
    if (rc == 0)
        rc = git_objects_get(source->objects, &(struct git_wanted){.hex = id->hex}, out, err);
    if (rc != 0) { /* that conversation is over */
        git_objects_free(source->objects);
        source->objects = NULL;
    }
    return rc;
}

/* --- trees --- */

static void hex_of(const unsigned char *bytes, size_t n, struct git_id *id)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        id->hex[2 * i] = digits[bytes[i] >> 4];
        id->hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    id->hex[2 * n] = '\0';
}

/* A tree object is "<mode in octal> <name>\0<id>" for each entry. */
static bool take_entry(const unsigned char **at, const unsigned char *end, size_t id_bytes,
                       struct arena *arena, struct git_source_entry *entry)
{
    const unsigned char *nul = memchr(*at, '\0', (size_t)(end - *at));
    const unsigned char *space = nul ? memchr(*at, ' ', (size_t)(nul - *at)) : NULL;
    if (!space || (size_t)(end - nul - 1) < id_bytes)
        return false;
    unsigned long mode = strtoul((const char *)*at, NULL, 8);
    size_t len = (size_t)(nul - space - 1);
    bool dots = (len == 1 && space[1] == '.') || (len == 2 && memcmp(space + 1, "..", 2) == 0);
    if (len == 0 || dots || memchr(space + 1, '/', len))
        return false;
    *entry = (struct git_source_entry){.name = arena_strndup(arena, (const char *)space + 1, len),
                                       .len = len,
                                       .kind = GIT_FILE,
                                       .executable = mode & 0100};
    hex_of(nul + 1, id_bytes, &entry->id);
    if ((mode & S_IFMT) == S_IFDIR) {
        entry->kind = GIT_DIR;
    } else if ((mode & S_IFMT) == S_IFLNK) {
        entry->kind = GIT_LINK;
    } else if ((mode & S_IFMT) != S_IFREG) { /* a submodule */
        entry->kind = GIT_DIR;
        entry->id.hex[0] = '\0';
    }
    *at = nul + 1 + id_bytes;
    return true;
}

int git_source_dir(struct git_source *source, const struct git_id *id, const char *path,
                   struct git_filters *filters, struct arena *arena,
                   struct git_source_entry **entries, size_t *n, struct err *err)
{
    VEC(struct git_source_entry) found = VEC_INIT;
    struct buf bytes = BUF_INIT;
    struct git_source_entry entry;
    *n = 0;
    *entries = NULL;
    int rc = *id->hex ? get(source, id, &bytes, err) : 0;
    const unsigned char *at = (const void *)buf_str(&bytes), *end = at + bytes.len;
    while (rc == 0 && at < end) {
        if (take_entry(&at, end, strlen(id->hex) / 2, arena, &entry))
            vec_push(&found, entry);
        else
            rc = err_set(err, ERR_CORRUPT, "%s is no tree that could be read", id->hex);
    }
    for (size_t i = 0; i < found.n && rc == 0; i++) {
        if (found.v[i].kind != GIT_FILE || strcmp(found.v[i].name, ATTRIBUTES_NAME) != 0)
            continue;
        buf_reset(&bytes);
        rc = get(source, &found.v[i].id, &bytes, err);
        if (rc == 0)
            git_filters_add(filters, &source->outer, &found.v[i].id, path, &bytes);
    }
    if (rc == 0 && found.n) {
        *entries = arena_memdup(arena, found.v, found.n * sizeof(*found.v));
        *n = found.n;
    }
    vec_release(&found);
    buf_release(&bytes);
    return rc;
}

int git_source_target(struct git_source *source, const struct git_id *id, struct buf *out,
                      struct err *err)
{
    return get(source, id, out, err);
}

/* Goes down from a tree along the path; *id is "" when there is no such directory. above: filters
 * of the directory that the last component lies in. */
static int go_down(struct git_source *source, const char *path, struct git_id *id,
                   struct git_filters *above, struct git_source_entry *last, struct err *err)
{
    struct buf dir = BUF_INIT;
    int rc = 0;
    *last = (struct git_source_entry){.kind = GIT_DIR, .id = *id};
    for (const char *at = path; *at && rc == 0 && last->kind == GIT_DIR && *last->id.hex;) {
        size_t len = strcspn(at, "/"), n;
        struct arena arena = ARENA_INIT;
        struct git_source_entry *entries;
        struct git_id here = last->id;
        rc = git_source_dir(source, &here, buf_str(&dir), above, &arena, &entries, &n, err);
        *last = (struct git_source_entry){.kind = GIT_DIR};
        for (size_t i = 0; i < n && rc == 0; i++)
            if (entries[i].len == len && memcmp(entries[i].name, at, len) == 0)
                *last = entries[i];
        last->name = NULL;
        arena_release(&arena);
        if (dir.len)
            buf_addc(&dir, '/');
        buf_add(&dir, at, len);
        at += len;
        at += *at == '/';
        if (*at && last->kind != GIT_DIR)
            *last = (struct git_source_entry){.kind = GIT_DIR};
    }
    *id = last->id;
    buf_release(&dir);
    return rc;
}

/* --- life --- */

static struct git_memo_key key_of(const struct buf *name)
{
    struct digest digest = digest_of(buf_str(name), name->len);
    struct git_memo_key key;
    memcpy(key.bytes, digest.hash, sizeof(key.bytes));
    return key;
}

static void id_bytes(const struct git_id *id, uint8_t out[DIGEST_BYTES])
{
    memset(out, 0, DIGEST_BYTES);
    for (size_t i = 0; id->hex[i]; i++) {
        unsigned c = (unsigned char)id->hex[i];
        out[i / 2] |= (uint8_t)((c <= '9' ? c - '0' : c - 'a' + 10) << (i % 2 ? 0 : 4));
    }
}

/* Where the project lies in the tree. The memo has the id as bytes, and their number as the size.
 */
static int find_root(struct git_source *source, struct err *err)
{
    struct buf name = BUF_INIT;
    struct digest id, print;
    const char *prefix = source->place.prefix;
    source->root = source->tree;
    source->filters = git_filters_outer(&source->outer);
    if (!*prefix)
        return 0;
    buf_add(&name, "root", 5);
    buf_add(&name, source->filters.print, sizeof(source->filters.print));
    buf_add(&name, source->outer.print, sizeof(source->outer.print));
    buf_adds(&name, source->tree.hex);
    buf_adds(&name, prefix);
    struct git_memo_key key = key_of(&name);
    buf_addc(&name, 'f');
    struct git_memo_key filters_key = key_of(&name);
    buf_release(&name);
    if (git_memo_get(source->memo, &key, &id) && git_memo_get(source->memo, &filters_key, &print)) {
        hex_of(id.hash, (size_t)id.size, &source->root);
        memcpy(source->filters.print, print.hash, sizeof(print.hash));
        return 0;
    }
    struct git_source_entry last;
    int rc = go_down(source, prefix, &source->root, &source->filters, &last, err);
    if (rc == 0 && last.kind != GIT_DIR)
        source->root.hex[0] = '\0';
    if (rc == 0) {
        id_bytes(&source->root, id.hash);
        id.size = strlen(source->root.hex) / 2;
        memcpy(print.hash, source->filters.print, sizeof(print.hash));
        print.size = 0;
        git_memo_put(source->memo, &key, &id);
        git_memo_put(source->memo, &filters_key, &print);
    }
    return rc;
}

int git_source_new(const struct git_place *place, const char *hex, const char *memo,
                   const char *scratch, struct git_source **out, struct err *err)
{
    struct git_source *source = mem_zalloc(1, sizeof(*source));
    source->place = (struct git_place){.git_dir = mem_strdup(place->git_dir),
                                       .common = mem_strdup(place->common),
                                       .work_tree = mem_strdup(place->work_tree),
                                       .index = mem_strdup(place->index),
                                       .prefix = mem_strdup(place->prefix)};
    source->tree = id_of(hex);
    source->scratch = mem_strdup(scratch);
    source->memo = git_memo_open(memo);
    pthread_mutex_init(&source->lock, NULL);
    int rc = git_outer_read(&source->place, source->memo, &source->outer, err);
    if (rc == 0)
        rc = find_root(source, err);
    if (rc != 0)
        git_source_free(source);
    else
        *out = source;
    return rc;
}

void git_source_free(struct git_source *source)
{
    if (!source)
        return;
    git_objects_free(source->objects);
    git_memo_close(source->memo);
    if (source->attributes) {
        int rc = file_remove_tree(AT_FDCWD, source->attributes, NULL);
        (void)rc; /* whoever opens the cache next tidies up there */
    }
    free(source->attributes);
    free(source->scratch);
    git_place_release(&source->place);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

int git_source_save(struct git_source *source, struct err *err)
{
    return git_memo_save(source->memo, err);
}

void git_source_root(const struct git_source *source, struct git_id *id,
                     struct git_filters *filters)
{
    *id = source->root;
    *filters = source->filters;
}

/* --- the memo --- */

static struct git_memo_key key_of_file(const struct git_id *id, const struct git_filters *filters,
                                       const char *path)
{
    struct git_memo_key key;
    if (!git_filters_any(filters)) {
        id_bytes(id, key.bytes);
        return key;
    }
    struct buf name = BUF_INIT;
    buf_add(&name, "file", 5);
    buf_adds(&name, id->hex);
    buf_add(&name, filters->print, sizeof(filters->print));
    buf_adds(&name, path);
    key = key_of(&name);
    buf_release(&name);
    return key;
}

bool git_source_known(const struct git_source *source, const struct git_id *id,
                      const struct git_filters *filters, const char *path, struct digest *out)
{
    struct git_memo_key key = key_of_file(id, filters, path);
    return git_memo_get(source->memo, &key, out);
}

void git_source_learn(struct git_source *source, const struct git_id *id,
                      const struct git_filters *filters, const char *path,
                      const struct digest *digest)
{
    struct git_memo_key key = key_of_file(id, filters, path);
    git_memo_put(source->memo, &key, digest);
}

bool git_source_recall(const struct git_source *source, const struct buf *name, struct digest *out)
{
    struct git_memo_key key = key_of(name);
    return git_memo_get(source->memo, &key, out);
}

void git_source_note(struct git_source *source, const struct buf *name, const struct digest *digest)
{
    struct git_memo_key key = key_of(name);
    git_memo_put(source->memo, &key, digest);
}

/* --- files --- */

/* The .gitattributes among the lines of git ls-tree: "<mode> <type> <id>\t<path>". */
static int write_attributes(struct git_objects *objects, const struct buf *list, const char *dir,
                            struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;
    for (const char *at = list->data; rc == 0 && at && at < list->data + list->len;
         at += strlen(at) + 1) {
        const char *path = strchr(at, '\t'), *slash = strrchr(at, '/');
        const char *name = slash ? slash + 1 : path ? path + 1 : "";
        const char *blob = strncmp(at, "100", 3) == 0 ? strstr(at, " blob ") : NULL;
        if (!blob || !path || strcmp(name, ATTRIBUTES_NAME) != 0)
            continue;
        char *hex = mem_strndup(blob + 6, (size_t)(path - blob - 6));
        char *file = path_join(dir, path + 1);
        char *folder = mem_strndup(file, (size_t)(strrchr(file, '/') - file));
        buf_reset(&text);
        rc = git_objects_get(objects, &(struct git_wanted){.hex = hex}, &text, err);
        if (rc == 0)
            rc = file_mkdirs(folder, 0700, err);
        if (rc == 0)
            rc = file_write_atomic(file, buf_str(&text), text.len, 0600, err);
        free(hex);
        free(file);
        free(folder);
    }
    buf_release(&text);
    return rc;
}

static int make_attributes(struct git_source *source, struct err *err)
{
    const char *const args[] = {"ls-tree", "-r", "-z", "--full-tree", source->tree.hex, NULL};
    struct git_command command = {.place = &source->place, .args = args};
    struct git_objects *objects = NULL;
    struct buf list = BUF_INIT;
    char *dir = mem_printf("%s/kiln-tree-XXXXXX", source->scratch);
    if (!mkdtemp(dir)) {
        int rc = err_sys(err, errno, "cannot make a directory in %s", source->scratch);
        free(dir);
        return rc;
    }
    source->attributes = dir;
    int rc = git_command_run(&command, &list, err);
    if (rc == 0)
        rc = git_objects_new(&source->place, NULL, &objects, err);
    if (rc == 0)
        rc = write_attributes(objects, &list, dir, err);
    git_objects_free(objects);
    buf_release(&list);
    return rc;
}

static int open_filtered(struct git_source *source, struct git_objects **out, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&source->lock);
    if (!source->attributes)
        rc = make_attributes(source, err);
    else if (!source->attributes_made)
        rc = err_set(err, ERR_SYSTEM, "the attributes of the tree could not be written");
    source->attributes_made |= rc == 0;
    pthread_mutex_unlock(&source->lock);
    return rc == 0 ? git_objects_new(&source->place, source->attributes, out, err) : rc;
}

struct hashing {
    struct git_source_file **files;
    const atomic_bool *stop;
    struct hasher *hasher;
    size_t begun; /* files whose digest was begun */
};

static bool add_bytes(void *ctx, size_t i, const void *bytes, size_t n)
{
    struct hashing *hashing = ctx;
    if (hashing->begun == i) {
        hasher_start(hashing->hasher);
        hashing->begun++;
    }
    if (n > 0) {
        hasher_add(hashing->hasher, bytes, n);
    } else {
        hashing->files[i]->digest = hasher_end(hashing->hasher);
        hashing->files[i]->errnum = 0;
    }
    return !hashing->stop || !atomic_load_explicit(hashing->stop, memory_order_relaxed);
}

/* Those that are, or are not, to be filtered. */
static void hash_some(struct git_source *source, struct git_source_file *files, size_t n,
                      bool filtered, const atomic_bool *stop)
{
    VEC(struct git_wanted) wanted = VEC_INIT;
    VEC(struct git_source_file *) some = VEC_INIT;
    struct arena paths = ARENA_INIT;
    for (size_t i = 0; i < n; i++) {
        if (files[i].filtered != filtered)
            continue;
        files[i].errnum = EIO;
        if (filtered && strchr(files[i].path, '\n'))
            continue; /* there is no way to ask for it */
        vec_push(&some, &files[i]);
        vec_push(&wanted, (struct git_wanted){.hex = files[i].id.hex,
                                              .path = filtered ? arena_printf(&paths, "%s%s",
                                                                              source->place.prefix,
                                                                              files[i].path)
                                                               : NULL});
    }
    struct git_objects *objects = NULL;
    struct hashing hashing = {.files = some.v, .stop = stop};
    if (some.n && (filtered ? open_filtered(source, &objects, NULL)
                            : git_objects_new(&source->place, NULL, &objects, NULL)) == 0) {
        hashing.hasher = hasher_new();
        int rc = git_objects_each(objects, wanted.v, wanted.n, add_bytes, &hashing, NULL);
        (void)rc; /* each file says whether it has a digest */
        hasher_free(hashing.hasher);
    }
    git_objects_free(objects);
    vec_release(&wanted);
    vec_release(&some);
    arena_release(&paths);
}

void git_source_hash(struct git_source *source, struct git_source_file *files, size_t n,
                     const atomic_bool *stop)
{
    hash_some(source, files, n, false, stop);
    hash_some(source, files, n, true, stop);
}

int git_source_read(struct git_source *source, const char *path, size_t max, struct buf *out,
                    bool *found, struct err *err)
{
    struct git_id id = source->root;
    struct git_filters filters = source->filters;
    struct git_source_entry last;
    struct git_objects *objects = NULL;
    *found = false;
    int rc = go_down(source, path, &id, &filters, &last, err);
    if (rc != 0 || last.kind != GIT_FILE || !*id.hex)
        return rc;
    *found = true;
    bool filtered = git_filters_any(&filters);
    char *whole = mem_printf("%s%s", source->place.prefix, path);
    struct git_wanted wanted = {.hex = id.hex, .path = whole};
    rc = filtered ? open_filtered(source, &objects, err) : talk(source, err);
    if (rc == 0)
        rc = git_objects_get(filtered ? objects : source->objects, &wanted, out, err);
    git_objects_free(objects);
    free(whole);
    if (rc == 0 && out->len > max)
        rc = err_set(err, ERR_CONFIG, "\"%s\" is larger than a file of its kind may be", path);
    return rc;
}
