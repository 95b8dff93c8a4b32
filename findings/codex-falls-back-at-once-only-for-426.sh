#!/usr/bin/env bash
# Codex 0.171.0: a server without WebSockets is asked for one seven times, unless it answers 426.
#
# Valid input: with `openai_base_url` Codex opens a WebSocket on `GET /v1/responses` before it sends anything over HTTP. A server that
# has only the `POST` there answers 405 with `Allow` (RFC 9110 section 15.5.6), or 404. Codex takes both for a passing fault of the
# network, comes back six times within some seven seconds, and then uses HTTP. Only 426 (section 15.5.22) makes it change at once, though that
# status asks for a protocol and does not deny one.
#
# Seen on 2026-11-30:
#   405: 7 handshakes, then HTTP
#   404: 7 handshakes, then HTTP
#   426: 1 handshake, then HTTP
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund @openai/codex@0.171.0 node@24.21.0
cat >"$folder/serve.mjs" <<'JS'
import { createServer } from "node:http";
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { once } from "node:events";
const [folder, status] = process.argv.slice(2);
let handshakes = 0, posts = 0;
const item = { type: "message", id: "msg_1", role: "assistant", status: "completed", content: [{ type: "output_text", text: "Well.", annotations: [] }] };
const usage = { input_tokens: 1, input_tokens_details: null, output_tokens: 1, output_tokens_details: null, total_tokens: 2 };
const frames = [
  { type: "response.created", sequence_number: 0, response: { id: "resp_1", object: "response", status: "in_progress", output: [] } },
  { type: "response.output_item.done", sequence_number: 1, output_index: 0, item },
  { type: "response.completed", sequence_number: 2, response: { id: "resp_1", object: "response", status: "completed", output: [item], usage } },
];
const server = createServer((request, answer) => {
  request.resume();
  if (request.method === "POST" && request.url.endsWith("/responses")) {
    posts += 1;
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.end(frames.map((frame) => `event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`).join(""));
  } else {
    answer.writeHead(404).end();
  }
});
server.on("upgrade", (request, socket) => {
  handshakes += 1;
  const more = { 405: "Allow: POST\r\n", 404: "", 426: "Upgrade: websocket\r\n" }[status];
  socket.end(`HTTP/1.1 ${status} Refused\r\n${more}Content-Length: 0\r\nConnection: close\r\n\r\n`);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const home = `${folder}/home-${status}`;
mkdirSync(`${home}/.codex`, { recursive: true });
writeFileSync(`${home}/.codex/config.toml`, `model = "m"\nopenai_base_url = "http://127.0.0.1:${server.address().port}/v1"
check_for_update_on_startup = false\n[analytics]\nenabled = false\n`);
const options = ["exec", "--skip-git-repo-check", "--json", "Are you well?"];
const codex = spawn(`${folder}/node_modules/.bin/codex`, options, {
  cwd: home, stdio: "ignore", env: { PATH: `${folder}/node_modules/.bin:${process.env.PATH}`, HOME: home, CODEX_API_KEY: "unused" },
});
await once(codex, "exit");
console.log(`${status}: ${handshakes} handshake${handshakes === 1 ? "" : "s"}, then ${posts > 0 ? "HTTP" : "nothing"}`);
process.exit(0);
JS
for status in 405 404 426; do
  timeout 120 "$folder/node_modules/.bin/node" "$folder/serve.mjs" "$folder" "$status"
done | tee "$folder/out"
grep -qx '405: 7 handshakes, then HTTP' "$folder/out"
grep -qx '404: 7 handshakes, then HTTP' "$folder/out"
grep -qx '426: 1 handshake, then HTTP' "$folder/out"
