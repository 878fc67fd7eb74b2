/*
 * wd_table.h - inotify's watch descriptors to slots: a hash table of small integers.
 *
 * The kernel hands descriptors out in a rising sequence and does not reuse them, so an array
 * indexed by them would grow for as long as the program lives; this grows with what is watched now.
 * Looking up allocates nothing.
 *
 * Ownership: the struct is the caller's (all zero is empty), released by wd_table_release(). Not
 * shared between threads. Descriptors are >= 1, as inotify's are.
 */
#ifndef KILN_WATCH_WD_TABLE_H
#define KILN_WATCH_WD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define WD_TABLE_NONE UINT32_MAX

struct wd_table {
    struct wd_entry {
        int wd; /* 0 = free */
        uint32_t slot;
    } * entries;
    size_t n_entries; /* a power of two, at least twice count */
    size_t count;
};

/* Returns the slot of wd, or WD_TABLE_NONE. */
uint32_t wd_table_get(const struct wd_table *table, int wd);
/* Sets the slot of wd. */
void wd_table_put(struct wd_table *table, int wd, uint32_t slot);
/* Removes wd; one that is not there is fine. */
void wd_table_del(struct wd_table *table, int wd);
void wd_table_release(struct wd_table *table);

#endif
