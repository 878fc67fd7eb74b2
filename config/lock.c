/*
 * lock.c - reads and writes kiln.lock.
 *
 *     {
 *       "version": 1,
 *       "images": [
 *         {"image": "docker.io/library/debian:12", "platform": "linux/amd64",
 *          "digest": "sha256:<64 hex>", "manifest": "sha256:<64 hex>"}
 *       ]
 *     }
 *
 * each image on one line, in order of image, then platform, in bytes. "digest" is what the
 * reference named when it was resolved: an index of several platforms or a manifest; "manifest" is
 * the platform's, and may be left out where it is the same. No image has two lines of one platform.
 * It is read as kiln.json is, so comments and trailing commas are fine; they do not survive a
 * change. Another version is refused: an older kiln would resolve anew what a newer one pinned.
 */
#include "config/lock.h"

#include "base/file.h"
#include "config/doc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define VERSION    1
#define MOST_BYTES ((size_t)4 << 20)
#define PREFIX     "sha256:"

static int compare(const struct lock_entry *entry, const char *image, const char *platform)
{
    int order = strcmp(entry->image, image);
    return order ? order : strcmp(entry->platform, platform);
}

/* Where the entry is, or would be. */
static size_t place(const struct lock *lock, const char *image, const char *platform, bool *found)
{
    size_t low = 0, high = lock->entries.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&lock->entries.v[middle], image, platform) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < lock->entries.n && compare(&lock->entries.v[low], image, platform) == 0;
    return low;
}

static void entry_release(struct lock_entry *entry)
{
    free(entry->image);
    free(entry->platform);
}

void lock_release(struct lock *lock)
{
    vec_each (struct lock_entry, entry, &lock->entries)
        entry_release(entry);
    vec_each (struct lock_entry, entry, &lock->dropped)
        entry_release(entry);
    vec_release(&lock->entries);
    vec_release(&lock->dropped);
}

const struct lock_entry *lock_find(const struct lock *lock, const char *image, const char *platform)
{
    bool found;
    size_t at = place(lock, image, platform, &found);
    return found ? &lock->entries.v[at] : NULL;
}

const struct lock_entry *lock_find_any(const struct lock *lock, const char *image)
{
    bool found;
    size_t at = place(lock, image, "", &found);
    return at < lock->entries.n && strcmp(lock->entries.v[at].image, image) == 0
               ? &lock->entries.v[at]
               : NULL;
}

/* Puts a new entry, of the caller's strings, where nothing is yet. */
static struct lock_entry *insert(struct lock *lock, size_t at, struct lock_entry entry)
{
    vec_push(&lock->entries, entry);
    memmove(&lock->entries.v[at + 1], &lock->entries.v[at],
            (lock->entries.n - 1 - at) * sizeof(entry));
    lock->entries.v[at] = entry;
    return &lock->entries.v[at];
}

void lock_set(struct lock *lock, const char *image, const char *platform,
              const struct digest *digest, const struct digest *manifest)
{
    bool found;
    size_t at = place(lock, image, platform, &found);
    struct lock_entry *entry = &lock->entries.v[at];
    if (found && memcmp(entry->digest.hash, digest->hash, DIGEST_BYTES) == 0 &&
        memcmp(entry->manifest.hash, manifest->hash, DIGEST_BYTES) == 0)
        return;
    if (!found)
        entry = insert(
            lock, at,
            (struct lock_entry){.image = mem_strdup(image), .platform = mem_strdup(platform)});
    memcpy(entry->digest.hash, digest->hash, DIGEST_BYTES);
    memcpy(entry->manifest.hash, manifest->hash, DIGEST_BYTES);
    entry->changed = true;
}

void lock_drop(struct lock *lock, const char *image, const char *platform)
{
    bool found;
    size_t at = place(lock, image, platform, &found);
    if (!found)
        return;
    vec_push(&lock->dropped, lock->entries.v[at]);
    lock->entries.n--;
    memmove(&lock->entries.v[at], &lock->entries.v[at + 1],
            (lock->entries.n - at) * sizeof(struct lock_entry));
}

/* --- writing --- */

static void add_digest(struct buf *out, const char *name, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    buf_addf(out, ", \"%s\": \"" PREFIX "%s\"", name, hex);
}

