// What a client asks reaches the backend, and what cannot is named.
import assert from 'node:assert/strict';

import { anthropic } from './dialects.mjs';
import { listen } from './heard.mjs';
import { everyPair, shared } from './pairs.mjs';
import { CALLS, CONVERSATION, PIXEL, QUESTION, TOOLS } from './questions.mjs';
import { read } from './requests.mjs';

everyPair('a history with tools reaches the backend turn by turn', async ({ dialect, ask }) => {
  const asked = await askedOf(dialect, ask, CONVERSATION);
  const { turns, ...rest } = CONVERSATION;
  assert.deepEqual(asked.turns, turns.map(withoutIds));
  assert.deepEqual(pick(asked, rest), rest);
});

everyPair('a history that ends with results reaches the backend', async ({ dialect, ask }) => {
  const question = { ...CONVERSATION, turns: CONVERSATION.turns.slice(0, -1) };
  const asked = await askedOf(dialect, ask, question);
  assert.deepEqual(asked.turns, question.turns.map(withoutIds));
});

everyPair('a picture reaches the backend', async ({ dialect, ask }) => {
  const turns = [{ role: 'user', text: 'What is this?', images: [PIXEL] }];
  const asked = await askedOf(dialect, ask, { ...QUESTION, turns });
  assert.deepEqual(asked.turns, turns);
});

const SETTINGS = { system: 'Be a quill.', limit: 64, temperature: 0.5, stop: ['END'], choice: 'required' };

everyPair('settings reach the backend, or are named', async ({ client, dialect, wire, ask }) => {
  // A stop sequence that cannot be told is refused: without it the answer would end elsewhere.
  const told = Object.keys(SETTINGS).filter((name) => name !== 'stop' || dialect.takes.includes(name));
  const settings = shared(client.asks, told, SETTINGS);
  const asked = await askedOf(dialect, ask, { ...QUESTION, tools: TOOLS, ...settings });
  const expected = shared(dialect.takes, client.asks, SETTINGS);
  assert.deepEqual(pick(asked, expected), expected);
  const dropped = Object.keys(settings).filter((name) => !dialect.takes.includes(name));
  const named = wire.headers.get('x-dropped-fields') ?? '';
  if (dropped.includes('choice')) assert.match(named, /tool_choice/);
  if (dropped.length === 0) assert.equal(named, '');
});

everyPair(
  'a backend that insists on a limit and a version is given them',
  async ({ ask }) => {
    let answered;
    await listen(
      ask((answer) => {
        answered = answer;
        sayYes(answer);
      }, QUESTION),
    );
    assert.equal(answered.asked.max_tokens, 8192);
    assert.equal(answered.headers['anthropic-version'], '2023-06-01');
  },
  { when: ({ client, dialect }) => dialect === anthropic && client.dialect !== anthropic },
);

async function askedOf(dialect, ask, question) {
  let asked;
  const script = (answer) => {
    asked = read(dialect, answer.asked);
    assert.equal(answer.path, dialect.path);
    sayYes(answer);
  };
  await listen(ask(script, question));
  return asked;
}

/** With a call of a tool, for clients that insist on one when they have required it. */
function sayYes(answer) {
  answer.open();
  answer.say('Yes.');
  if (answer.asked.tools) answer.call(CALLS[0]);
  answer.finish();
}

/** Without the ids: each dialect may have its own, and `read` has followed them. */
function withoutIds({ calls, results, ...turn }) {
  const strip = ({ id, ...rest }) => rest;
  return { ...turn, ...(calls && { calls: calls.map(strip) }), ...(results && { results: results.map(strip) }) };
}

function pick(asked, like) {
  return Object.fromEntries(Object.keys(like).map((name) => [name, asked[name]]));
}
