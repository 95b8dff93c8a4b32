#!/usr/bin/env bash
# webpack-dev-server 5.2.7 (http-proxy 1.18.1): behind `devServer.proxy` a backend never hears that the client of a POST left, and a
# client never hears that the backend broke off.
#
# Valid input: RFC 9112 section 8 — an answer in chunks whose connection closes before the last chunk is incomplete, and a client
# may close its connection at any time. http-proxy 1 looks for the request's `aborted`, which Node does not emit once the body was
# read, and pipes the answer, which ends nothing that breaks off. 6.1.0 does better.
#
# Seen on 2026-11-30 (node v20.20.2):
#   the client of a POST left behind three events: the backend was not told in 5 s
#   the backend broke off behind three events: three events, and no end in 5 s
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund webpack@5.113.0 webpack-dev-server@5.2.7 >/dev/null 2>&1
cat >"$folder/run.cjs" <<'JS'
const http = require("node:http");
const webpack = require("webpack");
const Server = require("webpack-dev-server");
const fs = require("node:fs");
const after = (time) => new Promise((over) => setTimeout(over, time));
const LIMIT = 5000;
fs.writeFileSync(`${__dirname}/entry.js`, "");
let told;
const origin = http.createServer((request, answer) => {
  request.resume();
  answer.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-transform" });
  let events = 0;
  const timer = setInterval(() => {
    answer.write("data: x\n\n");
    events += 1;
    if (request.url === "/v1/cut" && events === 3) setTimeout(() => request.socket.destroy(), 300);
    if (request.url === "/v1/cut" && events === 3) clearInterval(timer);
  }, 100);
  answer.on("close", () => { clearInterval(timer); told?.(); });
});
const ask = (port, path) => new Promise((answered, failed) => {
  const request = http.request({ host: "127.0.0.1", port, path, method: "POST", headers: { "content-type": "application/json" } }, answered);
  request.on("error", failed);
  request.end("{}");
});
(async () => {
  await new Promise((ready) => origin.listen(0, "127.0.0.1", ready));
  const target = `http://127.0.0.1:${origin.address().port}`;
  const options = { host: "127.0.0.1", port: "auto", client: false, hot: false, liveReload: false, proxy: [{ context: ["/v1"], target }] };
  const compiler = webpack({ mode: "development", entry: `${__dirname}/entry.js`, stats: "none", infrastructureLogging: { level: "none" } });
  const server = new Server(options, compiler);
  await server.start();
  const { port } = server.server.address();

  let answer = await ask(port, "/v1/endless");
  let events = 0;
  const left = new Promise((gone) => answer.on("data", (data) => {
    events += data.toString().split("data: ").length - 1;
    if (events >= 3) { answer.destroy(); gone(); }
  }));
  answer.on("error", () => {});
  await left;
  const heard = await Promise.race([new Promise((over) => { told = () => over(true); }), after(LIMIT).then(() => false)]);
  console.log(`the client of a POST left behind three events: the backend was ${heard ? "told" : "not told in 5 s"}`);

  answer = await ask(port, "/v1/cut");
  let came = 0;
  answer.on("data", (data) => { came += data.toString().split("data: ").length - 1; });
  const ended = await Promise.race([new Promise((over) => { for (const end of ["end", "error", "aborted"]) answer.on(end, () => over(true)); }), after(LIMIT).then(() => false)]);
  console.log(`the backend broke off behind three events: ${came === 3 ? "three" : came} events, and ${ended ? "an end" : "no end in 5 s"}`);
  process.exit(0);
})();
JS
(cd "$folder" && node run.cjs 2>/dev/null) | tee "$folder/out"
grep -qx 'the client of a POST left behind three events: the backend was not told in 5 s' "$folder/out"
grep -qx 'the backend broke off behind three events: three events, and no end in 5 s' "$folder/out"
