// A hop of Express: `node express_hop.mjs PORT TARGET_PORT [compression | pipe]`.

import http from "node:http";
import { pipeline } from "node:stream";

import compression from "compression";
import express from "express";

const [port, target, way] = process.argv.slice(2);
const app = express();
if (way === "compression") app.use(compression());
app.use((request, response) => {
  const { method, url, headers } = request;
  const upstream = http.request({ port: target, host: "127.0.0.1", method, path: url, headers }, (answer) => {
    response.status(answer.statusCode);
    for (const [name, value] of Object.entries(answer.headers)) {
      // `no-transform` would keep the compression off; many servers never say it.
      if (!["cache-control", "connection", "transfer-encoding"].includes(name)) response.setHeader(name, value);
    }
    response.flushHeaders();
    // `pipe` leaves the response open when the answer breaks off.
    if (way === "pipe") answer.pipe(response);
    else pipeline(answer, response, () => {});
  });
  upstream.on("error", () => response.destroy());
  response.on("close", () => upstream.destroy());
  request.pipe(upstream);
});
app.listen(Number(port), "127.0.0.1");
