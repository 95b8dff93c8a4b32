// Reasoning is asked for, and told apart from the text.
import assert from 'node:assert/strict';

import { ollama, responses } from './dialects.mjs';
import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { CALLS, QUESTION, TOOLS } from './questions.mjs';
import { read } from './requests.mjs';

const THOUGHT = ['Capil', 'lary? 🤔'];

everyPair('reasoning stands apart from the text', async ({ client, ask }) => {
  const heard = await listen(
    ask((answer) => {
      answer.open();
      for (const thought of THOUGHT) answer.think(thought);
      answer.say('Yes.');
      answer.finish();
    }, QUESTION),
  );
  assert.deepEqual([heard.thought, heard.text], [client.reasons ? THOUGHT.join('') : '', 'Yes.']);
});

everyPair('reasoning may lead to a tool call without a word', async ({ client, ask }) => {
  const heard = await listen(
    ask(
      (answer) => {
        answer.open();
        answer.think(THOUGHT.join(''));
        answer.call(CALLS[0]);
        answer.finish();
      },
      { ...QUESTION, tools: TOOLS },
    ),
  );
  assert.deepEqual([heard.thought, heard.text], [client.reasons ? THOUGHT.join('') : '', '']);
  assert.deepEqual(heard.calls.map((call) => call.arguments), [CALLS[0].arguments]);
});

everyPair(
  'reasoning that is shown itself and not as a summary is heard too',
  async ({ client, ask }) => {
    const heard = await listen(
      ask((answer) => {
        answer.open();
        answer.thinkAloud(THOUGHT.join(''));
        answer.say('Yes.');
        answer.finish();
      }, QUESTION),
    );
    assert.deepEqual([heard.thought, heard.text], [client.reasons ? THOUGHT.join('') : '', 'Yes.']);
  },
  // What passes byte for byte is for the SDK to read.
  { when: ({ client, dialect }) => dialect === responses && client.dialect !== responses },
);

everyPair('a backend is asked to think when the client asks for it', async ({ dialect, ask }) => {
  let asked;
  const script = (answer) => {
    asked = answer.asked;
    answer.open();
    answer.say('Yes.');
    answer.finish();
  };
  await listen(ask(script, { ...QUESTION, thinks: true }));
  const { thinks } = read(dialect, asked);
  assert.ok(thinks, `asked: ${JSON.stringify(asked)}`);
  if (dialect === ollama) assert.ok([true, 'low', 'medium', 'high', 'max'].includes(thinks), `think: ${thinks}`);
});
