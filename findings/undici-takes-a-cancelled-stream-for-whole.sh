#!/usr/bin/env bash
# undici 8.13.1 (`fetch` of Node 26): over HTTP/2 a body that is reset with CANCEL or NO_ERROR ends as if it were complete.
#
# Valid input: RFC 9113 sections 6.4 and 8.1 — a stream that ends by RST_STREAM and not by END_STREAM is not complete, whatever
# the code; proxies use CANCEL when their own upstream has gone. With INTERNAL_ERROR, REFUSED_STREAM or ENHANCE_YOUR_CALM the
# reader rejects. So a hop that turns a cut into CANCEL hides it from such clients, and a server must break off with another code.
#
# Seen on 2026-11-30:
#   undici 8.13.1, node v24.21.0
#   RST_STREAM 0 (NO_ERROR): done after "half an answer"
#   RST_STREAM 2 (INTERNAL_ERROR): TypeError: terminated
#   RST_STREAM 7 (REFUSED_STREAM): TypeError: terminated
#   RST_STREAM 8 (CANCEL): done after "half an answer"
#   RST_STREAM 11 (ENHANCE_YOUR_CALM): TypeError: terminated
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check h2==4.4.1
npm install --prefix "$folder" --silent --no-audit --no-fund undici@8.13.1 node@24.21.0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
cat >"$folder/ask.mjs" <<'JS'
import { createRequire } from "node:module";
import { Agent, fetch } from "undici";
const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
console.log(`undici ${createRequire(import.meta.url)("undici/package.json").version}, node ${process.version}`);
for (const code of ["0 (NO_ERROR)", "2 (INTERNAL_ERROR)", "7 (REFUSED_STREAM)", "8 (CANCEL)", "11 (ENHANCE_YOUR_CALM)"]) {
  let how;
  try {
    const answer = await fetch(`https://localhost:${process.argv[2]}/${parseInt(code)}`, { dispatcher });
    how = `done after "${await answer.text()}"`;
  } catch (error) {
    how = `${error.name}: ${error.message}`;
  }
  console.log(`RST_STREAM ${code}: ${how}`);
}
process.exit(0);
JS
cat >"$folder/run.py" <<'PY'
import socket, ssl, subprocess, sys, threading, time
import h2.config, h2.connection, h2.events

folder = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
context.set_alpn_protocols(["h2"])
listener = socket.create_server(("127.0.0.1", 0))

def serve(connection):
    state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    state.initiate_connection()
    connection.sendall(state.data_to_send())
    while data := connection.recv(65536):
        for event in state.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                code = int(dict(event.headers)[b":path"][1:])
                state.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/event-stream")])
                state.send_data(event.stream_id, b"half an answer")
                connection.sendall(state.data_to_send())
                time.sleep(0.3)
                state.reset_stream(event.stream_id, error_code=code)
        connection.sendall(state.data_to_send())

def accept():
    while True:
        try: connection = context.wrap_socket(listener.accept()[0], server_side=True)
        except OSError: continue
        threading.Thread(target=serve, args=(connection,), daemon=True).start()

threading.Thread(target=accept, daemon=True).start()
subprocess.run([f"{folder}/node_modules/.bin/node", f"{folder}/ask.mjs", str(listener.getsockname()[1])], check=True)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" | tee "$folder/out"
for code in 0 8; do grep -q "^RST_STREAM $code .*: done after \"half an answer\"" "$folder/out"; done
for code in 2 7 11; do grep -q "^RST_STREAM $code .*: TypeError: terminated" "$folder/out"; done
