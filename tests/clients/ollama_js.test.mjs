// ollama-js reads text, thinking and tools, and is told of every failure, with either dialect of backend.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';

import { startBackend } from './backend.mjs';
import { ollama, openai } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { CALLS, QUESTION, TOOLS, WORDS } from './questions.mjs';
import { Wire } from './wire.mjs';

const LIMIT = { timeout: 20_000 };

for (const dialect of [openai, ollama]) {
  const promise = (words, run) => test(`${words} (${dialect.api} backend)`, LIMIT, run);
  const clientOf = async (t, script, { stream, ...options } = {}) => {
    const backend = await startBackend(t, dialect, script);
    return new Ollama({ host: await startGateway(t, { backend, stream }), ...options });
  };

  promise('streamed chat reaches ollama-js whole and in order', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      for (const word of WORDS) answer.say(word);
      answer.finish();
    });
    const parts = await collect(sdk.chat({ ...QUESTION, stream: true }));
    assert.deepEqual(parts.map((part) => part.message.content).filter(Boolean), WORDS);
    assert.equal(parts.at(-1).done, true);
  });

  promise('streamed thinking stands apart from the text', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      answer.think('Capillary?');
      answer.say('Yes.');
      answer.finish();
    });
    const parts = await collect(sdk.chat({ ...QUESTION, stream: true, think: true }));
    assert.equal(parts.map((part) => part.message.thinking ?? '').join(''), 'Capillary?');
    assert.equal(parts.map((part) => part.message.content).join(''), 'Yes.');
  });

  promise('streamed tool calls come whole with their arguments', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      answer.call(...CALLS);
      answer.finish();
    });
    const parts = await collect(sdk.chat({ ...QUESTION, tools: TOOLS, stream: true }));
    const calls = parts.flatMap((part) => part.message.tool_calls ?? []).map((call) => call.function);
    assert.deepEqual(
      calls.map((call) => [call.name, call.arguments]),
      CALLS.map((call) => [call.name, call.arguments]),
    );
  });

  promise('a refusal of the backend keeps its status and message', async (t) => {
    const sdk = await clientOf(t, (answer) => answer.refuse(503, 'the inkwell is dry'));
    await assert.rejects(sdk.chat({ ...QUESTION, stream: true }), (error) => {
      assert.equal(error.status_code, 503);
      assert.match(error.message, /the inkwell is dry/);
      return true;
    });
  });

  promise('an error in the stream is thrown after the text before it', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      answer.say('Dip');
      answer.fail('the nib is bent');
    });
    const { text, error } = await readUntilError(sdk);
    assert.equal(text, 'Dip');
    assert.match(error.message, /the nib is bent/);
  });

  for (const ending of ['end', 'cut']) {
    promise(`a truncated stream is an error for ollama-js (${ending})`, async (t) => {
      const sdk = await clientOf(t, (answer) => {
        answer.open();
        answer.say('Dip');
        answer[ending]();
      });
      const { text, error } = await readUntilError(sdk);
      assert.equal(text, 'Dip');
      assert.doesNotMatch(error.message, /Did not receive done|terminated/, 'told by an error line');
    });
  }

  promise('keep-alive in mid-stream does not disturb ollama-js', async (t) => {
    const wire = new Wire();
    const script = async (answer) => {
      answer.open();
      answer.say('Dip ');
      await wire.until('}\n ');
      answer.say('again');
      answer.finish();
    };
    const sdk = await clientOf(t, script, { fetch: wire.fetch, stream: { keep_alive: '200ms' } });
    const parts = await collect(sdk.chat({ ...QUESTION, stream: true }));
    assert.equal(parts.map((part) => part.message.content).join(''), 'Dip again');
  });
}

test('a fault of the demo model is an error for ollama-js', LIMIT, async (t) => {
  const sdk = new Ollama({ host: await startGateway(t) });
  const { text } = await readUntilError(sdk, 'demo:words=9,pace=1ms,after=3,cut');
  assert.notEqual(text, '');
});

async function collect(stream) {
  const parts = [];
  for await (const part of await stream) parts.push(part);
  return parts;
}

async function readUntilError(sdk, model = QUESTION.model) {
  let text = '';
  try {
    for await (const part of await sdk.chat({ ...QUESTION, model, stream: true })) text += part.message.content;
  } catch (error) {
    return { text, error };
  }
  assert.fail(`a broken stream ended in silence after ${JSON.stringify(text)}`);
}
