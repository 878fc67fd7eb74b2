/* cmd_init.c - kiln init: a first kiln.json from what lies in the project. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "cli/init.h"
#include "cli/init_project.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Why steps can't run isolated here, a new string in the arena; NULL: they can. */
static const char *refusal(struct arena *arena)
{
    char *cache = cache_default_path();
    char *place = cache ? path_join(cache, "v1") : NULL;
    char *boxes = place ? path_join(place, "box") : NULL;
    struct probe probe = {0};
    struct err err = ERR_INIT;
    const char *why = NULL;
    if (!boxes || file_mkdirs(boxes, 0711, &err) < 0 ||
        probe_refusal(&(struct probe_options){.dir = boxes}, &err) < 0) {
        why =
            "this machine does not allow isolated steps; \"kiln doctor\" says why, and what to do";
    } else {
        doctor_box(place, boxes, &probe);
        if (probe.verdict == PROBE_MISSING)
            why = arena_printf(arena, "isolated steps fail here (%s)", buf_str(&probe.found));
    }
    buf_release(&probe.found);
    buf_release(&probe.means);
    buf_release(&probe.remedy);
    buf_release(&probe.commands);
    err_release(&err);
    free(boxes);
    free(place);
    free(cache);
    return why;
}

int init_project(const char *root, struct init_plan *plan, struct buf *text, struct err *err)
{
    struct init_machine machine = init_machine_here();
    struct config *config = NULL;
    char *path = path_join(root, "kiln.json");
    init_look(root, &machine, plan);
    if (init_wants_sandbox(plan, &machine))
        machine.no_sandbox = refusal(&plan->arena);
    init_settle(plan, &machine);
    init_write(plan, text);
    int rc = config_parse(buf_str(text), text->len, path, root, false, &config, err);
    if (rc < 0)
        err_wrap(err, "what was made of this project is no pipeline");
    config_free(config);
    free(path);
    return rc;
}

int init_save(const char *root, const struct buf *text, struct err *err)
{
    char *path = path_join(root, "kiln.json");
    int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        rc =
            err_set(err, ERR_USAGE,
                    "%s is there already, and is left as it is; \"kiln init --dry-run\" shows what "
                    "would be written; move that file away to have it written",
                    path);
    else if (fd < 0)
        rc = err_sys(err, errno, "cannot make %s", path);
    if (fd >= 0 && file_write_all(fd, buf_str(text), text->len) != 0) {
        rc = err_sys(err, errno, "cannot write %s", path);
        unlink(path);
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static void add_part(const struct init_plan *plan, const struct init_part *part, bool color,
                     struct buf *out)
{
    struct buf line = BUF_INIT;
    init_tell(plan, part, &line);
    buf_addf(out, color ? "\033[32mfound\033[0m  %s\n" : "found  %s\n", buf_str(&line));
    if (!part->sandbox)
        buf_addf(out, "       on the host: %s\n", part->why);
    if (part->missing)
        buf_addf(out, "       %s is not on this machine: install it before you run these\n",
                 part->missing);
    buf_release(&line);
}

/* Outputs are not to be checked in. Only a .gitignore at the root is looked at: a hint, no more. */
static void tell_ignored(const struct init_plan *plan, const char *root, struct buf *out)
{
    struct buf ignored = BUF_INIT, names = BUF_INIT;
    char *path = path_join(root, ".gitignore");
    bool read = file_read(path, (size_t)1 << 20, &ignored, NULL) == 0;
    vec_each (const struct init_part, part, &plan->parts) {
        vec_each (const struct init_step, step, &part->steps) {
            vec_each (const char *const, output, &step->outputs) {
                char *first = mem_strndup(*output, strcspn(*output, "/"));
                if (!read || !strstr(buf_str(&ignored), first))
                    buf_addf(&names, "%s%s%s%s", names.len ? ", " : "", part->dir,
                             *part->dir ? "/" : "", first);
                free(first);
            }
        }
    }
    if (names.len)
        buf_addf(out, "note   .gitignore does not name what steps make: %s\n", buf_str(&names));
    buf_release(&names);
    buf_release(&ignored);
    free(path);
}

static void tell(const struct options *options, const struct init_plan *plan, const char *root,
                 struct buf *out)
{
    bool color = color_wanted(options, STDOUT_FILENO);
    vec_each (const struct init_part, part, &plan->parts)
        add_part(plan, part, color, out);
    if (!plan->parts.n)
        buf_adds(out, "found  nothing that kiln knows how to build (CMake, meson, cargo, Go, npm, "
                      "pnpm, yarn,\n       Python, autotools, make): the file has an example to be "
                      "changed\n");
    tell_ignored(plan, root, out);
    buf_addf(out, "wrote  %s/kiln.json\n", root);
    buf_adds(out, "next   kiln run     runs it once\n"
                  "       kiln         watches, and runs what an edit concerns\n");
}

int command_init(const struct options *options)
{
    struct init_plan plan = {0};
    struct buf text = BUF_INIT, words = BUF_INIT;
    struct err err = ERR_INIT;
    char *root = getcwd(NULL, 0);
    int rc = root ? init_project(root, &plan, &text, &err)
                  : err_sys(&err, errno, "the current directory can't be told");
    if (rc == 0 && options->dry_run) {
        buf_add(&words, text.data, text.len);
    } else if (rc == 0) {
        rc = init_save(root, &text, &err);
        if (rc == 0)
            tell(options, &plan, root, &words);
    }
    fwrite(buf_str(&words), 1, words.len, stdout);
    if (rc < 0)
        complain(options, err_text(&err));
    int code = rc == 0 ? EXIT_OK : err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
    err_release(&err);
    buf_release(&words);
    buf_release(&text);
    init_release(&plan);
    free(root);
    return output_end(options, code);
}
