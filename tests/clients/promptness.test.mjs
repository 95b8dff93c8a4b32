// Nothing is held back: what the backend has said is with the client before the backend says more.
import assert from 'node:assert/strict';

import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { QUESTION } from './questions.mjs';

const STREAMS = { when: ({ client }) => client.streams };

everyPair(
  'every word is sent before the next is said',
  async ({ wire, ask }) => {
    const words = ['first', 'second', 'third'];
    const script = async (answer) => {
      answer.open();
      for (const word of words) {
        answer.say(word);
        await wire.until(word);
      }
      answer.finish();
    };
    const heard = await listen(ask(script, QUESTION));
    assert.deepEqual(heard.pieces, words);
  },
  STREAMS,
);

everyPair(
  'every thought is sent before the next is thought',
  async ({ wire, ask }) => {
    const script = async (answer) => {
      answer.open();
      answer.think('perhaps');
      await wire.until('perhaps');
      answer.think('surely');
      await wire.until('surely');
      answer.say('Yes.');
      answer.finish();
    };
    const heard = await listen(ask(script, QUESTION));
    assert.equal(heard.text, 'Yes.');
  },
  STREAMS,
);

everyPair(
  'a long answer comes whole',
  async ({ ask }) => {
    const words = Array.from({ length: 100 }, (_, at) => `${at} 🖋 ${'ink '.repeat(1_000)}`);
    const script = async (answer) => {
      answer.open();
      for (const word of words) answer.say(word);
      answer.finish();
    };
    const heard = await listen(ask(script, QUESTION));
    assert.ok(heard.text === words.join(''));
  },
  STREAMS,
);
