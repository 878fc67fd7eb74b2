/*
 * plain_summary.c - a run as a page of Markdown, which a CI shows with the job (see
 * plain_private.h): a table of the steps that are worth a line, and for each that failed its log's
 * end and the command that runs it again. Neither takes more than 1 MiB.
 */
#include "cli/plain_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
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
    summary->marks = (struct plain_marks){0};
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

/* "kiln: failed in 3s", and in Buildkite of which of the build's jobs. */
static void add_title(struct buf *out, const struct event *run_finished, enum plain_ci ci)
{
    const char *label = ci == PLAIN_CI_BUILDKITE ? getenv("BUILDKITE_LABEL") : NULL;
    char time[16];
    buf_addf(out, "## kiln: %s in %s", run_status_name(run_finished->u.run_finished.status),
             text_duration(run_finished->u.run_finished.duration_ms, time));
    if (label && *label) {
        buf_adds(out, ": ");
        add_text(out, label);
    }
    buf_adds(out, "\n\n");
}

static void add_page(struct buf *out, const struct plain_summary *summary,
                     const struct plain_failures *failures, const struct event *run_finished,
                     const struct plain_to *to)
{
    size_t shown = 0;
    add_title(out, run_finished, to->ci);
    add_rows(out, summary);
    vec_each (const struct plain_failure, failure, &failures->list) {
        bool ours = !strcmp(failure->run, run_finished->run ? run_finished->run : "");
        if (ours && shown++ < MAX_FAILURES)
            add_failure(out, failure, to->kiln);
    }
    if (shown > MAX_FAILURES)
        buf_addf(out, "%zu more failed; the job's log has what they wrote.\n\n",
                 shown - MAX_FAILURES);
}

static void add_to_github(const struct buf *page, struct buf *text)
{
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !*path)
        return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int failed = fd < 0 || file_write_all(fd, page->data, page->len) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (failed) /* a page more or less: the lines have said it all */
        buf_addf(text, "kiln: warning: there is no summary: cannot write %s: %s\n", path,
                 strerror(failed));
}

void plain_summary_write(struct plain_summary *summary, const struct plain_failures *failures,
                         const struct event *run_finished, const struct plain_to *to,
                         struct buf *text)
{
    struct buf page = BUF_INIT;
    add_page(&page, summary, failures, run_finished, to);
    if (summary->marks.left) {
        struct buf marks = BUF_INIT;
        buf_addf(&marks, "%zu errors are marked, as many as GitHub shows; %zu more are in the log",
                 summary->marks.set, summary->marks.left);
        buf_addf(&page, "%s.\n", buf_str(&marks));
        buf_addf(text, "kiln: %s\n", buf_str(&marks));
        buf_release(&marks);
    }
    if (to->ci == PLAIN_CI_GITHUB)
        add_to_github(&page, text);
    else if (run_finished->u.run_finished.status == RUN_FAILED)
        plain_annotate(&page, text);
    buf_release(&page);
    empty(summary);
}

void plain_summary_release(struct plain_summary *summary)
{
    empty(summary);
    vec_release(&summary->rows);
}
