/* take_plan.c - what is to be done with a file that was changed elsewhere (see take.h). */
#include "cache/take.h"

#include <string.h>

bool file_state_eq(const struct file_state *a, const struct file_state *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case FILE_REGULAR: return a->executable == b->executable && digest_eq(&a->digest, &b->digest);
    case FILE_LINK: return strcmp(a->target, b->target) == 0;
    default: return a->kind == FILE_ABSENT;
    }
}

static struct take_plan conflict(const char *why)
{
    return (struct take_plan){.action = TAKE_CONFLICT, .why = why};
}

/* Content and mode apart: each is taken where it alone has changed. */
static struct take_plan plan_regular(const struct file_state *was, const struct file_state *is,
                                     const struct file_state *now)
{
    struct take_plan plan = {.executable = is->executable != was->executable ? is->executable
                                                                             : now->executable};
    bool same_mode = plan.executable == now->executable;
    if (digest_eq(&is->digest, &now->digest) || digest_eq(&is->digest, &was->digest))
        plan.action = same_mode ? TAKE_NOTHING : TAKE_MODE;
    else
        plan.action = digest_eq(&now->digest, &was->digest) ? TAKE_CONTENT : TAKE_MERGE;
    return plan;
}

struct take_plan take_plan(const struct file_state *was, const struct file_state *is,
                           const struct file_state *now)
{
    if (is->kind == FILE_OTHER)
        return conflict("is neither a file nor a link there");
    if (file_state_eq(is, now) || file_state_eq(is, was))
        return (struct take_plan){.action = TAKE_NOTHING, .executable = now->executable};
    if (now->kind == FILE_OTHER)
        return conflict("is neither a file nor a link in the working tree");
    if (was->kind == FILE_REGULAR && is->kind == FILE_REGULAR && now->kind == FILE_REGULAR)
        return plan_regular(was, is, now);
    if (file_state_eq(now, was))
        return (struct take_plan){.action = is->kind == FILE_ABSENT ? TAKE_REMOVE : TAKE_CONTENT,
                                  .executable = is->executable};
    if (is->kind == FILE_ABSENT)
        return conflict("was removed there, and changed in the working tree");
    if (was->kind == FILE_ABSENT)
        return conflict("is new there, and the working tree has another one");
    if (now->kind == FILE_ABSENT)
        return conflict("is gone from the working tree");
    return conflict("was changed in both, and is not a file in both");
}
