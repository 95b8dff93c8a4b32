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
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', (broken) => {
        sockets.delete(socket);
        if (broken) other.destroy();
        else other.end(); // what is on its way still arrives
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
