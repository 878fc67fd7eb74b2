/*
 * secret.h - values of steps' secrets: how they are fetched, kept and told apart.
 *
 * A value is known to the step alone. In memory it lies in pages of its own, which are neither
 * swapped (where the limits allow) nor dumped, and are wiped when it is let go. Everywhere else -
 * keys, Commands, records - there is its keyed hash: HMAC-SHA256 with a random key of the user's in
 * $XDG_CONFIG_HOME/kiln/secret-key, so that whoever has a cache or a history cannot try values
 * against it.
 *
 * Plain data of the caller's; any thread.
 */
#ifndef KILN_ENGINE_SECRET_H
#define KILN_ENGINE_SECRET_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_KEY_BYTES 32
#define SECRET_MAX_BYTES ((size_t)64 << 10)

/* "kiln-secret:" and 64 hexadecimal digits. */
#define SECRET_HASH_PREFIX "kiln-secret:"
#define SECRET_HASH_BYTES  (sizeof(SECRET_HASH_PREFIX) - 1 + 64 + 1)

struct secret_key {
    uint8_t bytes[SECRET_KEY_BYTES];
};

/* The user's key, made at first use. ERR_SYSTEM with the remedy when it cannot be made, or is not
 * what kiln made: short, or open to others. */
int secret_key_load(struct secret_key *out, struct err *err) MUST_CHECK;

struct secret_value {
    char *bytes; /* NULL: none. A NUL stands behind them */
    size_t n;
    size_t room;
};

/* Makes room for n bytes; aborts when memory is out. */
void secret_value_make(struct secret_value *value, size_t n);
/* Wipes and frees it. */
void secret_value_release(struct secret_value *value);

/* What stands for the value where others can look. */
void secret_hash(const struct secret_key *key, const struct secret_value *value,
                 char out[SECRET_HASH_BYTES]);
bool secret_is_hash(const char *text);

/* The caller's variable of that name. ERR_USAGE when it is not set. */
int secret_from_env(const char *name, struct secret_value *out, struct err *err) MUST_CHECK;
/* A file: absolute, below home as "~/...", or from root. ERR_USAGE when there is none that can be
 * read. A pipe is waited for, SECRET_WAIT_S at most for anything; ERR_CANCELLED when *stop (NULL:
 * never) becomes true meanwhile. */
#define SECRET_WAIT_S 60
int secret_from_file(const char *path, const char *root, const atomic_bool *stop,
                     struct secret_value *out, struct err *err) MUST_CHECK;

#endif
