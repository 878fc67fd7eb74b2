#include "cache/git_state.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/git.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "ref: refs/heads/main", or a commit. */
static char *read_branch(const char *git_dir)
{
    char *path = path_join(git_dir, "HEAD");
    char text[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    free(path);
    if (n <= 0)
        return NULL;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    static const char ref[] = "ref: ", heads[] = "refs/heads/";
    if (strncmp(text, ref, strlen(ref)) != 0)
        return mem_strndup(text, strnlen(text, 7));
    const char *name = text + strlen(ref);
    return mem_strdup(strncmp(name, heads, strlen(heads)) == 0 ? name + strlen(heads) : name);
}

void git_state_read(const char *root, struct git_state *out)
{
    struct git git;
    git_repository *repository;
    git_status_list *list;
    git_status_options options = {.version = GIT_STATUS_OPTIONS_VERSION};
    *out = (struct git_state){0};
    git_load(&git);
    git.libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0); /* as where ignore rules are read */
    if (git.repository_open_ext(&repository, root, 0, NULL) == 0) {
        options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
        out->git_dir = mem_strdup(git.repository_path(repository));
        out->branch = read_branch(out->git_dir);
        if (out->branch && git.status_list_new(&list, repository, &options) == 0) {
            out->dirty = git.status_list_entrycount(list);
            git.status_list_free(list);
        }
        git.repository_free(repository);
    }
}

void git_state_release(struct git_state *state)
{
    free(state->branch);
    free(state->git_dir);
    *state = (struct git_state){0};
}
