// What keeps a silent stream alive disturbs no SDK.
import assert from 'node:assert/strict';

import { anthropic, ollama, responses } from './dialects.mjs';
import { listen, listenUntilError } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { CALLS, QUESTION, TOOLS } from './questions.mjs';

const STREAMS = { when: ({ client }) => client.streams };

everyPair(
  'keep-alives in mid-stream disturb nothing',
  async ({ client, wire, ask }) => {
    const script = async (answer) => {
      answer.open();
      answer.think('Hm.');
      await wire.until(keepAlive(client));
      answer.say('Dip ');
      await wire.another(keepAlive(client));
      answer.call(CALLS[0]);
      await wire.another(keepAlive(client));
      answer.finish();
    };
    const heard = await listen(ask(script, { ...QUESTION, tools: TOOLS }, { stream: { keep_alive: '20ms' } }));
    assert.equal(heard.text, 'Dip ');
    assert.deepEqual(heard.calls.map((call) => call.arguments), [CALLS[0].arguments]);
    assert.ok(heard.ended);
  },
  STREAMS,
);

const EARLY = { stream: { commit_after: '20ms', keep_alive: '20ms' } };

everyPair(
  'keep-alives before the first word disturb nothing',
  async ({ client, wire, ask }) => {
    const script = async (answer) => {
      await wire.until(first(client));
      answer.open();
      await wire.another(/keep-alive|ping|in_progress| /);
      answer.say('Dip');
      answer.finish();
    };
    const heard = await listen(ask(script, QUESTION, EARLY));
    assert.deepEqual([heard.text, heard.ended], ['Dip', 'end']);
  },
  STREAMS,
);

everyPair(
  'a refusal behind an early head is told in the stream',
  async ({ client, wire, ask }) => {
    const script = async (answer) => {
      await wire.until(first(client));
      answer.refuse(500, 'the inkwell is dry');
    };
    const { heard, error } = await listenUntilError(ask(script, QUESTION, EARLY));
    assert.equal(heard.text, '');
    assert.equal(wire.status, 200);
    assert.match(JSON.stringify(error) + error.message, /the inkwell is dry/);
  },
  STREAMS,
);

/** What comes while a model is silent that has said something. */
function keepAlive({ dialect }) {
  return dialect === responses ? 'event: response.in_progress\n' : first({ dialect });
}

/** What comes with a head that is early. */
function first({ dialect }) {
  if (dialect === ollama) return ' ';
  return dialect === anthropic ? 'event: ping\n' : ': keep-alive\n';
}
