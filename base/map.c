#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP ((size_t)8)
#define NO_SLOT   SIZE_MAX

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

static uint64_t hash_bytes(const void *key, size_t n)
{
    const unsigned char *p = key;
    uint64_t hash = mix((uint64_t)n + 0x9e3779b97f4a7c15u);
    uint64_t word = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        hash = mix(hash ^ word);
    }
    word = 0;
    if (n)
        memcpy(&word, p, n);
    return mix(hash ^ word);
}

/* The slot that holds the key, or NO_SLOT. There is always a free slot to end at: half of them are.
 */
static size_t find_slot(const struct map *map, const void *key, size_t key_len, uint64_t hash)
{
    if (!map->count)
        return NO_SLOT;
    size_t mask = map->n_slots - 1;
    for (size_t at = (size_t)hash & mask; map->slots[at]; at = (at + 1) & mask) {
        const struct map_entry *entry = &map->entries[map->slots[at] - 1];
        if (entry->hash == hash && entry->key_len == key_len &&
            (!key_len || !memcmp(entry->key, key, key_len)))
            return at;
    }
    return NO_SLOT;
}

static void fill_slot(struct map *map, size_t index)
{
    size_t mask = map->n_slots - 1;
    size_t at = (size_t)map->entries[index].hash & mask;
    while (map->slots[at])
        at = (at + 1) & mask;
    map->slots[at] = (uint32_t)(index + 1);
}

/* Makes room for one more entry: closes the holes, and doubles when that would not free half of it.
 */
static void make_room(struct map *map)
{
    size_t cap = map->cap_entries ? map->cap_entries : FIRST_CAP;
    if (map->count > cap / 2)
        cap *= 2;
    if (cap > UINT32_MAX / 2)
        cap = SIZE_MAX; /* an index would not fit its slot: mem_realloc() aborts */
    size_t live = 0;
    for (size_t i = 0; i < map->n_entries; i++) {
        if (map->entries[i].key)
            map->entries[live++] = map->entries[i];
    }
    map->n_entries = live;
    if (cap != map->cap_entries) {
        map->entries = mem_realloc(map->entries, cap, sizeof(*map->entries));
        map->cap_entries = cap;
        map->n_slots = cap * 2;
        free(map->slots);
        map->slots = mem_zalloc(map->n_slots, sizeof(*map->slots));
    } else {
        memset(map->slots, 0, map->n_slots * sizeof(*map->slots));
    }
    for (size_t i = 0; i < live; i++)
        fill_slot(map, i);
}

void **map_get(const struct map *map, const void *key, size_t key_len)
{
    size_t at = find_slot(map, key, key_len, hash_bytes(key, key_len));
    return at == NO_SLOT ? NULL : &map->entries[map->slots[at] - 1].value;
}

void **map_put(struct map *map, const void *key, size_t key_len, void *value, bool *existed)
{
    uint64_t hash = hash_bytes(key, key_len);
    size_t at = find_slot(map, key, key_len, hash);
    if (existed)
        *existed = at != NO_SLOT;
    if (at != NO_SLOT) {
        struct map_entry *entry = &map->entries[map->slots[at] - 1];
        entry->value = value;
        return &entry->value;
    }
    if (map->n_entries == map->cap_entries)
        make_room(map);
    size_t index = map->n_entries++;
    map->entries[index] = (struct map_entry){
        .key = mem_strndup(key, key_len), .key_len = key_len, .hash = hash, .value = value};
    map->count++;
    fill_slot(map, index);
    return &map->entries[index].value;
}

/* Frees the slot, and moves those behind it that it kept from their place, so that no marker stays.
 */
static void free_slot(struct map *map, size_t hole)
{
    size_t mask = map->n_slots - 1;
    for (size_t at = (hole + 1) & mask; map->slots[at]; at = (at + 1) & mask) {
        size_t home = (size_t)map->entries[map->slots[at] - 1].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = 0;
}

void *map_del(struct map *map, const void *key, size_t key_len)
{
    size_t at = find_slot(map, key, key_len, hash_bytes(key, key_len));
    if (at == NO_SLOT)
        return NULL;
    struct map_entry *entry = &map->entries[map->slots[at] - 1];
    void *value = entry->value;
    free_slot(map, at);
    free((void *)(uintptr_t)entry->key);
    *entry = (struct map_entry){0};
    map->count--;
    while (map->n_entries && !map->entries[map->n_entries - 1].key)
        map->n_entries--;
    return value;
}

void *map_get_str(const struct map *map, const char *key)
{
    void **place = map_get(map, key, strlen(key));
    return place ? *place : NULL;
}

void map_put_str(struct map *map, const char *key, void *value)
{
    map_put(map, key, strlen(key), value, NULL);
}

void *map_del_str(struct map *map, const char *key)
{
    return map_del(map, key, strlen(key));
}

struct map_entry *map_next(const struct map *map, struct map_entry *entry)
{
    size_t i = entry ? (size_t)(entry - map->entries) + 1 : 0;
    for (; i < map->n_entries; i++) {
        if (map->entries[i].key)
            return &map->entries[i];
    }
    return NULL;
}

void map_release(struct map *map)
{
    for (size_t i = 0; i < map->n_entries; i++)
        free((void *)(uintptr_t)map->entries[i].key);
    free(map->entries);
    free(map->slots);
    *map = (struct map)MAP_INIT;
}
