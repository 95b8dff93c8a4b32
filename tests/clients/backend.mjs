// A model server for one test, whose script decides what is said, and when.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

/** Starts a backend of a dialect that ends with the test `t` and answers every request with `script(answer)`. */
export async function startBackend(t, dialect, script) {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.end('here'); // the gateway looks whether anybody is there
      return;
    }
    await script(new Answer(dialect, await json(request), response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { dialect, url: `http://127.0.0.1:${server.address().port}` };
}

class Answer {
  constructor(dialect, asked, response) {
    this.dialect = dialect;
    this.asked = asked;
    this.response = response;
  }

  open() {
    this.response.writeHead(200, { 'Content-Type': this.dialect.type });
    this.response.flushHeaders();
    this.send(this.dialect.open(this.asked));
  }

  think(text) {
    this.send(this.dialect.think(this.asked, text));
  }

  say(text) {
    this.send(this.dialect.say(this.asked, text));
  }

  call(...calls) {
    this.called = true;
    this.send(this.dialect.call(this.asked, calls));
  }

  finish() {
    this.send(this.dialect.finish(this.asked, this.called));
    this.end();
  }

  /** An error in the stream, after which nothing comes. */
  fail(message) {
    this.send(this.dialect.fail(this.asked, message));
    this.end();
  }

  refuse(status, message) {
    this.whole(this.dialect.refusal(message), status);
  }

  embed(vectors) {
    this.whole(this.dialect.embeddings(this.asked, vectors));
  }

  /** The clean end of the body; without `finish` before it, the answer is truncated. */
  end() {
    this.response.end();
  }

  /** The connection breaks in the middle of the body, after what was said. */
  cut() {
    this.response.write('', () => this.response.socket.end());
  }

  send(frames) {
    for (const frame of frames) this.response.write(frame);
  }

  whole(body, status = 200) {
    this.response.writeHead(status, { 'Content-Type': 'application/json' });
    this.response.end(JSON.stringify(body));
  }
}
