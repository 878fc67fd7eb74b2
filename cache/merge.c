#include "cache/merge.h"

#include "base/vec.h"
#include "cache/git.h"

#include <string.h>

/* Of the text before: lines first ... last; an insertion lies between last and first. */
struct hunk {
    int first, last;
    int at; /* where it is in the text now */
    struct buf added;
};

typedef VEC(struct hunk) hunks;

static void add_hunk(const struct git *git, git_patch *patch, size_t index, hunks *out)
{
    const git_diff_hunk *hunk = NULL;
    size_t n = 0;
    if (git->patch_get_hunk(&hunk, &n, patch, index) != 0)
        return;
    int first = hunk->old_lines ? hunk->old_start : hunk->old_start + 1;
    struct hunk add = {.first = first,
                       .last = first + hunk->old_lines - 1,
                       .at = hunk->new_start > 0 ? hunk->new_start : 1,
                       .added = BUF_INIT};
    for (size_t i = 0; i < n; i++) {
        const git_diff_line *line = NULL;
        if (git->patch_get_line_in_hunk(&line, patch, index, i) == 0 &&
            line->origin == GIT_DIFF_LINE_ADDITION)
            buf_add(&add.added, line->content, line->content_len);
    }
    vec_push(out, add);
}

static void find_hunks(const struct git *git, const struct buf *was, const struct buf *now,
                       hunks *out)
{
    git_patch *patch = NULL;
    git_diff_options options;
    if (git->diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0)
        return;
    options.context_lines = 0;
    if (git->patch_from_buffers(&patch, was->data, was->len, NULL, now->data, now->len, NULL,
                                &options) == 0) {
        for (size_t i = 0; i < git->patch_num_hunks(patch); i++)
            add_hunk(git, patch, i, out);
    }
    git->patch_free(patch);
}

static void release(hunks *all)
{
    vec_each (struct hunk, hunk, all)
        buf_release(&hunk->added);
    vec_release(all);
}

static bool same(const struct hunk *a, const struct hunk *b)
{
    return a->first == b->first && a->last == b->last && a->added.len == b->added.len &&
           memcmp(buf_str(&a->added), buf_str(&b->added), a->added.len) == 0;
}

/* Changes that touch are in each other's way, too. */
static bool meet(const struct hunk *a, const struct hunk *b)
{
    return a->first <= b->last + 1 && b->first <= a->last + 1 && !same(a, b);
}

static size_t first_conflict(const struct git *git, const struct buf *was, const struct buf *mine,
                             const struct buf *theirs)
{
    hunks ours = VEC_INIT, others = VEC_INIT;
    size_t line = 0;
    find_hunks(git, was, mine, &ours);
    find_hunks(git, was, theirs, &others);
    vec_each (struct hunk, a, &ours) {
        vec_each (struct hunk, b, &others) {
            if (line == 0 && meet(a, b))
                line = (size_t)a->at;
        }
    }
    release(&ours);
    release(&others);
    return line ? line : 1;
}

static git_merge_file_input input_of(const struct buf *text)
{
    git_merge_file_input input;
    memset(&input, 0, sizeof input);
    input.version = GIT_MERGE_FILE_INPUT_VERSION;
    input.ptr = buf_str(text);
    input.size = text->len;
    return input;
}

enum merge_answer merge_texts(const struct buf *was, const struct buf *mine,
                              const struct buf *theirs, struct buf *out, size_t *line)
{
    struct git git;
    git_merge_file_input inputs[] = {input_of(was), input_of(mine), input_of(theirs)};
    git_merge_file_result result;
    memset(&result, 0, sizeof result);
    git_load(&git);
    *line = 0;
    if (git.merge_file(&result, &inputs[0], &inputs[1], &inputs[2], NULL) != 0)
        return MERGE_FAILED;
    bool clean = result.automergeable;
    if (clean)
        buf_add(out, result.ptr, result.len);
    else
        *line = first_conflict(&git, was, mine, theirs);
    git.merge_file_result_free(&result);
    return clean ? MERGE_CLEAN : MERGE_CONFLICT;
}
