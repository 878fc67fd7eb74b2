/*
 * text.h - small facts about text: UTF-8, nearest names, durations and sizes as people write them,
 * time stamps.
 *
 * Thread safe; nothing here allocates unless it says so.
 */
#ifndef KILN_BASE_TEXT_H
#define KILN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one scalar value from n > 0 bytes (RFC 3629: no overlongs, no surrogates). Returns its
 * length in bytes, or 0 for a malformed byte (then take one byte as junk). */
size_t utf8_decode(const char *bytes, size_t n, uint32_t *scalar);
/* Encodes; returns the number of bytes written (1-4). */
size_t utf8_encode(uint32_t scalar, char out[4]);
bool utf8_valid(const char *bytes, size_t n);

/* The candidate nearest to word by Damerau-Levenshtein distance (at most a third of the length, at
 * least 1, off), or NULL. The first of equals; words of more than 64 bytes have none. */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);

/* "500ms", "90s", "5m", "1h", "1h30m" -> milliseconds. False when it is not that, zero, or over
 * 1000 h. */
bool text_parse_duration(const char *text, uint64_t *ms);
/* "512MiB", "20GiB", "10MB", "4096" -> bytes (B, kB KB MB GB TB, KiB MiB GiB TiB). False when it is
 * not that. */
bool text_parse_size(const char *text, uint64_t *bytes);
/* "0.42s", "4.1s", "12s", "3:07", "1:02:03", "4d": at most 8 characters, for columns. Returns out.
 */
char *text_duration(uint64_t ms, char out[16]);
/* "812 B", "4.1 MiB", "512 MiB": at most 8 characters. Returns out. */
char *text_size(uint64_t bytes, char out[16]);
/* RFC 3339 in UTC with nanoseconds: 2026-01-31T12:00:00.000000000Z (30 characters). Returns out. */
char *text_time(uint64_t realtime_ns, char out[32]);

/* Nanoseconds of CLOCK_MONOTONIC and of CLOCK_REALTIME. */
uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);

#endif
