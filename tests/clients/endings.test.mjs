// How an answer ended, and what it cost.
import assert from 'node:assert/strict';

import { ollama } from './dialects.mjs';
import { listen } from './heard.mjs';
import { everyPair, shared } from './pairs.mjs';
import { QUESTION, SPENT } from './questions.mjs';

everyPair('an answer that was cut to the limit says so', async ({ ask }) => {
  const heard = await listen(ask((answer) => sayAndFinish(answer, 'length'), QUESTION));
  assert.deepEqual([heard.text, heard.ended], ['Dip', 'length']);
});

everyPair(
  'an answer that was filtered says so',
  async ({ client, ask }) => {
    const heard = await listen(ask((answer) => sayAndFinish(answer, 'filtered'), QUESTION));
    assert.deepEqual([heard.text, heard.ended], ['Dip', client.dialect === ollama ? 'end' : 'filtered']);
  },
  // Ollama's answers know no refusal.
  { when: ({ dialect }) => dialect !== ollama },
);

everyPair(
  'a refusal of the model is heard, and known as one',
  async ({ client, ask }) => {
    const heard = await listen(
      ask((answer) => {
        answer.open();
        answer.decline('I will ');
        answer.decline('not.');
        answer.finish('declined');
      }, QUESTION),
    );
    assert.deepEqual([heard.text, heard.ended], ['I will not.', client.dialect === ollama ? 'end' : 'filtered']);
  },
  // @ai-sdk/openai-compatible has no eye for `refusal`.
  { when: ({ client, dialect }) => dialect !== ollama && !client.title.includes('compatible') },
);

everyPair('what an answer cost is told once and right', async ({ client, dialect, ask }) => {
  const heard = await listen(ask((answer) => sayAndFinish(answer, 'end'), QUESTION));
  const expected = shared(client.spends, dialect.spends, SPENT);
  assert.deepEqual(shared(client.spends, dialect.spends, heard.spent), expected);
});

function sayAndFinish(answer, why) {
  answer.open();
  answer.say('Dip');
  answer.finish(why);
}
