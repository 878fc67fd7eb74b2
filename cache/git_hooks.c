#include "cache/git_hooks.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/git_command.h"

#include <stdlib.h>
#include <string.h>

/* "global\0file:/home/a/.gitconfig\0value\0". */
static void find_setting(const struct git_place *place, struct git_hooks *out)
{
    static const char *const args[] = {"config",      "--null", "--show-scope",   "--show-origin",
                                       "--type=path", "--get",  "core.hooksPath", NULL};
    struct git_command command = {.place = place, .args = args, .own_settings = true};
    struct buf text = BUF_INIT;
    if (git_command_run(&command, &text, NULL) == 0 && text.len) {
        const char *scope = buf_str(&text);
        size_t n = strlen(scope) + 1;
        const char *origin = n < text.len ? scope + n : "";
        out->others = !strcmp(scope, "global") || !strcmp(scope, "system");
        out->set_in = mem_strdup(strncmp(origin, "file:", 5) == 0 ? origin + 5 : origin);
    }
    buf_release(&text);
}

int git_hooks_find(const struct git_place *place, struct git_hooks *out, struct err *err)
{
    const char *const args[] = {"-C", place->work_tree, "rev-parse", "--git-path", "hooks", NULL};
    struct git_command command = {.place = place, .args = args, .own_settings = true};
    struct buf path = BUF_INIT;
    *out = (struct git_hooks){0};
    int rc = git_command_run(&command, &path, err);
    while (path.len && path.data[path.len - 1] == '\n')
        buf_truncate(&path, path.len - 1);
    if (rc == 0) {
        /* A relative one is from where the hooks run. */
        out->folder = path_join(place->work_tree, buf_str(&path));
        find_setting(place, out);
    }
    buf_release(&path);
    return rc;
}

void git_hooks_release(struct git_hooks *hooks)
{
    free(hooks->folder);
    free(hooks->set_in);
    *hooks = (struct git_hooks){0};
}
