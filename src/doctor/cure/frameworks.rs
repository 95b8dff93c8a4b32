//! Frameworks and runtimes that pass streams on: what is to be changed in their code or their configuration.

use crate::doctor::cure::Ill;
use crate::doctor::program::Program;

pub(super) fn node(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Compression => &[
            "app.use(compression({ filter: (req, res) => !/event-stream|ndjson/.test(res.getHeader('Content-Type')) && compression.filter(req, res) }))",
            "// or res.flush() behind every write",
        ],
        Ill::Buffering | Ill::Delay => &[
            "res.flushHeaders(); upstream.pipe(res) // as it comes: no await of the whole body, no selfHandleResponse",
        ],
        Ill::Idle | Ill::Lifetime => {
            &["server.requestTimeout = 0; server.timeout = 0 // and proxyTimeout, timeout: 0 of the proxy"]
        }
        Ill::Abort => &["res.on('close', () => upstream.destroy())"],
        Ill::Truncation => &[
            "pipeline(upstream, res, () => {})    // of node:stream, in place of upstream.pipe(res), which ends nothing that breaks off",
            "proxy.on('proxyRes', (upstream, _, res) => upstream.on('close', () => upstream.complete || res.destroy()))    // http-proxy",
        ],
    }
}

pub(super) fn python(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay => &[
            "# hand on what comes when it comes, no `response.content` and no `await response.read()`:",
            "Response(requests.post(…, stream=True).iter_content(None))                      # Flask",
            "StreamingResponse(upstream.aiter_raw())                                         # FastAPI, httpx's stream()",
            "async for chunk in upstream.content.iter_any(): await response.write(chunk)     # aiohttp",
        ],
        Ill::Compression => {
            &["# no GZipMiddleware, Flask-Compress or enable_compression() on the paths that stream"]
        }
        Ill::Idle | Ill::Lifetime => &[
            "httpx.AsyncClient(timeout=None)                             # its default is 5 s between reads",
            "aiohttp.ClientSession(timeout=ClientTimeout(total=None))    # its default is 5 min in all",
            "gunicorn --timeout 0 --worker-class gthread                 # its default is 30 s",
        ],
        Ill::Abort | Ill::Truncation => &[],
    }
}

/// Django 5.2 compresses every event as a gzip member of its own, of which httpx (so OpenAI's and Anthropic's SDKs) reads one.
pub(super) fn django(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Compression => &[
            "# no django.middleware.gzip.GZipMiddleware on the paths that stream",
            "response.headers[\"Content-Encoding\"] = \"identity\"    # it leaves such an answer alone",
        ],
        Ill::Buffering | Ill::Delay => {
            &["StreamingHttpResponse(chunks())    # with an async generator, behind an ASGI server"]
        }
        Ill::Idle | Ill::Lifetime | Ill::Abort | Ill::Truncation => python(ill),
    }
}

/// Bun 1.4.
pub(super) fn bun(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Idle | Ill::Lifetime => &[
            "Bun.serve({ idleTimeout: 0, … })    // its default of 10 s ends a stream behind 8 to 12 s of silence",
            "// or the gateway says something sooner: [stream] keep_alive = \"5s\"",
        ],
        Ill::Abort => &["fetch(url, { signal: request.signal, … })"],
        Ill::Truncation => &[
            "// what comes together with the end is dropped: is the gateway of this version? It waits 300 ms between the error and the end",
        ],
        Ill::Buffering | Ill::Compression | Ill::Delay => &[],
    }
}

/// Vite 8.4, webpack-dev-server 5.2 and 6.1, Next.js 16.4, Nitro 2.13 and @fastify/http-proxy 11.6.
pub(super) fn node_made(program: Program, ill: Ill) -> &'static [&'static str] {
    match (program, ill) {
        (Program::Vite, Ill::Truncation) => &[
            "// vite.config.js, in server.proxy['/v1']:",
            "configure: (proxy) => proxy.on('proxyRes', (answer, _, client) =>",
            "  answer.on('close', () => answer.complete || client.destroy())),",
        ],
        (Program::Webpack, Ill::Truncation | Ill::Abort) => &[
            "// webpack-dev-server 6 does so by itself; 5: devServer.proxy[…]",
            "onProxyRes: (answer, _, client) => {",
            "  answer.on('close', () => answer.complete || client.destroy());",
            "  client.on('close', () => answer.destroy());",
            "},",
        ],
        (Program::Webpack, Ill::Compression) => &["devServer: { compress: false }"],
        (Program::Next, Ill::Compression) => &["compress: false    // next.config.js"],
        (Program::Next, Ill::Idle | Ill::Lifetime) => {
            &["experimental: { proxyTimeout: 3_600_000 }    // next.config.js; 30 s is its default"]
        }
        (Program::Nitro, Ill::Truncation | Ill::Abort) => NITRO,
        (Program::Fastify, Ill::Idle | Ill::Lifetime) => &[
            "app.register(proxy, { …, undici: { bodyTimeout: 0, headersTimeout: 0 } })    // 300 s are its defaults",
        ],
        _ => node(ill),
    }
}

/// A rule of `routeRules` tells nobody that somebody left, and ends nothing that broke off; a handler does, as it was tried.
const NITRO: &[&str] = &[
    "// in place of the rule in routeRules: routes/v1/[...].ts",
    "export default defineEventHandler((event) => {",
    "  const gone = new AbortController();",
    "  event.node.res.on(\"close\", () => gone.abort());",
    "  return proxyRequest(event, \"http://GATEWAY\" + event.path, { fetchOptions: { signal: gone.signal } })",
    "    .catch((error) => { event.node.res.destroy(); throw error; });",
    "});",
];
