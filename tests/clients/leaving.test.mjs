// A client that leaves frees its backend.
import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { QUESTION } from './questions.mjs';

everyPair(
  'leaving in mid-stream closes the backend',
  async ({ ask }) => {
    const leaving = new AbortController();
    const left = deferred();
    const script = async (answer) => {
      answer.open();
      answer.say('Dip');
      await answer.left;
      left.resolve();
    };
    const parts = ask(script, QUESTION, { signal: leaving.signal });
    for await (const { text } of parts) if (text) break;
    leaving.abort();
    await left.promise;
  },
  { when: ({ client }) => client.streams },
);

everyPair('leaving before the first word closes the backend', async ({ ask }) => {
  const leaving = new AbortController();
  const left = deferred();
  const script = async (answer) => {
    leaving.abort();
    await answer.left;
    left.resolve();
  };
  listen(ask(script, QUESTION, { signal: leaving.signal })).catch(() => {});
  await left.promise;
});

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
