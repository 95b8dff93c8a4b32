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
    await script(new Answer(dialect, request, await json(request), response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { dialect, url: `http://127.0.0.1:${server.address().port}` };
}

/** One answer: a stream if it was asked for, else what was said is kept and given whole. */
class Answer {
  #said = { thought: '', text: '', declined: '', redacted: [], calls: [] };

  constructor(dialect, { url, headers }, asked, response) {
    this.dialect = dialect;
    this.path = url;
    this.headers = headers;
    this.asked = asked;
    this.streams = asked.stream ?? Boolean(dialect.streamsByDefault);
    this.response = response;
    this.words = new dialect(asked);
    /** Resolves when the gateway has closed the connection before the answer was over. */
    this.left = new Promise((resolve) => response.on('close', () => response.writableFinished || resolve()));
  }

  open() {
    if (!this.streams) return;
    this.response.writeHead(200, { 'Content-Type': this.dialect.type });
    this.response.flushHeaders();
    this.#send(this.words.open());
  }

  /** Says this, byte for byte. */
  write(frames) {
    this.response.write(frames);
  }

  /** Thinks aloud; `seal` is what the vendor wants back with the next turn. */
  think(text, seal) {
    this.#said.thought += text;
    this.#said.seal = seal;
    this.#send(this.words.think(text, seal));
  }

  /** Thinks and shows it as models with open weights do. */
  thinkAloud(text) {
    this.#send(this.words.thinkAloud(text));
  }

  /** Thinks what only the vendor can read. */
  redact(data) {
    this.#said.redacted.push(data);
    this.#send(this.words.redact(data));
  }

  say(text) {
    this.#said.text += text;
    this.#send(this.words.say(text));
  }

  /** Says that the model will not answer. */
  decline(text) {
    this.#said.declined += text;
    this.#send(this.words.decline(text));
  }

  call(...calls) {
    this.#said.calls.push(...calls);
    this.#send(this.words.call(calls));
  }

  /** Calls several tools at once, a fragment of one after a fragment of the other. */
  interleave(...calls) {
    this.#said.calls.push(...calls);
    this.#send(this.words.interleave(calls));
  }

  /** The end: 'end', 'tools', 'length', 'declined' or 'filtered'. */
  finish(why = this.#said.calls.length > 0 ? 'tools' : 'end') {
    if (this.streams) {
      this.#send(this.words.finish(why));
      this.end();
    } else {
      this.whole(this.dialect.whole(this.asked, this.#said, why));
    }
  }

  /** An error in the stream, after which nothing comes. */
  fail(message) {
    this.#send(this.words.fail(message));
    this.end();
  }

  refuse(status, message) {
    this.whole(this.dialect.refusal(message, status), status);
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

  whole(body, status = 200) {
    this.response.writeHead(status, { 'Content-Type': 'application/json' });
    this.response.end(JSON.stringify(body));
  }

  #send(frames) {
    if (this.streams) for (const frame of frames) this.response.write(frame);
  }
}
