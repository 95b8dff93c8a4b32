// Tool calls reach every SDK whole, however the backend cuts them.
import assert from 'node:assert/strict';

import { ollama } from './dialects.mjs';
import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { CALLS, EMPTY_CALL, QUESTION, TOOLS } from './questions.mjs';

const ASKED = { ...QUESTION, tools: TOOLS };

everyPair('parallel tool calls come whole, in order, with their ids', async ({ client, ask }) => {
  const heard = await listen(ask((answer) => answerWith(answer, () => answer.call(...CALLS)), ASKED));
  assertCalls(client, heard, CALLS);
});

everyPair('a tool call follows the text in front of it', async ({ client, ask }) => {
  const heard = await listen(
    ask((answer) => {
      answerWith(answer, () => {
        answer.say('Let me ');
        answer.say('look.');
        answer.call(CALLS[1]);
      });
    }, ASKED),
  );
  assert.equal(heard.text, 'Let me look.');
  assertCalls(client, heard, [CALLS[1]]);
});

everyPair('a tool call without arguments has an empty object', async ({ client, ask }) => {
  const heard = await listen(ask((answer) => answerWith(answer, () => answer.call(EMPTY_CALL, CALLS[0])), ASKED));
  assertCalls(client, heard, [EMPTY_CALL, CALLS[0]]);
});

everyPair(
  'tool calls whose fragments come mixed are told apart',
  async ({ client, ask }) => {
    const heard = await listen(
      ask((answer) => answerWith(answer, () => answer.interleave(...CALLS, EMPTY_CALL)), ASKED),
    );
    assertCalls(client, heard, [...CALLS, EMPTY_CALL]);
  },
  {
    when: ({ client, dialect }) =>
      'interleave' in dialect.prototype && (client.streams || client.dialect !== dialect),
  },
);

everyPair(
  'tool calls that a backend gave no ids have ids of their own',
  async ({ client, ask }) => {
    const nameless = CALLS.map(({ id, ...call }) => call);
    const heard = await listen(ask((answer) => answerWith(answer, () => answer.call(...nameless)), ASKED));
    const ids = heard.calls.map((call) => call.id);
    assert.equal(new Set(ids).size, CALLS.length);
    for (const id of ids) assert.match(id, /^[a-zA-Z0-9_-]+$/);
    assertCalls(client, heard, CALLS.map((call, at) => ({ ...call, id: ids[at] })));
  },
  { when: ({ client, dialect }) => dialect === ollama && client.dialect !== ollama },
);

function answerWith(answer, say) {
  answer.open();
  say();
  answer.finish();
}

function assertCalls(client, heard, calls) {
  const ids = client.dialect !== ollama; // ollama-js has no place for them
  const told = ({ id, name, arguments: given }) => ({ ...(ids && { id }), name, arguments: JSON.stringify(given) });
  assert.deepEqual(heard.calls.map(told), calls.map(told));
  assert.equal(heard.ended, client.dialect === ollama ? 'end' : 'tools');
}
