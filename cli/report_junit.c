/*
 * report_junit.c - a run as JUnit XML, in the form that Jenkins, GitLab and GitHub's actions read:
 * one suite, the pipeline; one case a step.
 *
 * A step that failed is a <failure> with the end of its log, one that could not run an <error>, one
 * that was skipped or cancelled <skipped>; a cached one passed in no time and says so in its
 * <system-out>.
 */
#include "cli/report.h"

#include "base/text.h"
#include "cli/plain_private.h"

#include <inttypes.h>
#include <string.h>

enum { LOG_LINES = 500 };

/* XML 1.0 has no way to write most control characters, nor what is no UTF-8. */
static void add_xml(struct buf *out, const char *text, size_t n, bool attribute)
{
    for (size_t i = 0; i < n;) {
        uint32_t scalar = 0;
        size_t length = utf8_decode(text + i, n - i, &scalar);
        bool fits = length && (scalar == '\t' || scalar == '\n' || scalar >= 0x20) &&
                    scalar != 0xfffe && scalar != 0xffff;
        if (scalar == '<')
            buf_adds(out, "&lt;");
        else if (scalar == '>')
            buf_adds(out, "&gt;");
        else if (scalar == '&')
            buf_adds(out, "&amp;");
        else if (attribute && (scalar == '"' || scalar == '\t' || scalar == '\n'))
            buf_addf(out, "&#%" PRIu32 ";", scalar);
        else if (fits)
            buf_add(out, text + i, length);
        else if (scalar != '\r')
            buf_adds(out, "\xef\xbf\xbd");
        i += length ? length : 1;
    }
}

static void add_attribute(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, " %s=\"", name);
    add_xml(out, value, strlen(value), true);
    buf_addc(out, '"');
}

static void add_seconds(struct buf *out, uint64_t ms)
{
    buf_addf(out, " time=\"%" PRIu64 ".%03u\"", ms / 1000, (unsigned)(ms % 1000));
}

struct counts {
    size_t tests, failures, errors, skipped;
    uint64_t ms;
};

/* It has not run: there is no exit code, and why. */
static bool is_error(const struct seen_step *step)
{
    return step->status < 0 || (step->status == STEP_FAILED && !step->executions.n &&
                                step->exit_code <= 0 && !step->signal);
}

static struct counts count(const struct seen *seen)
{
    struct counts counts = {.tests = seen->steps.n};
    for (size_t i = 0; i < seen->steps.n; i++) {
        const struct seen_step *step = &seen->steps.v[i];
        bool error = is_error(step);
        counts.errors += error;
        counts.failures += !error && step->status == STEP_FAILED;
        counts.skipped += step->status == STEP_SKIPPED || step->status == STEP_CANCELLED;
        counts.ms += step->status == STEP_CACHED ? 0 : step->duration_ms;
    }
    return counts;
}

static void add_counts(struct buf *out, const struct seen *seen, const struct counts *counts)
{
    char time[32];
    add_attribute(out, "name", seen->pipeline ? seen->pipeline : "kiln");
    buf_addf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"", counts->tests,
             counts->failures, counts->errors, counts->skipped);
    add_seconds(out, seen->end_ns ? seen->duration_ms : counts->ms);
    buf_addf(out, " timestamp=\"%.19s\"", text_time(seen->start_ns, time));
}

/* How it ended, and the end of what it wrote. */
static void add_failure(struct buf *out, const struct seen_step *step, const char *element)
{
    struct buf how = BUF_INIT, tail = BUF_INIT;
    bool whole = true;
    if (step->status < 0)
        buf_adds(&how, "the run ended before it did");
    else
        seen_how(step, &how);
    buf_addf(out, "      <%s", element);
    add_attribute(out, "message", buf_str(&how));
    add_attribute(out, "type",
                  step->status < 0  ? "unfinished"
                  : step->timed_out ? "timeout"
                  : step->signal    ? "signal"
                  : step->error     ? "kiln"
                                    : "exit");
    buf_addc(out, '>');
    if (step->command) {
        buf_adds(out, "$ ");
        add_xml(out, step->command, strlen(step->command), false);
        buf_addc(out, '\n');
    }
    if (step->log && plain_log_tail(step->log, LOG_LINES, false, &tail, &whole) && tail.len) {
        if (!whole)
            buf_addf(out, "(the last %d lines)\n", LOG_LINES);
        add_xml(out, tail.data, tail.len, false);
    }
    for (size_t i = 0; i < step->n_hints; i++) {
        buf_adds(out, "hint: ");
        add_xml(out, step->hints[i], strlen(step->hints[i]), false);
        buf_addc(out, '\n');
    }
    buf_addf(out, "</%s>\n", element);
    buf_release(&how);
    buf_release(&tail);
}

static void add_case(struct buf *out, const struct seen *seen, const struct seen_step *step)
{
    char time[16];
    buf_adds(out, "    <testcase");
    add_attribute(out, "name", step->name);
    add_attribute(out, "classname", seen->pipeline ? seen->pipeline : "kiln");
    add_seconds(out, step->status == STEP_CACHED ? 0 : step->duration_ms);
    if (step->status == STEP_PASSED) {
        buf_adds(out, "/>\n");
        return;
    }
    buf_adds(out, ">\n");
    if (step->status == STEP_CACHED) {
        buf_adds(out, "      <system-out>cached: it passed before with the same inputs");
        if (step->saved_ms)
            buf_addf(out, ", and took %s then", text_duration(step->saved_ms, time));
        buf_adds(out, "</system-out>\n");
    } else if (step->status == STEP_SKIPPED || step->status == STEP_CANCELLED) {
        buf_adds(out, "      <skipped");
        add_attribute(out, "message",
                      step->error                    ? step->error
                      : step->status == STEP_SKIPPED ? "skipped"
                                                     : "cancelled");
        buf_adds(out, "/>\n");
    } else {
        add_failure(out, step, is_error(step) ? "error" : "failure");
    }
    buf_adds(out, "    </testcase>\n");
}

void report_junit(const struct seen *seen, struct buf *out)
{
    struct counts counts = count(seen);
    buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    add_counts(out, seen, &counts);
    buf_adds(out, ">\n  <testsuite");
    add_counts(out, seen, &counts);
    buf_adds(out, ">\n");
    for (size_t i = 0; i < seen->steps.n; i++)
        add_case(out, seen, &seen->steps.v[i]);
    buf_adds(out, "  </testsuite>\n</testsuites>\n");
}
