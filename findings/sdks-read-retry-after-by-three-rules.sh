#!/usr/bin/env bash
# `Retry-After: 130` on a 503 makes one SDK give up, one come back within two seconds, and one sleep for two minutes.
#
# Valid input: RFC 9110 section 10.2.3. openai (Python) takes more than 120 s for "do not retry", openai (npm) ignores what is more
# than 60 s and uses its own back-off of half a second, anthropic (Python) sleeps whatever it is told. So a server that asks for
# more than a minute is asked again at once by the clients that it wanted to keep away; 60 s is the most that all of them heed.
#
# Seen on 2026-11-30:
#   openai (Python) 3.57.0: 1 request in 10 s, ended with InternalServerError
#   anthropic (Python) 2.14.0: 1 request in 10 s, still waiting
#   openai (npm) 7.59.0: 3 requests in 10 s, ended with InternalServerError
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0
npm install --prefix "$folder" --silent --no-audit --no-fund openai@7.59.0 node@24.21.0
cat >"$folder/ask.mjs" <<'JS'
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none" });
const messages = [{ role: "user", content: "Hi" }];
await client.chat.completions.create({ model: "m", messages }).catch((error) => console.log(error.constructor.name));
JS
cat >"$folder/run.py" <<'PY'
import subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import anthropic, openai

folder, asked = sys.argv[1], []
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        asked.append(time.monotonic())
        body = b'{"error": {"message": "busy", "type": "server_error"}}'
        self.send_response(503)
        for name, value in (("retry-after", "130"), ("content-type", "application/json"), ("content-length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
messages = [{"role": "user", "content": "Hi"}]

def python(client, call):
    try: call(client)
    except Exception as error: return type(error).__name__

def npm():
    command = [f"{folder}/node_modules/.bin/node", f"{folder}/ask.mjs", url + "/v1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

def watch(name, work):
    asked.clear()
    ended = []
    threading.Thread(target=lambda: ended.append(work()), daemon=True).start()
    time.sleep(10)
    how = f"ended with {ended[0]}" if ended else "still waiting"
    print(f"{name}: {len(asked)} request{'s' * (len(asked) != 1)} in 10 s, {how}", flush=True)

watch(f"openai (Python) {openai.__version__}", lambda: python(
    openai.OpenAI(base_url=url + "/v1", api_key="none"),
    lambda client: client.chat.completions.create(model="m", messages=messages)))
watch(f"anthropic (Python) {anthropic.__version__}", lambda: python(
    anthropic.Anthropic(base_url=url, api_key="none"),
    lambda client: client.messages.create(model="m", max_tokens=9, messages=messages)))
watch("openai (npm) 7.59.0", npm)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" | tee "$folder/out"
grep -q '^openai (Python) 3.57.0: 1 request in 10 s, ended with InternalServerError' "$folder/out"
grep -q '^anthropic (Python) 2.14.0: 1 request in 10 s, still waiting' "$folder/out"
grep -q '^openai (npm) 7.59.0: 3 requests in 10 s, ended with InternalServerError' "$folder/out"
