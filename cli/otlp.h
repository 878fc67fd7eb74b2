/*
 * otlp.h - a run as spans for a collector of OpenTelemetry: OTLP as JSON over HTTP.
 *
 * Wanted by the environment: OTEL_EXPORTER_OTLP_ENDPOINT (with /v1/traces behind it) or
 * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (as it is), _HEADERS, OTEL_SERVICE_NAME, _TIMEOUT; TRACEPARENT
 * names what the run hangs below. Sent once, when the run is over, and waited for OTLP_WAIT_MS at
 * most. Libcurl is loaded then.
 *
 * Ownership: struct otlp is opaque, otlp_free(). Loop thread.
 */
#ifndef KILN_CLI_OTLP_H
#define KILN_CLI_OTLP_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/seen.h"

#define OTLP_WAIT_MS 5000

struct otlp;

/* NULL where the environment asks for none. */
struct otlp *otlp_new(void);
/* The trace's id, for the engine; otlp's. */
const char *otlp_trace(const struct otlp *otlp);
/* The message that would be sent. */
void otlp_body(const struct otlp *otlp, const struct seen *seen, struct buf *out);
/* Fails where it did not get there; the run is as it was. */
int otlp_send(struct otlp *otlp, const struct seen *seen, struct err *err) MUST_CHECK;
void otlp_free(struct otlp *otlp);

#endif
