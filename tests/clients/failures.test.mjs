// A failure is an error for every SDK: with its status before the stream, told in the stream after that, never a short
// answer.
import assert from 'node:assert/strict';

import { anthropic } from './dialects.mjs';
import { listenUntilError } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { QUESTION } from './questions.mjs';

const STREAMS = { when: ({ client }) => client.streams };
/** Where the gateway gathers a whole answer from a stream. */
const GATHERED = { when: ({ client, dialect }) => !client.streams && client.dialect !== dialect };

for (const status of [400, 404, 429, 503]) {
  everyPair(`a refusal with ${status} keeps its status, class and message`, async ({ client, dialect, ask }) => {
    const refuse = (answer) => answer.refuse(overloaded(dialect, status), 'the inkwell is dry');
    const { error } = await listenUntilError(ask(refuse, QUESTION));
    assert.ok(client.isRefusal(error, overloaded(client.dialect, status)), `${error.constructor.name}: ${error}`);
    assert.match(error.message, /the inkwell is dry/);
  });
}

everyPair(
  'a backend that fails before its first word is refused with a status',
  async ({ wire, ask }) => {
    const { heard, error } = await listenUntilError(
      ask((answer) => {
        answer.open();
        answer.fail('the nib is bent');
      }, QUESTION),
    );
    assert.equal(heard.text, '');
    assert.match(error.message, /the nib is bent/);
    assert.equal(wire.status, 502);
  },
  STREAMS,
);

everyPair(
  'an error in the stream is told after the text before it',
  async ({ client, ask }) => {
    const { heard, error } = await listenUntilError(
      ask((answer) => {
        answer.open();
        answer.say('Dip');
        answer.fail('the nib is bent');
      }, QUESTION),
    );
    assert.equal(heard.text, 'Dip');
    assert.ok(client.isFailure(error), `${error.constructor.name}: ${error}`);
    assert.match(JSON.stringify(error) + error.message, /the nib is bent/);
    assert.equal(heard.ended, undefined);
  },
  STREAMS,
);

for (const ending of ['end', 'cut']) {
  const truncated = (answer) => {
    answer.open();
    answer.say('Dip');
    answer[ending]();
  };

  everyPair(
    `a truncated stream is an error and never looks complete (${ending})`,
    async ({ client, ask }) => {
      const { heard, error } = await listenUntilError(ask(truncated, QUESTION));
      assert.equal(heard.text, 'Dip');
      assert.ok(client.isFailure(error), `${error.constructor.name}: ${error}`);
      assert.equal(heard.ended, undefined);
    },
    STREAMS,
  );

  everyPair(
    `a truncated answer that was to come whole is refused (${ending})`,
    async ({ wire, ask }) => {
      const { error } = await listenUntilError(ask(truncated, QUESTION));
      assert.ok(error);
      assert.equal(wire.status, 502);
    },
    GATHERED,
  );
}

everyPair(
  'an answer that broke when its text was made is asked for again by a client that retries: it has nothing of the first',
  async ({ ask }) => {
    let times = 0;
    const script = (answer) => {
      times += 1;
      answer.open();
      answer.say('Dip');
      answer.fail('the nib is bent');
    };
    await listenUntilError(ask(script, QUESTION, { maxRetries: 1 }));
    assert.equal(times, 2);
  },
  // The AI SDK looks at the status alone, and ollama-js does not retry.
  { when: (pair) => GATHERED.when(pair) && /openai-node|anthropic-node/.test(pair.client.title) },
);

/** The status in the words of a dialect: Anthropic has a number of its own for a server that has too much to do. */
function overloaded(dialect, status) {
  return dialect === anthropic && status === 503 ? 529 : status;
}
