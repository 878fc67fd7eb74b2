#include "engine/trace.h"

#include "base/buf.h"
#include "base/digest.h"

#include <string.h>

void trace_span(const char *trace, const char *step, uint32_t attempt, char out[TRACE_SPAN + 1])
{
    struct buf text = BUF_INIT;
    char hex[DIGEST_HEX + 1];
    buf_addf(&text, "%s %u %s", trace, step ? attempt : 0, step ? step : "");
    struct digest digest = digest_of(buf_str(&text), text.len);
    digest_hex(&digest, hex);
    memcpy(out, hex, TRACE_SPAN);
    out[TRACE_SPAN] = '\0';
    buf_release(&text);
}
