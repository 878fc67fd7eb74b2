/*
 * secret.c - see secret.h.
 *
 * $XDG_CONFIG_HOME/kiln/secret-key (~/.config/kiln/secret-key): 32 random bytes, mode 0600, of the
 * user's. It is written beside its place and linked there, so that of two kilns that make it at the
 * same time both go on with the one that came first.
 */
#include "engine/secret.h"

#include "base/crypt.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How soon a wait is given up when told to stop. */
#define STOP_MS 100

/* -- values ------------------------------------------------------------------------------------ */

void secret_value_make(struct secret_value *value, size_t n)
{
    *value = (struct secret_value){.bytes = crypt_alloc(n + 1), .n = n, .room = n + 1};
}

void secret_value_release(struct secret_value *value)
{
    crypt_free(value->bytes, value->room);
    *value = (struct secret_value){0};
}

static void set(struct secret_value *value, const char *bytes, size_t n)
{
    secret_value_make(value, n);
    if (n)
        memcpy(value->bytes, bytes, n);
}

int secret_from_env(const char *name, struct secret_value *out, struct err *err)
{
    const char *value = getenv(name);
    if (!value)
        return err_set(err, ERR_USAGE, "the variable %s is not set; set it for kiln", name);
    set(out, value, strlen(value));
    return 0;
}

static char *place_of(const char *path, const char *root, struct err *err)
{
    const char *home = getenv("HOME");
    if (strncmp(path, "~/", 2) != 0)
        return path_join(root, path);
    if (home && *home == '/')
        return path_join(home, path + 2);
    err_set(err, ERR_USAGE, "there is no home for \"%s\": set HOME, or write the whole path", path);
    return NULL;
}

/* A pipe may have nobody yet who writes to it, or never. */
static int wait_for(int fd, const char *path, const atomic_bool *stop, struct err *err)
{
    uint64_t until_ns = clock_monotonic_ns() + (uint64_t)SECRET_WAIT_S * 1000000000;
    struct pollfd at = {.fd = fd, .events = POLLIN};
    while (poll(&at, 1, STOP_MS) <= 0) {
        if (stop && atomic_load(stop))
            return err_set(err, ERR_CANCELLED, "told to stop");
        if (clock_monotonic_ns() > until_ns)
            return err_set(err, ERR_USAGE, "nobody wrote to %s for %d seconds", path,
                           SECRET_WAIT_S);
    }
    return 0;
}

static int read_value(int fd, const char *path, const atomic_bool *stop, struct secret_value *out,
                      struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at the file %s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "%s is a directory; name a file", path);
    /* Room for all that it may be: a pipe has no size, and what some file systems say of a file's
     * is not true. */
    struct secret_value all;
    size_t n = 0, room = SECRET_MAX_BYTES + 1;
    int rc = 0;
    bool more = true;
    secret_value_make(&all, room);
    while (rc == 0 && more && n < room && (rc = wait_for(fd, path, stop, err)) == 0) {
        ssize_t got = read(fd, all.bytes + n, room - n);
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            rc = err_sys(err, errno, "cannot read the file %s", path);
        more = got != 0;
        n += got > 0 ? (size_t)got : 0;
    }
    if (rc == 0 && n > SECRET_MAX_BYTES)
        rc = err_set(err, ERR_USAGE, "%s is larger than %zu KiB, which no secret is", path,
                     SECRET_MAX_BYTES >> 10);
    if (rc == 0)
        set(out, all.bytes, n);
    secret_value_release(&all);
    return rc;
}

