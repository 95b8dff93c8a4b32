// The built binary, started for one test with a configuration of its own on free ports.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY =
  process.env.STREAMGATE_BIN ?? fileURLToPath(new URL('../../target/debug/streamgate', import.meta.url));

/**
 * Starts a gateway that ends with the test `t`; without a backend it has the demo model, and with a key it serves
 * nobody else. Returns its URL.
 */
export async function startGateway(t, { backend, server = {}, stream = {}, key } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'streamgate-'));
  const config = join(folder, 'streamgate.toml');
  writeFileSync(config, configuration({ backend, server, stream, key }));
  const gateway = spawn(BINARY, ['serve', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(gateway, 'exit');
  t.after(async () => {
    gateway.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true });
  });
  for await (const line of createInterface(gateway.stdout)) {
    if (line.startsWith('listening on ')) return line.slice('listening on '.length);
  }
  throw new Error('the gateway did not start');
}

function configuration({ backend, server, stream, key }) {
  const keys = (table) =>
    Object.entries(table).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n');
  return `
[server]
listen = "127.0.0.1:0"
drain = "1s"
${keys(server)}
[admin]
listen = "127.0.0.1:0"
[log]
level = "warn"
[stream]
${keys(stream)}
${key ? `[[key]]\nname = "quill"\nsha256 = "${createHash('sha256').update(key).digest('hex')}"` : ''}
[[backend]]
name = "model"
api = "${backend?.dialect.api ?? 'demo'}"
${backend?.dialect.settings ?? ''}
${backend ? `url = "${backend.url}"` : ''}
[[route]]
model = "*"
backends = ["model"]
`;
}
