#!/usr/bin/env bash
# @microsoft/fetch-event-source 2.0.1: the 204 that stops an `EventSource` makes it ask again every second, for ever.
#
# Valid input: WHATWG HTML section 9.2.5 — a server tells a reader not to come back by 204. This library looks at `Content-Type`
# before anything else, a 204 has none, and what it cannot accept it asks for again. An empty event stream ends it. (In a browser a
# 204 that names `text/event-stream` does, too; in Node such an answer has no body to read, and it knocks on.)
#
# Seen on 2026-11-30 (node v24.21.0, with the three browser globals that the library touches):
#   204: 5 or more requests in 6 s, not ended
#   empty event stream: 1 request in 6 s, ended
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund @microsoft/fetch-event-source@2.0.1 node@24.21.0
cat >"$folder/run.mjs" <<'JS'
import { createServer } from "node:http";
import { createRequire } from "node:module";
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = createRequire(import.meta.url)("@microsoft/fetch-event-source");
const asked = { "/none": 0, "/empty": 0 };
const server = createServer((request, answer) => {
  asked[request.url] += 1;
  if (request.url === "/none") answer.writeHead(204).end();
  else answer.writeHead(200, { "content-type": "text/event-stream" }).end();
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
for (const [path, label] of [["/none", "204"], ["/empty", "empty event stream"]]) {
  let ended = false;
  const leave = new AbortController();
  const url = `http://127.0.0.1:${server.address().port}${path}`;
  fetchEventSource(url, { method: "POST", body: "{}", signal: leave.signal }).then(() => { ended = !leave.signal.aborted; });
  await new Promise((over) => setTimeout(over, 6000));
  const count = asked[path] === 1 ? "1 request" : asked[path] >= 5 ? "5 or more requests" : `${asked[path]} requests`;
  console.log(`${label}: ${count} in 6 s, ${ended ? "ended" : "not ended"}`);
  leave.abort();
}
process.exit(0);
JS
"$folder/node_modules/.bin/node" "$folder/run.mjs" | tee "$folder/out"
grep -qx '204: 5 or more requests in 6 s, not ended' "$folder/out"
grep -qx 'empty event stream: 1 request in 6 s, ended' "$folder/out"
