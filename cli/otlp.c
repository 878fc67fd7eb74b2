/* otlp.c - spans to a collector (see otlp.h). */
#include "cli/otlp.h"

#include "base/mem.h"
#include "engine/trace.h"

#include <ctype.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct otlp {
    char *url, *headers, *service;
    char trace[TRACE_ID + 1];
    char parent[TRACE_SPAN + 1]; /* "": the run is the trace's beginning */
    long wait_ms;
};

static const char *set_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_hex(const char *text, size_t n)
{
    bool any = false; /* other than zeros, which stand for none */
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
        any = any || text[i] != '0';
    }
    return any;
}

/* "00-<trace>-<span>-<flags>": what is not that is passed over, as the standard wants it. */
static bool take_parent(struct otlp *otlp, const char *text)
{
    if (!text || strlen(text) < 55 || strncmp(text, "00-", 3) != 0 || text[35] != '-' ||
        text[52] != '-' || !is_hex(text + 3, TRACE_ID) || !is_hex(text + 36, TRACE_SPAN))
        return false;
    memcpy(otlp->trace, text + 3, TRACE_ID);
    memcpy(otlp->parent, text + 36, TRACE_SPAN);
    return true;
}

static void make_trace(struct otlp *otlp)
{
    unsigned char random[TRACE_ID / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        abort(); /* the kernel gives that many whole */
    for (size_t i = 0; i < sizeof random; i++) {
        otlp->trace[2 * i] = "0123456789abcdef"[random[i] >> 4];
        otlp->trace[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
}

struct otlp *otlp_new(void)
{
    const char *whole = set_variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *base = set_variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *off = getenv("OTEL_SDK_DISABLED"), *exporter = getenv("OTEL_TRACES_EXPORTER");
    if ((!whole && !base) || (off && !strcmp(off, "true")) ||
        (exporter && !strcmp(exporter, "none")))
        return NULL;
    struct otlp *otlp = mem_zalloc(1, sizeof *otlp);
    const char *headers = set_variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    const char *service = set_variable("OTEL_SERVICE_NAME");
    const char *wait = set_variable("OTEL_EXPORTER_OTLP_TIMEOUT");
    size_t n = base ? strlen(base) : 0;
    while (n && base[n - 1] == '/')
        n--;
    otlp->url = whole ? mem_strdup(whole) : mem_printf("%.*s/v1/traces", (int)n, base);
    headers = headers ? headers : set_variable("OTEL_EXPORTER_OTLP_HEADERS");
    otlp->headers = mem_strdup(headers ? headers : "");
    otlp->service = mem_strdup(service ? service : "kiln");
    otlp->wait_ms = wait ? strtol(wait, NULL, 10) : OTLP_WAIT_MS;
    if (otlp->wait_ms <= 0 || otlp->wait_ms > OTLP_WAIT_MS)
        otlp->wait_ms = OTLP_WAIT_MS;
    if (!take_parent(otlp, getenv("TRACEPARENT")))
        make_trace(otlp);
    return otlp;
}

const char *otlp_trace(const struct otlp *otlp)
{
    return otlp->trace;
}

void otlp_free(struct otlp *otlp)
{
    if (!otlp)
        return;
    free(otlp->url);
    free(otlp->headers);
    free(otlp->service);
    free(otlp);
}

/* -- the message ------------------------------------------------------------------------------- */

static void add_comma(struct buf *out)
{
    char last = out->len ? out->data[out->len - 1] : '[';
    if (last != '[')
        buf_addc(out, ',');
}

static void add_text(struct buf *out, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    add_comma(out);
    buf_addf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    buf_add_json_str(out, value);
    buf_adds(out, "}}");
}

/* 64 bits are a text in JSON, by the rules of protobuf. */
static void add_number(struct buf *out, const char *key, uint64_t value)
{
    if (!value)
        return;
    add_comma(out);
    buf_addf(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", key, value);
}

static void begin_span(struct buf *out, const struct otlp *otlp, const char *span,
                       const char *parent, const char *name, uint64_t from, uint64_t to)
{
    add_comma(out);
    buf_addf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", otlp->trace, span);
    if (*parent)
        buf_addf(out, ",\"parentSpanId\":\"%s\"", parent);
    buf_adds(out, ",\"name\":");
    buf_add_json_str(out, name);
    buf_addf(out,
             ",\"kind\":1,\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64
             "\",\"attributes\":[",
             from, to > from ? to : from);
}

static void end_span(struct buf *out, bool failed, const char *message)
{
    buf_addf(out, "],\"status\":{\"code\":%d", failed ? 2 : 1);
    if (failed && message && *message) {
        buf_adds(out, ",\"message\":");
        buf_add_json_str(out, message);
    }
    buf_adds(out, "}}");
}

static void add_execution(struct buf *out, const struct otlp *otlp, const struct seen *seen,
                          const struct seen_step *step, size_t at, const char *run)
{
    const struct seen_execution *e = &step->executions.v[at];
    bool last = at + 1 == step->executions.n;
    bool failed = !last || step->status == STEP_FAILED;
    char span[TRACE_SPAN + 1];
    struct buf how = BUF_INIT;
    trace_span(otlp->trace, step->name, e->attempt, span);
    begin_span(out, otlp, span, run, step->name, e->start_ns, e->end_ns ? e->end_ns : seen->end_ns);
    add_text(out, "kiln.status",
             !last              ? "tried again"
             : step->status < 0 ? "unfinished"
                                : step_status_name((enum step_status)step->status));
    add_text(out, "kiln.key", step->key);
    add_text(out, "kiln.runner", step->runner);
    add_text(out, "kiln.reasons", e->reasons);
    add_text(out, "process.command_line", step->command);
    add_number(out, "kiln.attempt", e->attempt);
    if (last) {
        add_number(out, "kiln.cpu_ms", step->cpu_ms);
        add_number(out, "kiln.memory_bytes", step->memory_bytes);
        if (step->status == STEP_FAILED && step->exit_code >= 0)
            add_number(out, "process.exit.code", (uint64_t)step->exit_code);
        if (failed)
            seen_how(step, &how);
    }
    end_span(out, failed, buf_str(&how));
    buf_release(&how);
}

static void add_cached(struct buf *out, const struct otlp *otlp, const struct seen_step *step,
                       const char *run)
{
    char span[TRACE_SPAN + 1];
    trace_span(otlp->trace, step->name, 0, span);
    begin_span(out, otlp, span, run, step->name, step->finished_ns, step->finished_ns);
    add_text(out, "kiln.status", "cached");
    add_text(out, "kiln.key", step->key);
    add_number(out, "kiln.saved_ms", step->saved_ms);
    end_span(out, false, NULL);
}

void otlp_body(const struct otlp *otlp, const struct seen *seen, struct buf *out)
{
    char run[TRACE_SPAN + 1];
    trace_span(otlp->trace, NULL, 0, run);
    buf_adds(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    add_text(out, "service.name", otlp->service);
    buf_adds(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"kiln\",\"version\":");
    buf_add_json_str(out, seen->version ? seen->version : "");
    buf_adds(out, "},\"spans\":[");
    begin_span(out, otlp, run, otlp->parent, seen->pipeline ? seen->pipeline : "kiln",
               seen->start_ns, seen->end_ns);
    add_text(out, "kiln.run", seen->run);
    add_text(out, "kiln.trigger", seen->trigger);
    add_text(out, "kiln.status",
             seen->status < 0 ? "unfinished" : run_status_name((enum run_status)seen->status));
    end_span(out, seen->status != RUN_PASSED, NULL);
    for (size_t i = 0; i < seen->steps.n; i++) {
        const struct seen_step *step = &seen->steps.v[i];
        for (size_t k = 0; k < step->executions.n; k++)
            add_execution(out, otlp, seen, step, k, run);
        if (step->status == STEP_CACHED && !step->executions.n)
            add_cached(out, otlp, step, run);
    }
    buf_adds(out, "]}]}]}");
}

/* -- sending it -------------------------------------------------------------------------------- */

#define CURL_CALLS(call)                                                                       \
    call(easy_init) call(easy_setopt) call(easy_perform) call(easy_getinfo) call(easy_cleanup) \
        call(easy_strerror) call(slist_append) call(slist_free_all)

/* Its functions: curl_NAME is curl->NAME. */
struct curl {
#define CURL_MEMBER(name) __typeof__(curl_##name) *name;
    CURL_CALLS(CURL_MEMBER)
#undef CURL_MEMBER
};

static bool curl_load(struct curl *curl)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return false;
    bool whole = true;
#define CURL_FIND(name)                                     \
    do {                                                    \
        void *found = dlsym(library, "curl_" #name);        \
        whole = whole && found;                             \
        memcpy((void *)&curl->name, &found, sizeof(found)); \
    } while (0);
    CURL_CALLS(CURL_FIND)
#undef CURL_FIND
    dlclose(library); /* it stays; this only ends our claim */
    return whole;
}

/* "%2C" is a comma; a line end would begin another header. */
static char *decoded(const char *text, size_t n)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        char hex[3] = {0};
        char c = text[i];
        if (c == '%' && i + 2 < n && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            memcpy(hex, text + i + 1, 2);
            c = (char)strtol(hex, NULL, 16);
            i += 2;
        }
        if ((unsigned char)c >= 0x20)
            buf_addc(&out, c);
    }
    return buf_detach(&out);
}

/* "name=value,name=value" */
static struct curl_slist *add_headers(const struct curl *curl, const char *list)
{
    struct curl_slist *headers = curl->slist_append(NULL, "Content-Type: application/json");
    while (*list) {
        size_t n = strcspn(list, ","), name = strcspn(list, "=,");
        if (name && name < n) {
            char *key = decoded(list, name), *value = decoded(list + name + 1, n - name - 1);
            char *line = mem_printf("%s: %s", key ? key : "", value ? value : "");
            headers = curl->slist_append(headers, line + strspn(line, " "));
            free(line);
            free(value);
            free(key);
        }
        list += n + (list[n] == ',');
    }
    return headers;
}

static size_t drop(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

int otlp_send(struct otlp *otlp, const struct seen *seen, struct err *err)
{
    struct curl curl;
    if (!curl_load(&curl))
        return err_set(err, ERR_SYSTEM, "no trace was sent: libcurl.so.4 is not installed");
    CURL *handle = curl.easy_init();
    if (!handle)
        return err_set(err, ERR_SYSTEM, "no trace was sent: libcurl can't begin");
    struct buf body = BUF_INIT;
    struct curl_slist *headers = add_headers(&curl, otlp->headers);
    long status = 0;
    otlp_body(otlp, seen, &body);
    curl.easy_setopt(handle, CURLOPT_URL, otlp->url);
    curl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl.easy_setopt(handle, CURLOPT_POSTFIELDS, buf_str(&body));
    curl.easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl.easy_setopt(handle, CURLOPT_TIMEOUT_MS, otlp->wait_ms);
    curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(handle, CURLOPT_WRITEFUNCTION, drop);
    CURLcode rc = curl.easy_perform(handle);
    if (rc == CURLE_OK)
        curl.easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    int code = 0;
    if (rc != CURLE_OK)
        code = err_set(err, ERR_SYSTEM, "no trace was sent to %s: %s", otlp->url,
                       curl.easy_strerror(rc));
    else if (status < 200 || status > 299)
        code = err_set(err, ERR_SYSTEM, "no trace was sent to %s: it answers with status %ld",
                       otlp->url, status);
    curl.slist_free_all(headers);
    curl.easy_cleanup(handle);
    buf_release(&body);
    return code;
}
