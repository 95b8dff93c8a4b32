// What is chat completions' own: codes of errors, usage that was not asked for, fields that no other vendor has,
// embeddings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

import { startBackend } from './backend.mjs';
import { openai } from './chat_client.mjs';
import { chat, DIALECTS } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { MODEL, QUESTION } from './questions.mjs';
import { Wire } from './wire.mjs';

const ASKED = { model: MODEL, messages: [{ role: 'user', content: QUESTION.turns[0].text }] };

for (const dialect of DIALECTS) {
  const promise = (words, run) => test(`${words} (${dialect.title} backend)`, LIMIT, run);
  const clientOf = async (t, script, options) => {
    const backend = await startBackend(t, dialect, script);
    return openai(await startGateway(t, { backend }), options);
  };

  promise('usage that was not asked for is not sent', async (t) => {
    const wire = new Wire();
    const sdk = await clientOf(t, speak, { fetch: wire.fetch });
    for await (const chunk of await sdk.chat.completions.create({ ...ASKED, stream: true })) {
      assert.equal(chunk.choices.length, 1, 'as in `chunk.choices[0]`');
      assert.equal(chunk.usage ?? null, null);
    }
    assert.ok(wire.sent.endsWith('data: [DONE]\n\n'));
  });

  promise('every chunk is of one answer, and the first one tells the role', async (t) => {
    const sdk = await clientOf(t, speak);
    const chunks = [];
    for await (const chunk of await sdk.chat.completions.create({ ...ASKED, stream: true })) chunks.push(chunk);
    const identities = chunks.map(({ id, created, model, object }) => JSON.stringify([id, created, model, object]));
    assert.equal(new Set(identities).size, 1);
    assert.equal(chunks[0].model, MODEL);
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    assert.deepEqual(chunks.map(({ choices: [choice] }) => choice.finish_reason).filter(Boolean), ['stop']);
  });

  for (const ending of ['end', 'cut']) {
    promise(`a truncated stream has a code of its own and no [DONE] (${ending})`, async (t) => {
      const wire = new Wire();
      const script = (answer) => {
        answer.open();
        answer.say('Dip');
        answer[ending]();
      };
      const sdk = await clientOf(t, script, { fetch: wire.fetch });
      const reading = async () => {
        for await (const _ of await sdk.chat.completions.create({ ...ASKED, stream: true }));
      };
      await assert.rejects(reading, (error) => {
        assert.ok(error instanceof OpenAI.APIError);
        assert.equal(error.code, 'upstream_truncated');
        return true;
      });
      assert.doesNotMatch(wire.sent, /\[DONE\]/);
    });
  }

  if (dialect === chat) continue;

  for (const [field, value] of Object.entries({ n: 2, modalities: ['audio'], logit_bias: { 50256: -100 } })) {
    promise(`${field}, whose loss would change the answer, is refused or named`, async (t) => {
      const wire = new Wire();
      const sdk = await clientOf(t, speak, { fetch: wire.fetch });
      const answer = await sdk.chat.completions.create({ ...ASKED, [field]: value }).catch((error) => error);
      const told = answer instanceof OpenAI.BadRequestError ? answer.message : wire.headers.get('x-dropped-fields');
      assert.ok(told?.includes(field), `${field} in ${told}`);
    });
  }
}

test('embeddings are passed on and come as the numbers that the backend made', LIMIT, async (t) => {
  const vectors = [[0.25, -1.5, 3], [0, 2, -0.125]];
  const backend = await startBackend(t, chat, (answer) => answer.embed(vectors));
  const sdk = openai(await startGateway(t, { backend }));
  const { data } = await sdk.embeddings.create({ model: MODEL, input: ['nib', 'ink'] });
  assert.deepEqual(data.map((item) => Array.from(item.embedding)), vectors);
});

function speak(answer) {
  answer.open();
  answer.say('Dip ');
  answer.say('again.');
  answer.finish();
}
