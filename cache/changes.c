#include "cache/changes.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/git.h"

#include <stdlib.h>
#include <string.h>

#define CONTEXT    1
#define TEXT_BYTES 8000 /* looked at to tell text from anything else */

bool changes_is_text(const char *bytes, size_t n)
{
    return n == 0 || !memchr(bytes, '\0', n < TEXT_BYTES ? n : TEXT_BYTES);
}

/* -- a diff ------------------------------------------------------------------------------------ */

static void add_line(const git_diff_line *line, struct buf *out)
{
    size_t n = line->content_len;
    while (n > 0 && (line->content[n - 1] == '\n' || line->content[n - 1] == '\r'))
        n--;
    buf_addc(out, line->origin);
    buf_add(out, line->content, n);
    buf_addc(out, '\n');
}

static bool is_shown(const git_diff_line *line)
{
    return line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
           line->origin == GIT_DIFF_LINE_DELETION;
}

static void add_patch(const struct git *git, git_patch *patch, size_t max_lines, struct buf *out)
{
    size_t shown = 0, all = 0;
    for (size_t h = 0; h < git->patch_num_hunks(patch); h++) {
        const git_diff_hunk *hunk = NULL;
        size_t n = 0;
        if (git->patch_get_hunk(&hunk, &n, patch, h) != 0)
            continue;
        if (shown < max_lines)
            buf_addf(out, "@ %d\n", hunk->new_start > 0 ? hunk->new_start : hunk->old_start);
        for (size_t i = 0; i < n; i++) {
            const git_diff_line *line = NULL;
            if (git->patch_get_line_in_hunk(&line, patch, h, i) != 0 || !is_shown(line))
                continue;
            all++;
            if (shown < max_lines) {
                add_line(line, out);
                shown++;
            }
        }
    }
    if (all > shown)
        buf_addf(out, "#and %zu more lines\n", all - shown);
}

bool changes_diff(const struct buf *old, const struct buf *now, size_t max_lines, struct buf *out)
{
    struct git git;
    git_patch *patch = NULL;
    git_diff_options options;
    git_load(&git);
    int rc = git.diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.context_lines = CONTEXT;
    if (rc == 0)
        rc = git.patch_from_buffers(&patch, old->data, old->len, NULL, now->data, now->len, NULL,
                                    &options);
    if (rc == 0)
        add_patch(&git, patch, max_lines, out);
    git.patch_free(patch);
    return rc == 0;
}

bool changes_patch(const struct buf *old, const struct buf *now, struct buf *out)
{
    struct git git;
    git_patch *patch = NULL;
    git_diff_options options;
    git_buf text = {NULL, 0, 0};
    git_load(&git);
    int rc = git.diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.flags |= GIT_DIFF_FORCE_TEXT;
    if (rc == 0)
        rc = git.patch_from_buffers(&patch, buf_str(old), old->len, NULL, buf_str(now), now->len,
                                    NULL, &options);
    if (rc == 0 && git.patch_num_hunks(patch) > 0) {
        rc = git.patch_to_buf(&text, patch);
        const char *hunks = rc == 0 ? strstr(text.ptr, "\n@@ ") : NULL;
        if (hunks)
            buf_add(out, hunks + 1, text.size - (size_t)(hunks + 1 - text.ptr));
    }
    git.buf_dispose(&text);
    git.patch_free(patch);
    return rc == 0;
}

/* -- what git has ------------------------------------------------------------------------------ */

/* Takes the object's content if it is what is looked for; frees the object. */
static bool take(const struct git *git, git_object *object, const struct digest *digest, size_t max,
                 struct buf *out)
{
    bool taken = false;
    if (object && git->object_type(object) == GIT_OBJECT_BLOB) {
        const git_blob *blob = (const git_blob *)object;
        size_t n = (size_t)git->blob_rawsize(blob);
        const void *bytes = git->blob_rawcontent(blob);
        struct digest is = n <= max ? digest_of(bytes, n) : (struct digest){0};
        taken = n <= max && memcmp(is.hash, digest->hash, sizeof is.hash) == 0;
        if (taken)
            buf_add(out, bytes, n);
    }
    git->object_free(object);
    return taken;
}

bool changes_from_git(const char *root, const char *path, const struct digest *digest, size_t max,
                      struct buf *out)
{
    /* As it was committed, then as it is staged. */
    static const char *const names[] = {"HEAD:", ":"};
    struct git git;
    git_repository *repo = NULL;
    bool found = false;
    git_load(&git);
    if (git.repository_open_ext(&repo, root, 0, NULL) == 0 && git.repository_workdir(repo)) {
        char *top = realpath(git.repository_workdir(repo), NULL);
        char *real = realpath(root, NULL);
        if (top && real && path_is_below(real, top)) {
            const char *folder = real + strlen(top) + strspn(real + strlen(top), "/");
            char *name = path_join(folder, path);
            for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) {
                git_object *object = NULL;
                char *spec = mem_printf("%s%s", names[i], name);
                if (git.revparse_single(&object, repo, spec) == 0)
                    found = take(&git, object, digest, max, out);
                free(spec);
            }
            free(name);
        }
        free(top);
        free(real);
    }
    git.repository_free(repo);
    return found;
}
