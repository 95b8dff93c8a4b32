#!/usr/bin/env bash
# @google/genai (npm) 3.3.0 and google-genai (Python) 3.6.1: an SSE comment in front of an event takes the event with it.
#
# Valid input: WHATWG HTML section 9.2.6 lets a comment line stand anywhere, and servers and proxies write one to keep a stream
# alive. The libraries do not parse SSE: they cut at blank lines and look for `data:` at the beginning of what is left. In
# JavaScript the text of that event is lost without an error; in Python the call raises. A blank line is the keep-alive that
# both survive.
#
# Seen on 2026-11-30:
#   npm, comment: one three
#   npm, blank line: one two three
#   python, comment: one UnknownApiResponseError
#   python, blank line: one two three
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check google-genai==3.6.1
npm install --prefix "$folder" --silent --no-audit --no-fund @google/genai@3.3.0 node@24.21.0
cat >"$folder/ask.mjs" <<'JS'
import { GoogleGenAI } from "@google/genai";
const ai = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: process.argv[2] } });
const stream = await ai.models.generateContentStream({ model: process.argv[3], contents: "Count" });
const heard = [];
for await (const chunk of stream) heard.push(chunk.text);
console.log(heard.join(" "));
JS
cat >"$folder/run.py" <<'PY'
import json, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from google import genai

folder = sys.argv[1]
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        between = b": keep-alive\n" if "comment" in self.path else b"\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number, word in enumerate(("one", "two", "three")):
            content = {"role": "model", "parts": [{"text": word}]}
            event = {"candidates": [{"content": content, "index": 0, **({"finishReason": "STOP"} if number == 2 else {})}]}
            if number == 1:
                self.wfile.write(between)
                self.wfile.flush()
                time.sleep(0.2)
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            self.wfile.flush()
            time.sleep(0.1)
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
for model, label in (("comment", "comment"), ("blank", "blank line")):
    command = [f"{folder}/node_modules/.bin/node", f"{folder}/ask.mjs", url, model]
    print(f"npm, {label}:", subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip(), flush=True)
client = genai.Client(api_key="none", http_options={"base_url": url})
for model, label in (("comment", "comment"), ("blank", "blank line")):
    heard = []
    try:
        for chunk in client.models.generate_content_stream(model=model, contents="Count"):
            heard.append(chunk.text)
    except Exception as error:
        heard.append(type(error).__name__)
    print(f"python, {label}:", *heard, flush=True)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2>/dev/null | tee "$folder/out"
grep -qx 'npm, comment: one three' "$folder/out"
grep -qx 'npm, blank line: one two three' "$folder/out"
grep -qx 'python, comment: one UnknownApiResponseError' "$folder/out"
grep -qx 'python, blank line: one two three' "$folder/out"
