// What is Ollama's own: answers to a bare prompt, one object a line, and its times.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startBackend } from './backend.mjs';
import { DIALECTS, ollama } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { ollama as clientOf } from './ollama_client.mjs';
import { LIMIT } from './pairs.mjs';
import { MODEL, QUESTION, WORDS } from './questions.mjs';
import { Wire } from './wire.mjs';

const PROMPT = QUESTION.turns[0].text;

for (const dialect of DIALECTS) {
  const promise = (words, run) => test(`${words} (${dialect.title} backend)`, LIMIT, run);
  const clientAt = async (t, script, options) => {
    const backend = await startBackend(t, dialect, script);
    return clientOf(await startGateway(t, { backend }), options);
  };

  promise('a stream is one object a line, and its last one tells what it took', async (t) => {
    const wire = new Wire();
    const sdk = await clientAt(t, speak, { fetch: wire.fetch });
    const asked = { model: MODEL, messages: [{ role: 'user', content: PROMPT }], stream: true };
    const parts = await collect(await sdk.chat(asked));
    assert.deepEqual(parts.map((part) => part.message.content).filter(Boolean), WORDS);
    assert.deepEqual(wire.sent.trimEnd().split('\n').map((line) => JSON.parse(line)), parts);
    const last = parts.at(-1);
    assert.deepEqual([last.done, last.done_reason, last.model], [true, 'stop', MODEL]);
    if (dialect !== ollama) assert.ok(Number.isInteger(last.total_duration) && last.total_duration > 0);
  });

  if (dialect === ollama) continue; // it is asked at a route of its own

  promise('a bare prompt is answered', async (t) => {
    const sdk = await clientAt(t, speak);
    const parts = await collect(await sdk.generate({ model: MODEL, prompt: PROMPT, stream: true }));
    assert.equal(parts.map((part) => part.response).join(''), WORDS.join(''));
    assert.equal(parts.at(-1).done, true);
    const whole = await sdk.generate({ model: MODEL, prompt: PROMPT, stream: false });
    assert.deepEqual([whole.response, whole.done], [WORDS.join(''), true]);
  });
}

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function speak(answer) {
  answer.open();
  for (const word of WORDS) answer.say(word);
  answer.finish();
}
