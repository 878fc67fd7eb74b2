#!/usr/bin/env bash
# A run as spans for a collector of OpenTelemetry.
. "$(dirname "$0")/lib.sh"

# collector [MODE]: a server that keeps the last request in $T/request and $T/headers; its port is in $PORT.
# MODE: "status 503" answers so, "hang" never answers.
collector() {
    python3 - "$T" "${1:-status 200}" << 'EOF' &
import http.server, os, sys, threading
folder, mode = sys.argv[1:]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open(folder + "/headers", "w").write(self.path + "\n" + str(self.headers))
        open(folder + "/request", "wb").write(body)
        if mode == "hang":
            threading.Event().wait()
        self.send_response(int(mode.split()[1]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(folder + "/port.new", "w").write(str(server.server_port))
os.rename(folder + "/port.new", folder + "/port")
server.serve_forever()
EOF
    wait_for test -s "$T/port"
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$(cat "$T/port")/
}

# span NAME FILTER
span() {
    jq -r ".resourceSpans[0].scopeSpans[0].spans[] | select(.name == \"$1\") | $2" "$T/request"
}

attribute() { # NAME KEY
    span "$1" ".attributes[] | select(.key == \"$2\") | .value | .stringValue // .intValue"
}

begin() {
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "good": {"run": "echo $TRACEPARENT > '"$T/told"'", "inputs": ["t"]},
        "own": {"run": "echo $TRACEPARENT > '"$T/own"'", "inputs": ["t"], "env": {"TRACEPARENT": "mine"}},
        "bad": {"run": "exit 7", "inputs": ["t"], "needs": ["good"], "retries": 1}}}'
    mkdir t
}

TRACE=0af7651916cd43dd8448eb211c80319c
PARENT=b7ad6b7169203331

test_spans() {
    begin
    collector
    TRACEPARENT=00-$TRACE-$PARENT-01 OTEL_EXPORTER_OTLP_HEADERS='x-key=a%2Cb,x-two=2' OTEL_SERVICE_NAME=shop kiln 1 run -k
    assert_no_err
    assert_eq "$(head -n 1 "$T/headers")" /v1/traces
    grep -qi '^content-type: application/json' "$T/headers"
    grep -qi '^x-key: a,b' "$T/headers"
    grep -qi '^x-two: 2' "$T/headers"
    assert_eq "$(jq -r '.resourceSpans[0].resource.attributes[0].value.stringValue' "$T/request")" shop
    jq -e --arg trace "$TRACE" '.resourceSpans[0].scopeSpans[0].spans | length == 5 and all(.[]; .traceId == $trace and (.spanId | test("^[0-9a-f]{16}$")) and
        (.startTimeUnixNano | test("^[0-9]{19}$")) and .endTimeUnixNano >= .startTimeUnixNano) and ([.[].spanId] | unique | length == 5)' "$T/request" > /dev/null
    assert_eq "$(span demo .parentSpanId)" "$PARENT"
    assert_eq "$(span good .parentSpanId)" "$(span demo .spanId)"
    assert_eq "$(span good .status.code)" 1
    assert_eq "$(span bad .status.code | paste -sd " ")" "2 2"
    assert_eq "$(attribute bad process.exit.code)" 7
    assert_eq "$(attribute bad kiln.status | paste -sd " ")" "tried again failed"
    # Each step knows its own span, unless it says otherwise.
    assert_file "$T/told" "00-$TRACE-$(span good .spanId)-01"
    assert_file "$T/own" mine
    # The trace is no part of any key.
    kiln 1 run -k --json
    assert_eq "$(status good)" cached
    assert_eq "$(attribute good kiln.status)" cached
    if [ "$(span demo .traceId)" = "$TRACE" ]; then fail "a trace of its own was wanted"; fi
    assert_eq "$(span demo '.parentSpanId // "none"')" none
}

# Whatever a collector does, the run is what it is, and soon over.
test_collectors_that_fail() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["t"]}}}'
    mkdir t
    collector "status 503"
    kiln 0 run
    assert_err 'no trace was sent to http.*: it answers with status 503'
    rm "$T/port"
    collector hang
    OTEL_EXPORTER_OTLP_TIMEOUT=300 kiln 0 run
    assert_err 'no trace was sent to'
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 kiln 0 run
    assert_err 'no trace was sent to'
    OTEL_EXPORTER_OTLP_ENDPOINT=file:///etc/passwd kiln 0 run
    assert_err 'no trace was sent to'
    OTEL_EXPORTER_OTLP_ENDPOINT=noise kiln 0 run
    assert_err 'no trace was sent to'
    OTEL_SDK_DISABLED=true kiln 0 run
    assert_no_err
    OTEL_TRACES_EXPORTER=none kiln 0 run
    assert_no_err
}

# A part without steps is a span without others below it.
test_empty_shard() {
    begin
    collector
    kiln 0 run --shard 9/9
    assert_no_err
    assert_eq "$(jq -c '[.resourceSpans[0].scopeSpans[0].spans[] | [.name, .status.code]]' "$T/request")" '[["demo",1]]'
}

test_bad_parents() {
    local parent
    begin
    collector
    for parent in "" x "00-$TRACE-$PARENT" "00-00000000000000000000000000000000-$PARENT-01" "00-$TRACE-zzzzzzzzzzzzzzzz-01" "ff-$TRACE-$PARENT-01"; do
        TRACEPARENT=$parent kiln 0 run good
        assert_no_err
        assert_eq "$(span demo '.parentSpanId // "none"')" none
        assert_match "$(span demo .traceId)" '^[0-9a-f]{32}$'
    done
}

test_secrets_are_masked() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "leak": {"run": "echo \"<$TOKEN>\"; exit 1", "inputs": ["t"], "secrets": {"TOKEN": {"env": "HUSH"}}}}}'
    mkdir t
    collector
    HUSH=verysecretword kiln 1 run
    [ -s "$T/request" ]
    if grep -r verysecretword "$T/request" "$T/headers"; then fail "the secret is out"; fi
}

run_tests
