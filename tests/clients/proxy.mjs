// A proxy as Node applications have it: Express with `compression`, and http-proxy-middleware. Arguments: port, target.

import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const [port, target] = process.argv.slice(2);
const app = express();
app.use(compression({ threshold: 0 }));
const proxy = createProxyMiddleware({ target, ws: true });
app.use(proxy);
const server = app.listen(Number(port), "127.0.0.1");
server.on("upgrade", proxy.upgrade);
