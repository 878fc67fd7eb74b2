/*
 * schema.h - what the makers of JSON Schemas share. Private to config/.
 *
 * Any thread.
 */
#ifndef KILN_CONFIG_SCHEMA_H
#define KILN_CONFIG_SCHEMA_H

#include "base/buf.h"
#include "config/keys.h"

#include <jansson.h>

#define CONFIG_SCHEMA_DRAFT "https://json-schema.org/draft/2020-12/schema"
/* Of a key of the terminal that has no name. */
#define CONFIG_KEY_PATTERN "^([!-~]{2}|[^\\x00-\\x20])$"

/* All JSON made for a schema comes through this: jansson gives NULL only when memory is out, which
 * kiln does not survive. */
json_t *config_json_made(json_t *json);
/* Adds it to out as people read it, and lets go of it. */
void config_json_write(json_t *json, struct buf *out);

#endif
