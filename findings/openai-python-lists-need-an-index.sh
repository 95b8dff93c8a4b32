#!/usr/bin/env bash
# openai (Python) 3.57.0: `chat.completions.stream()` joins the lists of two chunks by a member `index` that only `tool_calls` has.
#
# Valid input: a chat completion stream in which two chunks carry `delta.annotations`, as servers with web search send them (an
# annotation has `type` and `url_citation`, and no index, in OpenAI's own types). `create(stream=True)` reads it; the helper
# `stream()` raises in the middle of the answer. A server can help by adding `"index": n` to each entry, which nobody else minds.
#
# Seen on 2026-11-30:
#   openai 3.57.0
#   create: 2 annotations
#   stream: RuntimeError: Expected list delta entry to have an `index` key …
#   stream, with index: 2 annotations
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0
cat >"$folder/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import openai

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        with_index = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"] == "index"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        def chunk(delta, finish=None):
            body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        chunk({"role": "assistant", "content": "High water is at nine."})
        for number in range(2):
            citation = {"url": f"https://example.org/{number}", "title": "tides", "start_index": 0, "end_index": 4}
            annotation = {"type": "url_citation", "url_citation": citation}
            chunk({"annotations": [{"index": number, **annotation} if with_index else annotation]})
        chunk({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")
    def log_message(self, *_): pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)
messages = [{"role": "user", "content": "When is high water?"}]
print("openai", openai.__version__)
plain = client.chat.completions.create(model="m", messages=messages, stream=True)
print("create:", sum(len(getattr(c.choices[0].delta, "annotations", None) or []) for c in plain), "annotations")
for label, model in (("stream", "m"), ("stream, with index", "index")):
    try:
        with client.chat.completions.stream(model=model, messages=messages) as stream:
            for _ in stream: pass
            message = stream.get_final_completion().choices[0].message
        print(f"{label}:", len(message.annotations), "annotations")
    except RuntimeError as error:
        print(f"{label}: RuntimeError: {str(error).splitlines()[0][:50]}")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/out"
grep -q '^create: 2 annotations' "$folder/out"
grep -q '^stream: RuntimeError: Expected list delta entry' "$folder/out"
grep -q '^stream, with index: 2 annotations' "$folder/out"
