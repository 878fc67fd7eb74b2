#include "runners/subid.h"

#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number up to end, as a 32-bit id; false for anything else. */
static bool number(const char *text, const char *end, uint32_t *out)
{
    uint64_t value = 0;
    if (text == end)
        return false;
    for (; text < end; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool is_user(const char *text, size_t n, const char *name, uid_t uid)
{
    uint32_t id;
    if (name && strlen(name) == n && !memcmp(text, name, n))
        return true;
    return number(text, text + n, &id) && id == uid;
}

bool subid_find(const char *text, const char *name, uid_t uid, struct subid_range *out)
{
    bool found = false;
    while (*text) {
        const char *end = text + strcspn(text, "\n");
        const char *first = memchr(text, ':', (size_t)(end - text));
        const char *count = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
        struct subid_range range;
        /* The last id of all is nobody's: it means "no change" to chown(2). */
        if (count && is_user(text, (size_t)(first - text), name, uid) &&
            number(first + 1, count, &range.first) && number(count + 1, end, &range.count) &&
            range.count && (uint64_t)range.first + range.count <= UINT32_MAX &&
            (!found || range.count > out->count)) {
            *out = range;
            found = true;
        }
        text = *end ? end + 1 : end;
    }
    return found;
}

bool subid_read(const char *path, const char *name, uid_t uid, struct subid_range *out)
{
    struct buf text = BUF_INIT;
    bool found =
        file_read(path, 1 << 20, &text, NULL) == 0 && subid_find(buf_str(&text), name, uid, out);
    buf_release(&text);
    return found;
}