int secret_from_file(const char *path, const char *root, const atomic_bool *stop,
                     struct secret_value *out, struct err *err)
{
    char *place = place_of(path, root, err);
    if (!place)
        return -ERR_USAGE;
    int fd = open(place, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int rc =
        fd < 0 ? err_set(err, ERR_USAGE, "the file %s cannot be read (%s)", place, strerror(errno))
               : read_value(fd, place, stop, out, err);
    if (fd >= 0)
        close(fd);
    free(place);
    return rc;
}

/* -- hashes ------------------------------------------------------------------------------------ */

void secret_hash(const struct secret_key *key, const struct secret_value *value,
                 char out[SECRET_HASH_BYTES])
{
    struct digest digest = crypt_hmac(key->bytes, SECRET_KEY_BYTES, value->bytes, value->n);
    memcpy(out, SECRET_HASH_PREFIX, sizeof(SECRET_HASH_PREFIX) - 1);
    digest_hex(&digest, out + sizeof(SECRET_HASH_PREFIX) - 1);
}

bool secret_is_hash(const char *text)
{
    struct digest digest;
    size_t n = sizeof(SECRET_HASH_PREFIX) - 1;
    return !strncmp(text, SECRET_HASH_PREFIX, n) && digest_parse(text + n, 0, &digest);
}

/* -- the user's key ---------------------------------------------------------------------------- */

/* 1 when it was read, 0 when there is none. */
static int read_key(const char *path, struct secret_key *out, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot read the key of secrets %s", path);
    ssize_t n = read(fd, out->bytes, SECRET_KEY_BYTES);
    int rc = 1;
    if (fstat(fd, &st) < 0 || n < 0)
        rc = err_sys(err, errno, "cannot read the key of secrets %s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size != SECRET_KEY_BYTES || n != SECRET_KEY_BYTES)
        rc = err_set(err, ERR_SYSTEM,
                     "%s is not the key of %d bytes that kiln made; remove it for a new one (steps "
                     "with secrets then run once more)",
                     path, SECRET_KEY_BYTES);
    else if (st.st_mode & (S_IRWXG | S_IRWXO) || st.st_uid != geteuid())
        rc =
            err_set(err, ERR_SYSTEM,
                    "the key of secrets %s is open to others (mode %04o, user %u); remove it for a "
                    "new one, or if you trust it, chmod 600 it",
                    path, (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid);
    close(fd);
    return rc;
}

/* Fails quietly with EEXIST: somebody else was first. */
static int make_key(const char *dir, const char *path, struct err *err)
{
    struct secret_key key;
    char *tmp = mem_printf("%s/.secret-key-XXXXXX", dir);
    int rc = file_mkdirs(dir, 0700, err);
    int fd = rc < 0 ? -1 : mkostemp(tmp, O_CLOEXEC); /* 0600 */
    if (rc == 0 && fd < 0)
        rc = err_sys(err, errno, "cannot make the key of secrets in %s", dir);
    if (rc == 0 && !crypt_random(key.bytes, SECRET_KEY_BYTES))
        rc = err_set(err, ERR_SYSTEM, "there are no random bytes for the key of secrets");
    if (rc == 0 && (file_write_all(fd, key.bytes, SECRET_KEY_BYTES) < 0 || fsync(fd) < 0 ||
                    (link(tmp, path) < 0 && errno != EEXIST)))
        rc = err_sys(err, errno, "cannot make the key of secrets %s", path);
    crypt_wipe(&key, sizeof key);
    if (fd >= 0) {
        close(fd);
        unlink(tmp);
    }
    free(tmp);
    return rc;
}

int secret_key_load(struct secret_key *out, struct err *err)
{
    char *dir = path_xdg("XDG_CONFIG_HOME", ".config");
    if (!dir)
        return err_set(err, ERR_SYSTEM,
                       "there is no place for the key of secrets: set HOME or XDG_CONFIG_HOME");
    char *path = path_join(dir, "secret-key");
    int rc = read_key(path, out, err);
    if (rc == 0) {
        rc = make_key(dir, path, err);
        if (rc == 0)
            rc = read_key(path, out, err);
        if (rc == 0)
            rc = err_set(err, ERR_SYSTEM, "the key of secrets %s is gone again", path);
    }
    free(path);
    free(dir);
    return rc < 0 ? rc : 0;
}
