// A promise that is kept for every client, and for every client in front of every backend: one test each.
import { describe, test } from 'node:test';

import { startBackend } from './backend.mjs';
import { CLIENTS } from './clients.mjs';
import { DIALECTS } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { Wire } from './wire.mjs';

export const LIMIT = { timeout: 20_000 };
/** Many tests wait: for a gateway to start, for a keep-alive. */
const AT_ONCE = { concurrency: 4 };

/**
 * Tests every pair that `when` lets through. `run` gets the pair, the wire between the client and the gateway, and
 * `ask(script, question, options)`, which asks a gateway of its own in front of a backend that answers with `script`.
 */
export function everyPair(promise, run, { when = () => true } = {}) {
  const pairs = CLIENTS.flatMap((client) => DIALECTS.map((dialect) => ({ client, dialect })));
  describe(promise, AT_ONCE, () => {
    for (const { client, dialect } of pairs.filter(when)) {
      test(`${promise} (${client.title}, ${dialect.title} backend)`, LIMIT, async (t) => {
        const wire = new Wire();
        const ask = async function* (script, question, { stream, ...options } = {}) {
          const backend = await startBackend(t, dialect, script);
          yield* client.ask(await startGateway(t, { backend, stream }), question, { fetch: wire.fetch, ...options });
        };
        await run({ client, dialect, wire, ask });
      });
    }
  });
}

/** Tests every client that `when` lets through: `ask(question, gateway)` asks a gateway that has the demo model. */
export function everyClient(promise, run, { when = () => true } = {}) {
  describe(promise, AT_ONCE, () => {
    for (const client of CLIENTS.filter((client) => when({ client }))) {
      test(`${promise} (${client.title})`, LIMIT, async (t) => {
        const ask = async function* (question, gateway) {
          yield* client.ask(await startGateway(t, gateway), question, {});
        };
        await run({ client, ask });
      });
    }
  });
}

/** What both sides of a pair have words for. */
export function shared(these, those, of) {
  return Object.fromEntries(Object.entries(of).filter(([name]) => these.includes(name) && those.includes(name)));
}
