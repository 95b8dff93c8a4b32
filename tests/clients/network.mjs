// The way between a browser and the gateway, which can be cut like a phone's between two cells.
import { once } from 'node:events';
import { createServer, connect } from 'node:net';

/** Starts a way to `url` that ends with the test `t`. */
export async function startNetwork(t, url) {
  const target = new URL(url);
  const sockets = new Set();
  let up = true;
  const server = createServer((near) => {
    if (!up) return near.resetAndDestroy();
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    up = false;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, cut, mend: () => (up = true) };
}
