#include "tui/search.h"

#include "tui/line.h"

void search_release(struct search *search)
{
    buf_release(&search->plain);
    *search = (struct search){0};
}

void search_start(struct search *search, const struct lines *lines, uint64_t from, bool forward)
{
    uint64_t n = lines_n(lines);
    search->state = n > 0 ? SEARCH_RUNNING : SEARCH_MISSED;
    search->forward = forward;
    search->at = n > 0 && from >= n ? (forward ? 0 : n - 1) : from;
    search->seen = 0;
}

static bool has_pattern(const void *ctx, const char *text, size_t n)
{
    return pattern_matches(ctx, text, n);
}

static size_t cost_of_pattern(const void *ctx, size_t n)
{
    return pattern_cost(ctx, n);
}

struct search_wanted search_pattern(const struct pattern *pattern)
{
    return (struct search_wanted){pattern, has_pattern, cost_of_pattern};
}

bool search_work(struct search *search, struct lines *lines, const struct search_wanted *wanted,
                 size_t budget, bool growing)
{
    if (search->state != SEARCH_RUNNING)
        return false;
    uint64_t all = lines_n(lines);
    while (budget > 0) {
        if (search->forward && search->at >= all) {
            if (growing)
                return true;
            search->at = 0;
        }
        size_t n = 0;
        const char *line = search->seen < all ? lines_get(lines, search->at, &n) : NULL;
        if (!line) {
            /* All seen, or the log has been replaced meanwhile. */
            search->state = SEARCH_MISSED;
            return false;
        }
        size_t length = n;
        line = line_text(line, &length, &search->plain);
        if (wanted->is(wanted->ctx, line, length)) {
            search->state = SEARCH_FOUND;
            search->found = search->at;
            return false;
        }
        size_t cost = wanted->cost(wanted->ctx, n) + 1;
        budget = budget > cost ? budget - cost : 0;
        search->seen++;
        if (search->forward)
            search->at++;
        else
            search->at = search->at > 0 ? search->at - 1 : all - 1;
    }
    return true;
}
