// Thoughts, texts and calls may follow one another in any order.
import assert from 'node:assert/strict';

import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { CALLS, QUESTION, TOOLS } from './questions.mjs';

everyPair('thoughts, texts and calls that take turns are all heard', async ({ client, ask }) => {
  const script = (answer) => {
    answer.open();
    answer.say('One, ');
    answer.think('Hm. ');
    answer.say('two, ');
    answer.call(CALLS[0]);
    answer.think('Or so.');
    answer.call(CALLS[1]);
    answer.say('three.');
    answer.finish();
  };
  const heard = await listen(ask(script, { ...QUESTION, tools: TOOLS }));
  assert.equal(heard.text, 'One, two, three.');
  if (client.reasons) assert.equal(heard.thought.replaceAll('\n', ''), 'Hm. Or so.');
  assert.deepEqual(heard.calls.map((call) => call.arguments), CALLS.map((call) => call.arguments));
});

everyPair('an answer without a word is an answer', async ({ ask }) => {
  const heard = await listen(
    ask((answer) => {
      answer.open();
      answer.finish();
    }, QUESTION),
  );
  assert.deepEqual([heard.text, heard.calls, heard.ended], ['', [], 'end']);
});
