/*
 * plain_summary.c - a run as a page of Markdown, which GitHub shows with the job (see
 * plain_private.h): a table of the steps that are worth a line, and for each that failed its log's
 * end and the command that runs it again.
 */
#include "cli/plain_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ROWS     200
#define MAX_FAILURES 20
#define TAIL_LINES   40

void plain_summary_add(struct plain_summary *summary, const struct event *finished)
{
    vec_push(&summary->rows,
             (struct plain_summary_row){mem_strdup(finished->step), finished->u.finished.status,
                                        finished->u.finished.duration_ms});
}

static void empty(struct plain_summary *summary)
{
    vec_each (struct plain_summary_row, row, &summary->rows)
        free(row->step);
    vec_clear(&summary->rows);
}

/* Text that has no meaning in Markdown or HTML, within a line of a table. */
static void add_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\`*_{}[]()#+!|~<>&", *text))
            buf_addf(out, "&#%d;", (unsigned char)*text);
        else
            buf_addc(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
}

/* A fence longer than any in the text. */
static void add_block(struct buf *out, const char *text)
{
    size_t longest = 2, run = 0;
    for (const char *c = text; *c; c++) {
        run = *c == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i <= longest; i++)
            buf_addc(out, '`');
        buf_adds(out, side ? "\n\n" : "text\n");
        if (!side)
            buf_adds(out, text);
    }
}

static void add_rows(struct buf *out, const struct plain_summary *summary)
{
    static const char *const glyphs[] = {[STEP_PASSED] = "✅",
                                         [STEP_FAILED] = "❌",
                                         [STEP_SKIPPED] = "⏭️",
                                         [STEP_CANCELLED] = "🚫"};
    size_t shown = 0, cached = 0, left = 0;
    vec_each (struct plain_summary_row, row, &summary->rows) {
        char time[16];
        if (row->status == STEP_CACHED) {
            cached++;
        } else if (shown == MAX_ROWS) {
            left++;
        } else {
            if (!shown++)
                buf_adds(out, "| step | result | time |\n|---|---|--:|\n");
            buf_adds(out, "| ");
            add_text(out, row->step);
            buf_addf(out, " | %s %s | %s |\n", glyphs[row->status], step_status_name(row->status),
                     row->status == STEP_SKIPPED ? "" : text_duration(row->ms, time));
        }
    }
    buf_addc(out, '\n');
    if (left)
        buf_addf(out, "… and %zu more. ", left);
    if (cached)
        buf_addf(out, "%zu from the cache.\n\n", cached);
}

static void add_failure(struct buf *out, const struct plain_failure *failure, const char *kiln)
{
    struct buf tail = BUF_INIT;
    bool whole = true;
    buf_adds(out, "### ");
    add_text(out, failure->step);
    buf_adds(out, "\n\n");
    add_text(out, failure->how);
    buf_adds(out, "\n\n");
    if (failure->log && plain_log_tail(failure->log, TAIL_LINES, false, &tail, &whole) && tail.len)
        add_block(out, buf_str(&tail));
    buf_adds(out, "Run it again:\n\n");
    buf_reset(&tail);
    buf_addf(&tail, "%s run %s\n", kiln, failure->step);
    add_block(out, buf_str(&tail));
    buf_release(&tail);
}

void plain_summary_write(struct plain_summary *summary, const struct plain_failures *failures,
                         const struct event *run_finished, const struct plain_to *to)
{
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    int fd = path && *path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    struct buf page = BUF_INIT;
    char time[16];
    size_t shown = 0;
    if (fd >= 0) {
        buf_addf(&page, "## kiln: %s in %s\n\n",
                 run_status_name(run_finished->u.run_finished.status),
                 text_duration(run_finished->u.run_finished.duration_ms, time));
        add_rows(&page, summary);
        vec_each (const struct plain_failure, failure, &failures->list) {
            bool ours = !strcmp(failure->run, run_finished->run ? run_finished->run : "");
            if (ours && shown++ < MAX_FAILURES)
                add_failure(&page, failure, to->kiln);
        }
        /* A page more or less: the lines have said it all. */
        (void)!file_write_all(fd, buf_str(&page), page.len);
        close(fd);
    }
    buf_release(&page);
    empty(summary);
}

void plain_summary_release(struct plain_summary *summary)
{
    empty(summary);
    vec_release(&summary->rows);
}
