/*
 * unpack_blob.h - a layer's blob as the tar stream in it, and the digests of both.
 *
 * Private to the unpacker. The stream is hashed to its very end, also behind the mark that ends the
 * tar in it, for that is what a diff id is of; so is the file, whatever its compression makes of
 * its last bytes. gzip, zstd and plain are told by the first bytes, as Docker does.
 *
 * Ownership: the descriptor is the caller's, at its beginning. One thread.
 */
#ifndef KILN_RUNNERS_UNPACK_BLOB_H
#define KILN_RUNNERS_UNPACK_BLOB_H

#include "base/digest.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct blob;

/* Calls progress (may be NULL) with the bytes of the file read so far. */
int blob_open(int fd, void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct blob **out,
              struct err *err) MUST_CHECK;
/* A tar_pull() for its content. ERR_CONFIG when it cannot be decompressed. */
int blob_pull(void *blob, const void **bytes, size_t *n, struct err *err) MUST_CHECK;
/* Bytes of the file read so far, and of what came out of it. */
uint64_t blob_bytes_in(const struct blob *blob);
uint64_t blob_bytes_out(const struct blob *blob);
/* Reads what is left and tells the digests; content is null when it could not be had to its end. */
int blob_end(struct blob *blob, struct digest *file, struct digest *content,
             struct err *err) MUST_CHECK;
void blob_close(struct blob *blob); /* NULL is fine */

#endif
