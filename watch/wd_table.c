#include "watch/wd_table.h"

#include "base/mem.h"

#include <stdlib.h>

static size_t home(const struct wd_table *table, int wd)
{
    return ((uint32_t)wd * UINT32_C(2654435769)) & (table->n_entries - 1);
}

/* The place of wd, or the free place where it would go. */
static size_t find(const struct wd_table *table, int wd)
{
    size_t at = home(table, wd);
    while (table->entries[at].wd && table->entries[at].wd != wd)
        at = (at + 1) & (table->n_entries - 1);
    return at;
}

uint32_t wd_table_get(const struct wd_table *table, int wd)
{
    if (!table->count || wd <= 0)
        return WD_TABLE_NONE;
    const struct wd_entry *entry = &table->entries[find(table, wd)];
    return entry->wd ? entry->slot : WD_TABLE_NONE;
}

static void grow(struct wd_table *table)
{
    struct wd_table old = *table;
    table->n_entries = old.n_entries ? old.n_entries * 2 : 64;
    table->entries = mem_zalloc(table->n_entries, sizeof(*table->entries));
    for (size_t i = 0; i < old.n_entries; i++)
        if (old.entries[i].wd)
            table->entries[find(table, old.entries[i].wd)] = old.entries[i];
    free(old.entries);
}

void wd_table_put(struct wd_table *table, int wd, uint32_t slot)
{
    if ((table->count + 1) * 2 > table->n_entries)
        grow(table);
    struct wd_entry *entry = &table->entries[find(table, wd)];
    if (!entry->wd)
        table->count++;
    *entry = (struct wd_entry){.wd = wd, .slot = slot};
}

void wd_table_del(struct wd_table *table, int wd)
{
    if (!table->count || wd <= 0)
        return;
    size_t mask = table->n_entries - 1, hole = find(table, wd);
    if (!table->entries[hole].wd)
        return;
    /* Move back what was pushed on by the entry that leaves, so that no tombstones gather. */
    for (size_t at = (hole + 1) & mask; table->entries[at].wd; at = (at + 1) & mask) {
        size_t wanted = home(table, table->entries[at].wd);
        if (((at - wanted) & mask) >= ((at - hole) & mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].wd = 0;
    table->count--;
}

void wd_table_release(struct wd_table *table)
{
    free(table->entries);
    *table = (struct wd_table){0};
}
