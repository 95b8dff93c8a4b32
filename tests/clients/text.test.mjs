// Text reaches every SDK whole, whatever the backend speaks.
import assert from 'node:assert/strict';

import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { QUESTION, WORDS } from './questions.mjs';

everyPair('text comes word for word', async ({ client, ask }) => {
  const heard = await listen(ask(sayWords, QUESTION));
  assert.deepEqual(heard.pieces, client.streams ? WORDS : [WORDS.join('')]);
  assert.equal(heard.ended, 'end');
});

function sayWords(answer) {
  answer.open();
  for (const word of WORDS) answer.say(word);
  answer.finish();
}
