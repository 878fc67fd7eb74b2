/*
 * trace.h - what a run and its executions are called in a trace that others collect (W3C Trace
 * Context): so that what a step sends by itself hangs below it.
 *
 * Stateless; any thread.
 */
#ifndef KILN_ENGINE_TRACE_H
#define KILN_ENGINE_TRACE_H

#include <stdint.h>

#define TRACE_ID   32 /* hexadecimal digits */
#define TRACE_SPAN 16

/* The span of a step's execution in that trace: the same for whoever asks. step NULL: the run's. */
void trace_span(const char *trace, const char *step, uint32_t attempt, char out[TRACE_SPAN + 1]);

#endif
