/*
 * git_memo.h - what was found out about objects of git in earlier runs: the SHA-256 of a file's
 * content, the digest of what a view takes of a tree. A key says all that the answer depends on, so
 * that an entry never grows old.
 *
 * Private to cache/. Opaque, git_memo_close(). Belongs to one thread at a time. Several processes
 * may have one file open.
 */
#ifndef KILN_CACHE_GIT_MEMO_H
#define KILN_CACHE_GIT_MEMO_H

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>

struct git_memo;

struct git_memo_key {
    uint8_t bytes[DIGEST_BYTES];
};

/* A file that is missing, damaged, cut or of another kind is as good as empty, and so is every
 * damaged entry of one. NULL: no file. Never fails. */
struct git_memo *git_memo_open(const char *path);
void git_memo_close(struct git_memo *memo);
bool git_memo_get(const struct git_memo *memo, const struct git_memo_key *key, struct digest *out);
void git_memo_put(struct git_memo *memo, const struct git_memo_key *key,
                  const struct digest *digest);
/* Keeps what was put for others. */
int git_memo_save(struct git_memo *memo, struct err *err) MUST_CHECK;

#endif
