/* debug_show.c - kiln debug, line by line: what a held step runs as, reads, and wrote. */
#include "cli/debug.h"

#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILES 200

/* A name once, what belongs to it in rows. */
static void row(FILE *out, const char *name, const char *text)
{
    struct buf shown = BUF_INIT;
    for (size_t n; text; text = text[n] ? text + n + 1 : NULL, name = "") {
        n = strcspn(text, "\n");
        if (!n && !text[n])
            break;
        buf_reset(&shown);
        buf_add_shown(&shown, text, n);
        fprintf(out, "  %-8s %s\n", name, buf_str(&shown));
    }
    buf_release(&shown);
}

static void show_changes(FILE *out, const struct step_facts *facts)
{
    struct buf text = BUF_INIT;
    if (!facts->keyed)
        buf_adds(&text, "nobody has looked yet");
    else if (facts->passed)
        buf_adds(&text, "it has just passed");
    else if (!facts->since)
        buf_adds(&text, "it has not passed before");
    else if (!facts->all_reasons)
        buf_addf(&text, "nothing, since it passed in run %s", facts->since);
    else
        buf_addf(&text, "since it passed in run %s:", facts->since);
    row(out, "changed", buf_str(&text));
    for (size_t i = 0; i < facts->n_reasons; i++) {
        buf_reset(&text);
        reason_text(&facts->reasons[i], &text);
        row(out, "", buf_str(&text));
    }
    if (facts->all_reasons > facts->n_reasons)
        fprintf(out, "  %-8s and %zu more\n", "", facts->all_reasons - facts->n_reasons);
    buf_release(&text);
}

void debug_show(FILE *out, const struct control *control, const char *step)
{
    struct step_facts facts;
    if (!control->facts(control->ctx, step, &facts))
        return;
    row(out, "runs", facts.command);
    if (*facts.cwd)
        row(out, "in", facts.cwd);
    row(out, "on", facts.image ? facts.image : facts.runner);
    for (size_t i = 0; i < facts.n_env; i++)
        row(out, i ? "" : "env", facts.env[i]);
    if (facts.keyed) {
        row(out, "key", facts.key);
        row(out, "inputs", facts.input_root);
    }
    show_changes(out, &facts);
    arena_release(&facts.arena);
}

void debug_why(FILE *out, const struct control *control, const char *step)
{
    struct step_facts facts;
    if (!control->facts(control->ctx, step, &facts))
        return;
    show_changes(out, &facts);
    arena_release(&facts.arena);
}

void debug_inputs(FILE *out, const struct control *control, const char *step)
{
    static const char *const changes[] = {[INPUT_SAME] = "",
                                          [INPUT_CHANGED] = "changed",
                                          [INPUT_ADDED] = "added",
                                          [INPUT_REMOVED] = "removed"};
    struct inputs_page page;
    char size[16];
    control->inputs(control->ctx, step, 0, MOST_FILES, &page);
    while (page.counting) {
        arena_release(&page.arena);
        control->inputs(control->ctx, step, 0, MOST_FILES, &page);
    }
    if (!page.known) {
        fputs("  what it reads can't be told yet\n", out);
    } else {
        fprintf(out, "  %llu file%s, %s", (unsigned long long)page.files,
                page.files == 1 ? "" : "s", text_size(page.bytes, size));
        if (page.compared)
            fprintf(out, "; %llu not as for its last result", (unsigned long long)page.changed);
        fputc('\n', out);
    }
    for (size_t i = 0; page.known && i < page.n; i++) {
        struct buf path = BUF_INIT;
        buf_add_shown(&path, page.v[i].path, strlen(page.v[i].path));
        fprintf(out, "  %-8s %s  %s\n", changes[page.v[i].change], buf_str(&path),
                page.v[i].change == INPUT_REMOVED ? "" : text_size(page.v[i].bytes, size));
        buf_release(&path);
    }
    if (page.known && page.files + page.changed > page.n)
        fprintf(out, "  and %llu more\n", (unsigned long long)(page.files + page.changed - page.n));
    arena_release(&page.arena);
}

/* As it was written, and a newline where it ends without one. */
void debug_log(FILE *out, const struct control *control, const char *step)
{
    char bytes[1 << 14], last = '\n';
    bool wrote = false;
    char *path = control->log_path(control->ctx, step);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n;
    while (fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0) {
        fwrite(bytes, 1, (size_t)n, out);
        last = bytes[n - 1];
        wrote = true;
    }
    if (!wrote)
        fputs("  it has written nothing\n", out);
    else if (last != '\n')
        fputc('\n', out);
    if (fd >= 0)
        close(fd);
    free(path);
}
