/*
 * report.h - a run as a file for other programs: JUnit XML for what shows test results, a trace for
 * what shows time.
 *
 * Written when the run is over, whole or not at all; missing parents are made. What steps wrote is
 * in a report as it is in their logs: with secrets masked.
 *
 * Ownership: struct report is opaque, report_free(). Loop thread.
 */
#ifndef KILN_CLI_REPORT_H
#define KILN_CLI_REPORT_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/seen.h"

struct report;

/* NULL where neither the options nor the environment (otlp.h) ask for one. */
struct report *report_new(const struct options *options);
/* Of the trace that is sent when all is over; report's. NULL: there is none. */
const char *report_trace_id(const struct report *report);
/* As event_cb. */
void report_event(void *report, const struct event *event);
/* There is nothing to run in this part of the pipeline of that name: a run without steps. */
void report_nothing(struct report *report, const char *pipeline);
/* Writes what was asked for; what can't be is complained of. Returns code, or EXIT_KILN where that
 * was EXIT_OK. NULL is fine. */
int report_write(struct report *report, int code);
void report_free(struct report *report);

/* The same of a run on record. Returns the exit code. */
int report_past(const struct options *options, struct records *records, const char *id);

/* report_junit.c */
void report_junit(const struct seen *seen, struct buf *out);
/* report_trace.c: in Chrome's trace event format, as chrome://tracing and Perfetto read it. */
void report_trace(const struct seen *seen, struct buf *out);

#endif
