#include "base/chunks.h"

#define CHUNKS_MAX ((size_t)8192)
#define GRAIN_NS   UINT64_C(50000000)

void chunks_clear(struct chunks *chunks)
{
    vec_clear(&chunks->list);
    chunks->end = 0;
    chunks->grain_ns = GRAIN_NS;
    chunks->streams[0] = chunks->streams[1] = chunks->streams[2] = false;
}

void chunks_release(struct chunks *chunks)
{
    vec_release(&chunks->list);
}

static size_t most(const struct chunks *chunks)
{
    return chunks->max ? chunks->max : CHUNKS_MAX;
}

static bool same(const struct chunks *chunks, const struct chunk *a, const struct chunk *b)
{
    return a->stream == b->stream && b->time_ns - a->time_ns < chunks->grain_ns;
}

static void merge(struct chunks *chunks)
{
    size_t kept = 0;
    for (size_t i = 1; i < chunks->list.n; i++)
        if (!same(chunks, &chunks->list.v[kept], &chunks->list.v[i]))
            chunks->list.v[++kept] = chunks->list.v[i];
    chunks->list.n = kept + 1;
}

/* Makes room: times as coarse as a part of all the time so far, then the older streams become one.
 */
static void shrink(struct chunks *chunks)
{
    uint64_t first = 0;
    vec_each (struct chunk, chunk, &chunks->list) {
        first = chunk->time_ns;
        if (first > 0)
            break;
    }
    size_t parts = most(chunks) / 4;
    uint64_t part = (vec_last(&chunks->list).time_ns - first) / (parts ? parts : 1);
    if (part > chunks->grain_ns)
        chunks->grain_ns = part;
    merge(chunks);
    if (chunks->list.n <= most(chunks) * 3 / 4)
        return;
    for (size_t i = 0; i < chunks->list.n / 2; i++)
        chunks->list.v[i].stream = 0;
    merge(chunks);
}

void chunks_add(struct chunks *chunks, uint64_t offset, uint64_t n, int stream, uint64_t time_ns)
{
    struct chunk chunk = {offset, time_ns, stream == 2 ? 2 : 1};
    if (n == 0)
        return;
    if (offset < chunks->end || chunks->grain_ns == 0)
        chunks_clear(chunks);
    chunks->streams[chunk.stream] = true;
    if (offset > chunks->end) { /* nobody told of these */
        uint64_t before = chunks->list.n > 0 ? vec_last(&chunks->list).time_ns : 0;
        vec_push(&chunks->list, (struct chunk){chunks->end, before, 0});
    }
    chunks->end = offset + n;
    if (chunks->list.n > 0) {
        const struct chunk *last = &vec_last(&chunks->list);
        if (chunk.time_ns < last->time_ns)
            chunk.time_ns = last->time_ns; /* the clock was set back */
        if (same(chunks, last, &chunk))
            return;
    }
    if (chunks->list.n >= most(chunks))
        shrink(chunks);
    vec_push(&chunks->list, chunk);
}

struct chunk chunks_at(const struct chunks *chunks, uint64_t offset)
{
    size_t low = 0, high = chunks->list.n;
    if (offset >= chunks->end)
        return (struct chunk){0};
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (chunks->list.v[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return chunks->list.v[low];
}

bool chunks_mixed(const struct chunks *chunks)
{
    return chunks->streams[1] && chunks->streams[2];
}