void lock_text(const struct lock *lock, struct buf *out)
{
    buf_addf(out, "{\n  \"version\": %d,\n  \"images\": [", VERSION);
    vec_each (const struct lock_entry, entry, &lock->entries) {
        buf_adds(out, entry == lock->entries.v ? "\n    {\"image\": " : ",\n    {\"image\": ");
        buf_add_json_str(out, entry->image);
        buf_adds(out, ", \"platform\": ");
        buf_add_json_str(out, entry->platform);
        add_digest(out, "digest", &entry->digest);
        add_digest(out, "manifest", &entry->manifest);
        buf_addc(out, '}');
    }
    buf_adds(out, lock->entries.n ? "\n  ]\n}\n" : "]\n}\n");
}

static bool has_changed(const struct lock *lock)
{
    if (lock->dropped.n)
        return true;
    vec_each (const struct lock_entry, entry, &lock->entries)
        if (entry->changed)
            return true;
    return false;
}

int lock_write(struct lock *lock, const char *path, struct err *err)
{
    if (!has_changed(lock))
        return 0;
    struct lock now = LOCK_INIT;
    struct buf text = BUF_INIT, old = BUF_INIT;
    int rc = lock_read(path, &now, err);
    if (rc == 0) {
        vec_each (const struct lock_entry, entry, &lock->dropped)
            lock_drop(&now, entry->image, entry->platform);
        vec_each (const struct lock_entry, entry, &lock->entries)
            if (entry->changed)
                lock_set(&now, entry->image, entry->platform, &entry->digest, &entry->manifest);
        lock_text(&now, &text);
        /* Somebody else may have come to the same. */
        struct err ignored = ERR_INIT;
        if (file_read(path, MOST_BYTES, &old, &ignored) < 0 || old.len != text.len ||
            memcmp(old.data, text.data, text.len) != 0)
            rc = file_write_atomic(path, text.data, text.len, 0644, err);
        err_release(&ignored);
    }
    if (rc == 0) {
        vec_each (struct lock_entry, entry, &lock->entries)
            entry->changed = false;
        vec_each (struct lock_entry, entry, &lock->dropped)
            entry_release(entry);
        vec_clear(&lock->dropped);
    }
    buf_release(&text);
    buf_release(&old);
    lock_release(&now);
    return rc;
}

/* --- reading --- */

enum { IMAGE, PLATFORM, DIGEST, MANIFEST, N_KEYS };
static const char *const keys[N_KEYS] = {"image", "platform", "digest", "manifest"};

static int fail_at(struct config_doc *doc, uint32_t node, const char *words)
{
    return config_doc_fail(doc, node, doc->nodes.v[node].offset, "%s", words);
}

static int read_digest(struct config_doc *doc, uint32_t node, struct digest *out)
{
    const char *text = json_string_value(doc->nodes.v[node].json);
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 ||
        !digest_parse(text + strlen(PREFIX), 0, out) || digest_is_null(out))
        return fail_at(doc, node,
                       "this is not a digest (\"sha256:\" and 64 hexadecimal characters in lower "
                       "case); remove the line, and kiln resolves the image anew");
    return 0;
}

static int unknown_key(struct config_doc *doc, uint32_t node, const char *known)
{
    const struct config_node *it = &doc->nodes.v[node];
    struct buf name = BUF_INIT;
    config_add_quoted(&name, it->key, strlen(it->key), CONFIG_SHOWN_TEXT);
    int rc = config_doc_fail(doc, node, it->key_offset - 1,
                             "there is no key %s here (but %s); remove it", buf_str(&name), known);
    buf_release(&name);
    return rc;
}

