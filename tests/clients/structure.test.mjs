// Structured output: the schema reaches the backend, and every SDK parses what comes back.
import assert from 'node:assert/strict';

import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { QUESTION, RECIPE_SCHEMA } from './questions.mjs';
import { read } from './requests.mjs';

const RECIPE = { shade: 'Payne’s grey', parts: 2.5 };

everyPair('a structure that is asked for comes back parsed', async ({ dialect, ask }) => {
  let asked;
  const script = (answer) => {
    asked = read(dialect, answer.asked);
    answer.open();
    for (const piece of JSON.stringify(RECIPE).match(/.{1,7}/gu)) answer.say(piece);
    answer.finish();
  };
  const heard = await listen(ask(script, { ...QUESTION, schema: true }));
  assert.deepEqual(heard.parsed, RECIPE);
  assert.deepEqual(asked.schema.properties, RECIPE_SCHEMA.properties);
  assert.deepEqual(asked.schema.required, RECIPE_SCHEMA.required);
});
