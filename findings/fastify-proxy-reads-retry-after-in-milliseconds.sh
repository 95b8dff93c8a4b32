#!/usr/bin/env bash
# @fastify/http-proxy 11.6.3 (@fastify/reply-from 12.6.5): a GET that is told 503 with `Retry-After: 2` is asked eleven times at once.
#
# Valid input: RFC 9110 section 10.2.3 — `Retry-After: 2` asks to come back in two seconds. The number goes into a timer of
# milliseconds, so that ten more requests follow within a second, and the client behind the proxy hears nothing of it.
# `replyOptions: { maxRetriesOn503: 0 }` is taken for the default of ten; `retryMethods: []` is what ends it.
#
# Seen on 2026-11-30 (node v20.20.2):
#   by default: 11 requests
#   maxRetriesOn503 1: 2 requests
#   maxRetriesOn503 0: 11 requests
#   retryMethods []: 1 request
#   two seconds were waited for: no
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund fastify@5.12.8 @fastify/http-proxy@11.6.3 @fastify/reply-from@12.6.5
cat >"$folder/run.mjs" <<'JS'
import { createServer } from "node:http";
import Fastify from "fastify";
import proxy from "@fastify/http-proxy";
let waited = false;
for (const [label, options] of [
  ["by default", {}],
  ["maxRetriesOn503 1", { replyOptions: { maxRetriesOn503: 1 } }],
  ["maxRetriesOn503 0", { replyOptions: { maxRetriesOn503: 0 } }],
  ["retryMethods []", { retryMethods: [] }],
]) {
  const times = [];
  const origin = createServer((request, answer) => {
    times.push(performance.now());
    answer.writeHead(503, { "retry-after": "2" }).end();
  });
  await new Promise((ready) => origin.listen(0, "127.0.0.1", ready));
  const app = Fastify();
  app.register(proxy, { upstream: `http://127.0.0.1:${origin.address().port}`, ...options });
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  const answer = await fetch(`${url}/v1/streams/x`);
  if (answer.status !== 503) throw new Error(`status ${answer.status}`);
  console.log(`${label}: ${times.length} request${times.length === 1 ? "" : "s"}`);
  waited ||= times.some((time, number) => number > 0 && time - times[number - 1] >= 2000);
  await app.close();
  origin.close();
}
console.log(`two seconds were waited for: ${waited ? "yes" : "no"}`);
process.exit(0);
JS
node "$folder/run.mjs" | tee "$folder/out"
grep -qx 'by default: 11 requests' "$folder/out"
grep -qx 'maxRetriesOn503 1: 2 requests' "$folder/out"
grep -qx 'maxRetriesOn503 0: 11 requests' "$folder/out"
grep -qx 'retryMethods \[\]: 1 request' "$folder/out"
grep -qx 'two seconds were waited for: no' "$folder/out"
