/*
 * record_private.h - what writing (record.c) and reading (record_read.c) run records share.
 * Included by these two alone.
 */
#ifndef KILN_ENGINE_RECORD_PRIVATE_H
#define KILN_ENGINE_RECORD_PRIVATE_H

#include "engine/record.h"

#include "base/vec.h"

struct records {
    char *dir;  /* <state>/projects/<id> */
    char *runs; /* dir/runs */
};

typedef VEC(uint64_t) run_ids;

/* The numbers of the runs there are, lowest first. Runs that do not exist yet are no error. */
int record_ids(const char *runs, run_ids *out, struct err *err) MUST_CHECK;

#endif
