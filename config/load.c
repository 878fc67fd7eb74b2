/* Finding and reading the file, and questions to a loaded config. */
#include "config/reader.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1 when dir has that name in it, whatever it is; 0 when not. */
static int has_name(const char *dir, const char *name, struct err *err)
{
    struct stat st;
    char *path = path_join(dir, name);
    int code = lstat(path, &st) == 0 ? 1 : 0;

    if (code == 0 && errno != ENOENT && errno != ENOTDIR)
        code = err_sys(err, errno, "cannot look for %s", path);
    free(path);
    return code;
}

int config_find(const char *start, char **path, struct err *err)
{
    char *dir = realpath(start, NULL);
    int code;

    *path = NULL;
    if (!dir)
        return err_sys(err, errno, "cannot enter %s", start);
    for (;;) {
        code = has_name(dir, "kiln.json", err);
        if (code > 0)
            *path = path_join(dir, "kiln.json");
        if (code == 0)
            code = has_name(dir, ".git", err);
        if (code != 0 || !strcmp(dir, "/"))
            break;
        char *slash = strrchr(dir, '/');
        slash[slash == dir] = 0; /* the first slash is a directory of its own */
    }
    free(dir);
    return code < 0 ? code : 0;
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a FIFO";
    if (S_ISSOCK(mode))
        return "a socket";
    return "a device";
}

/* The errno of opening or looking at the file. What the path itself is to blame for is the
 * configuration's fault. */
static int fail_open(const char *path, int errnum, struct err *err)
{
    struct stat st;

    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        if (lstat(path, &st) == 0)
            return err_set(err, ERR_CONFIG, "%s is a symbolic link to nothing; mend or remove it",
                           path);
        return err_set(err, ERR_CONFIG, "there is no file %s; create it or name another", path);
    case EACCES:
        return err_set(err, ERR_CONFIG,
                       "%s may not be read (permission denied); give yourself "
                       "the right with chmod u+r",
                       path);
    case ELOOP:
        return err_set(err, ERR_CONFIG, "%s is a symbolic link that leads in a circle; mend it",
                       path);
    default: return err_sys(err, errnum, "cannot open %s", path);
    }
}

static int fail_kind(const char *path, mode_t mode, struct err *err)
{
    return err_set(err, ERR_CONFIG, "%s is %s; the pipeline must be a regular file", path,
                   kind_of(mode));
}

static int read_text(const char *path, struct buf *text, struct err *err)
{
    struct stat st;
    struct err why = ERR_INIT;

    /* Looking first: opening a device can do something. Looking again: the first look may be out of
     * date. */
    if (stat(path, &st) < 0)
        return fail_open(path, errno, err);
    if (!S_ISREG(st.st_mode))
        return fail_kind(path, st.st_mode, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail_open(path, errno, err);
    int code = 0;
    if (fstat(fd, &st) < 0)
        code = fail_open(path, errno, err);
    else if (!S_ISREG(st.st_mode))
        code = fail_kind(path, st.st_mode, err);
    else if (file_read_fd(fd, path, CONFIG_MAX_BYTES, text, &why) < 0)
        code = why.errnum == EFBIG
                   ? err_set(err, ERR_CONFIG, "%s is larger than %u MiB; split the pipeline up",
                             path, CONFIG_MAX_BYTES >> 20)
                   : err_move(err, &why);
    close(fd);
    err_release(&why);
    return code;
}

/* The folder of path with links resolved, and path as it is called from there. */
static int resolve(const char *path, char **folder, char **absolute, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");

    *absolute = NULL;
    *folder = realpath(dir, NULL);
    int code = *folder ? 0 : fail_open(path, errno, err);
    if (code == 0)
        *absolute = path_join(*folder, slash ? slash + 1 : path);
    free(dir);
    return code;
}

int config_load(const char *path, const char *root_override, struct config **out, struct err *err)
{
    char *folder = NULL, *absolute = NULL, *root = NULL;
    struct buf text = BUF_INIT;
    struct stat st;

    int code = read_text(path, &text, err);
    if (code == 0)
        code = resolve(path, &folder, &absolute, err);
    if (code == 0 && root_override) {
        root = realpath(root_override, NULL);
        if (!root || stat(root, &st) < 0)
            code = err_set(err, ERR_CONFIG,
                           "the project's folder %s cannot be entered (%s); name another",
                           root_override, strerror(errno));
        else if (!S_ISDIR(st.st_mode))
            code =
                err_set(err, ERR_CONFIG, "the project's folder %s is not a directory; name another",
                        root_override);
    }
    if (code == 0)
        code = config_parse_given(buf_str(&text), text.len, absolute, path, root ? root : folder,
                                  false, out, err);
    if (code == 0)
        (*out)->text = digest_of(buf_str(&text), text.len);
    buf_release(&text);
    free(folder);
    free(absolute);
    free(root);
    return code;
}

int64_t config_step_index(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_steps; i++)
        if (!strcmp(config->steps[i].name.text, name))
            return (int64_t)i;
    return -1;
}

void config_where(const struct config *config, const struct config_step *step,
                  struct config_pos pos, struct buf *out)
{
    if (pos.line == 0 && step)
        pos = step->name.pos;
    buf_adds(out, config->shown);
    if (pos.line)
        buf_addf(out, ":%u:%u", pos.line, pos.column);
    if (step) {
        buf_adds(out, ": step ");
        config_add_quoted(out, step->name.text, strlen(step->name.text), CONFIG_SHOWN_NAME);
    }
}
