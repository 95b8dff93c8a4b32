// openai-node reads text, reasoning, tools and embeddings, and is told of every failure, with either dialect of backend.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

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
    return client(await startGateway(t, { backend, stream }), options);
  };

  promise('streamed text reaches openai-node whole and in order', async (t) => {
    const sdk = await clientOf(t, sayWords);
    const deltas = [];
    for await (const chunk of await sdk.chat.completions.create({ ...QUESTION, stream: true })) {
      deltas.push(chunk.choices[0].delta.content);
    }
    assert.deepEqual(deltas.filter(Boolean), WORDS);
  });

  promise('the stream helper of openai-node builds the final completion', async (t) => {
    const sdk = await clientOf(t, sayWords);
    const final = await sdk.chat.completions.stream(QUESTION).finalChatCompletion();
    assert.equal(final.choices[0].message.content, WORDS.join(''));
    assert.equal(final.choices[0].finish_reason, 'stop');
  });

  promise('streamed reasoning stands apart from the text', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      answer.think('Capillary?');
      answer.say('Yes.');
      answer.finish();
    });
    let [reasoning, text] = ['', ''];
    for await (const chunk of await sdk.chat.completions.create({ ...QUESTION, stream: true })) {
      reasoning += chunk.choices[0].delta.reasoning_content ?? '';
      text += chunk.choices[0].delta.content ?? '';
    }
    assert.deepEqual([reasoning, text], ['Capillary?', 'Yes.']);
  });

  promise('the stream helper of openai-node builds parallel tool calls', async (t) => {
    const sdk = await clientOf(t, (answer) => {
      answer.open();
      answer.call(...CALLS);
      answer.finish();
    });
    const final = await sdk.chat.completions.stream({ ...QUESTION, tools: TOOLS }).finalChatCompletion();
    const calls = final.choices[0].message.tool_calls.map((call) => call.function);
    assert.deepEqual(
      calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      CALLS.map((call) => [call.name, call.arguments]),
    );
    assert.equal(final.choices[0].finish_reason, 'tool_calls');
  });

  promise('a refusal of the backend keeps its status and message', async (t) => {
    const sdk = await clientOf(t, (answer) => answer.refuse(503, 'the inkwell is dry'));
    await assert.rejects(sdk.chat.completions.create({ ...QUESTION, stream: true }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError);
      assert.equal(error.status, 503);
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
    promise(`a truncated stream is an error for openai-node (${ending})`, async (t) => {
      const sdk = await clientOf(t, (answer) => {
        answer.open();
        answer.say('Dip');
        answer[ending]();
      });
      const { text, error } = await readUntilError(sdk);
      assert.equal(text, 'Dip');
      assert.equal(error.code, 'upstream_truncated');
    });
  }

  promise('keep-alive in mid-stream does not disturb the stream helper of openai-node', async (t) => {
    const wire = new Wire();
    const script = async (answer) => {
      answer.open();
      answer.say('Dip ');
      await wire.until(': keep-alive\n');
      answer.say('again');
      answer.finish();
    };
    const sdk = await clientOf(t, script, { fetch: wire.fetch, stream: { keep_alive: '200ms' } });
    const final = await sdk.chat.completions.stream(QUESTION).finalChatCompletion();
    assert.equal(final.choices[0].message.content, 'Dip again');
    assert.ok(wire.sent.indexOf('Dip ') < wire.sent.indexOf(': keep-alive\n'));
  });
}

test('the demo model calls every tool that openai-node offers', LIMIT, async (t) => {
  const sdk = client(await startGateway(t));
  const question = { ...QUESTION, model: 'demo:words=3,pace=1ms,tools', tools: TOOLS };
  const final = await sdk.chat.completions.stream(question).finalChatCompletion();
  const calls = final.choices[0].message.tool_calls.map((call) => call.function);
  assert.deepEqual(calls.map((call) => call.name).sort(), CALLS.map((call) => call.name).sort());
  for (const call of calls) assert.equal(typeof JSON.parse(call.arguments), 'object');
});

test('a fault of the demo model is an error for openai-node', LIMIT, async (t) => {
  const sdk = client(await startGateway(t));
  const { text } = await readUntilError(sdk, 'demo:words=9,pace=1ms,after=3,cut');
  assert.notEqual(text, '');
});

function client(url, options) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, ...options });
}

function sayWords(answer) {
  answer.open();
  for (const word of WORDS) answer.say(word);
  answer.finish();
}

async function readUntilError(sdk, model = QUESTION.model) {
  let text = '';
  try {
    for await (const chunk of await sdk.chat.completions.create({ ...QUESTION, model, stream: true })) {
      text += chunk.choices[0].delta.content ?? '';
    }
  } catch (error) {
    assert.ok(error instanceof OpenAI.APIError, `told in the stream, not by a broken connection: ${error}`);
    return { text, error };
  }
  assert.fail(`a broken stream ended in silence after ${JSON.stringify(text)}`);
}

test('embeddings are passed on and come as the numbers that the backend made', LIMIT, async (t) => {
  const vectors = [[0.25, -1.5, 3], [0, 2, -0.125]];
  const backend = await startBackend(t, openai, (answer) => answer.embed(vectors));
  const sdk = client(await startGateway(t, { backend }), {});
  const { data } = await sdk.embeddings.create({ model: QUESTION.model, input: ['nib', 'ink'] });
  assert.deepEqual(data.map((item) => Array.from(item.embedding)), vectors);
});
