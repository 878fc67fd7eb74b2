/*
 * map.h - a hash table from byte strings to void pointers (open addressing, keys copied into the
 * map).
 *
 * Ownership: the struct is the caller's (MAP_INIT); keys are copies, die when they are deleted or
 * with the map, and do not move before; values are the caller's. Order of iteration is the order of
 * insertion, so that nothing shown to a person depends on hashing (deletion keeps the others'
 * order). Never fails. Not shared between threads.
 */
#ifndef KILN_BASE_MAP_H
#define KILN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    const void *key; /* with a NUL behind its key_len bytes; NULL once deleted */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry
        *entries; /* dense, insertion order, deleted ones left as holes until it grows */
    size_t n_entries, cap_entries;
    uint32_t *slots; /* index + 1 into entries, 0 = free */
    size_t n_slots;
    size_t count; /* live entries */
};

#define MAP_INIT               \
    {                          \
        NULL, 0, 0, NULL, 0, 0 \
    }

/* Returns the place of the key's value, or NULL. The place is valid until the next put. */
void **map_get(const struct map *map, const void *key, size_t key_len);
/* Sets the key's value; returns the place. *existed (may be NULL) tells whether the key was there.
 */
void **map_put(struct map *map, const void *key, size_t key_len, void *value, bool *existed);
/* Removes the key; returns its value, NULL when it was not there. */
void *map_del(struct map *map, const void *key, size_t key_len);
/* The same with a NUL-terminated string as the key (the NUL is not part of it); the value itself,
 * or NULL. */
void *map_get_str(const struct map *map, const char *key);
void map_put_str(struct map *map, const char *key, void *value);
void *map_del_str(struct map *map, const char *key);
/* Iterates the live entries; deleting is allowed meanwhile, putting is not. */
struct map_entry *map_next(const struct map *map, struct map_entry *entry);
#define map_each(entry, map) \
    for (struct map_entry *entry = map_next(map, NULL); entry; entry = map_next(map, entry))
void map_release(struct map *map);

#endif