static int read_image(struct config_doc *doc, uint32_t node, struct lock *out)
{
    uint32_t found[N_KEYS] = {0};
    struct digest digest = {0}, manifest;
    bool there;
    if (!json_is_object(doc->nodes.v[node].json))
        return fail_at(doc, node, "an image is expected: {\"image\": …, \"platform\": …, …}");
    config_doc_each(child, doc, node)
    {
        size_t key = 0;
        while (key < N_KEYS && strcmp(keys[key], doc->nodes.v[child].key) != 0)
            key++;
        if (key == N_KEYS)
            return unknown_key(doc, child, "image, platform, digest, manifest");
        if (!json_is_string(doc->nodes.v[child].json) ||
            !*json_string_value(doc->nodes.v[child].json))
            return fail_at(doc, child, "a text that is not empty is expected here");
        found[key] = child;
    }
    for (size_t key = 0; key < MANIFEST; key++) {
        if (!found[key])
            return config_doc_fail(doc, node, doc->nodes.v[node].offset,
                                   "the image has no \"%s\"; remove the line, and kiln resolves it "
                                   "anew",
                                   keys[key]);
    }
    if (read_digest(doc, found[DIGEST], &digest) < 0)
        return -ERR_CONFIG;
    manifest = digest;
    if (found[MANIFEST] && read_digest(doc, found[MANIFEST], &manifest) < 0)
        return -ERR_CONFIG;
    const char *image = json_string_value(doc->nodes.v[found[IMAGE]].json);
    const char *platform = json_string_value(doc->nodes.v[found[PLATFORM]].json);
    size_t at = place(out, image, platform, &there);
    if (there)
        return fail_at(doc, node,
                       "this image has a line above already, for the same platform; remove one of "
                       "the two");
    insert(out, at,
           (struct lock_entry){.image = mem_strdup(image),
                               .platform = mem_strdup(platform),
                               .digest = digest,
                               .manifest = manifest});
    return 0;
}

static int read_document(struct config_doc *doc, struct lock *out)
{
    uint32_t version = 0, images = 0, unknown = 0;
    if (!json_is_object(doc->nodes.v[0].json))
        return fail_at(doc, 0, "an object is expected: {\"version\": 1, \"images\": []}");
    config_doc_each(child, doc, 0)
    {
        if (strcmp(doc->nodes.v[child].key, "version") == 0)
            version = child;
        else if (strcmp(doc->nodes.v[child].key, "images") == 0)
            images = child;
        else if (!unknown)
            unknown = child;
    }
    if (!version)
        return fail_at(doc, 0, "there is no \"version\"; write \"version\": 1");
    if (!json_is_integer(doc->nodes.v[version].json) ||
        json_integer_value(doc->nodes.v[version].json) != VERSION)
        return fail_at(
            doc, version,
            "this kiln knows version 1 only; use the kiln that wrote the file, or remove "
            "the file to have all images resolved anew");
    if (unknown) /* of a newer version that is for that to know */
        return unknown_key(doc, unknown, "version, images");
    if (!images)
        return fail_at(doc, 0, "there are no \"images\"; write \"images\": []");
    if (!json_is_array(doc->nodes.v[images].json))
        return fail_at(doc, images, "a list is expected: [{\"image\": …}]");
    config_doc_each(child, doc, images)
    {
        if (read_image(doc, child, out) < 0)
            return -ERR_CONFIG;
    }
    return 0;
}

/* What git leaves where two branches pinned images. */
static bool has_conflict(const char *text, size_t n, size_t *at)
{
    static const char mark[] = "<<<<<<< ";
    for (const char *line = text; line && (size_t)(text + n - line) >= sizeof(mark) - 1;) {
        if (memcmp(line, mark, sizeof(mark) - 1) == 0) {
            *at = (size_t)(line - text);
            return true;
        }
        line = memchr(line, '\n', (size_t)(text + n - line));
        line = line ? line + 1 : NULL;
    }
    return false;
}

int lock_parse(const char *text, size_t n, const char *shown, struct lock *out, struct err *err)
{
    struct config_doc doc;
    size_t at = 0;
    int rc = -ERR_CONFIG;
    *out = (struct lock)LOCK_INIT;
    if (has_conflict(text, n, &at)) {
        doc = (struct config_doc){.shown = shown, .err = err, .source = text, .n = n};
        return config_doc_fail(&doc, 0, at,
                               "two branches have pinned images here; keep the lines of one of "
                               "them, and remove git's marks");
    }
    if (config_doc_open(&doc, text, n, shown, err) == 0)
        rc = read_document(&doc, out);
    config_doc_close(&doc);
    if (rc < 0) {
        lock_release(out);
        *out = (struct lock)LOCK_INIT;
    }
    return rc;
}

int lock_read(const char *path, struct lock *out, struct err *err)
{
    struct buf text = BUF_INIT;
    struct err local = ERR_INIT;
    const char *slash = strrchr(path, '/');
    *out = (struct lock)LOCK_INIT;
    int rc = file_read(path, MOST_BYTES, &text, &local);
    if (rc < 0 && local.errnum == ENOENT)
        rc = 0;
    else if (rc < 0)
        rc = err_move(err, &local);
    else
        rc = lock_parse(buf_str(&text), text.len, slash ? slash + 1 : path, out, err);
    err_release(&local);
    buf_release(&text);
    return rc;
}
