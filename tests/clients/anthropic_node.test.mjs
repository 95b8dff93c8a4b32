// What is Anthropic's own: counting, the beta routes, the order of events, errors, and fields that no other vendor has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';

import { anthropic as clientOf } from './anthropic_client.mjs';
import { startBackend } from './backend.mjs';
import { anthropic, DIALECTS, ollama } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { CALLS, MODEL, PIXEL, TOOLS } from './questions.mjs';
import { read } from './requests.mjs';
import { Wire } from './wire.mjs';

const MESSAGES = [{ role: 'user', content: 'How does ink reach the nib?' }];
const ASKED = { model: MODEL, max_tokens: 256, messages: MESSAGES };

for (const dialect of DIALECTS) {
  const foreign = dialect !== anthropic;
  const promise = (words, run) => test(`${words} (${dialect.title} backend)`, LIMIT, run);
  const clientAt = async (t, script, options) => {
    const backend = await startBackend(t, dialect, script);
    return clientOf(await startGateway(t, { backend }), options);
  };

  promise('tokens are counted, or estimated and marked as that', async (t) => {
    const wire = new Wire();
    const sdk = await clientAt(t, (answer) => answer.whole({ input_tokens: 42 }), { fetch: wire.fetch });
    const asked = { model: MODEL, messages: MESSAGES, system: 'Be a quill.' };
    const { input_tokens } = await sdk.messages.countTokens(asked);
    if (foreign) assert.ok(input_tokens > 5 && input_tokens < 50, `an estimate: ${input_tokens}`);
    else assert.equal(input_tokens, 42);
    assert.equal(wire.headers.has('x-estimated'), foreign);
  });

  promise('the beta client is served as the other is', async (t) => {
    const counts = (answer) => answer.path.includes('count_tokens');
    const sdk = await clientAt(t, (answer) => (counts(answer) ? answer.whole({ input_tokens: 42 }) : think(answer)));
    const asked = { ...ASKED, betas: ['interleaved-thinking-2025-05-14'] };
    const answer = await sdk.beta.messages.stream(asked).finalMessage();
    assert.equal(answer.content.find((block) => block.type === 'text').text, 'Yes.');
    const { input_tokens } = await sdk.beta.messages.countTokens({ model: MODEL, messages: MESSAGES });
    assert.ok(input_tokens > 0);
  });

  promise('events come in the order that the API promises', async (t) => {
    const wire = new Wire();
    const sdk = await clientAt(t, think, { fetch: wire.fetch });
    await sdk.messages.stream(ASKED).finalMessage();
    const events = eventsIn(wire.sent).filter(({ type }) => type !== 'ping');
    const kinds = events.filter(({ type }) => type !== 'content_block_delta').map(({ type }) => type);
    const block = ['content_block_start', 'content_block_stop'];
    const blocks = Array.from({ length: 4 }, () => block).flat();
    assert.deepEqual(kinds, ['message_start', ...blocks, 'message_delta', 'message_stop']);
    let open = -1;
    for (const { type, index } of events) {
      if (type === 'content_block_start') open += 1;
      if (index !== undefined) assert.equal(index, open);
    }
    const { message } = events[0];
    assert.deepEqual([message.role, message.content, message.stop_reason], ['assistant', [], null]);
    assert.equal(message.model, MODEL);
    assert.equal(events.at(-2).delta.stop_reason, 'tool_use');
  });

  promise('thinking that nobody signed has an empty signature', async (t) => {
    const wire = new Wire();
    const sdk = await clientAt(t, think, { fetch: wire.fetch });
    for (const answer of [await sdk.messages.stream(ASKED).finalMessage(), await sdk.messages.create(ASKED)]) {
      const [thought] = answer.content;
      assert.deepEqual(thought, { type: 'thinking', thinking: 'Hm.', signature: '' });
    }
    assert.doesNotMatch(wire.sent, /signature_delta/);
  });

  promise('an error has the id of its request in the body and in the header', async (t) => {
    const sdk = await clientAt(t, (answer) => answer.refuse(400, 'the inkwell is dry'));
    const error = await sdk.messages.create(ASKED).catch((error) => error);
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.equal(error.error.type, 'error');
    assert.ok(error.requestID, 'the header `request-id`');
    assert.equal(error.error.request_id, error.requestID);
  });

  promise('a tool that failed and one that answered with a picture are told as that', async (t) => {
    let asked;
    const sdk = await clientAt(t, (answer) => {
      asked = answer.asked;
      think(answer);
    });
    const [pen, ink] = CALLS.map(({ id, name, arguments: input }) => ({ type: 'tool_use', id, name, input }));
    const source = { type: 'base64', media_type: 'image/png', data: PIXEL };
    const results = [
      { type: 'tool_result', tool_use_id: pen.id, content: 'no such drawer', is_error: true },
      {
        type: 'tool_result',
        tool_use_id: ink.id,
        content: [
          { type: 'text', text: 'mixed' },
          { type: 'image', source },
        ],
      },
    ];
    const turns = [{ role: 'assistant', content: [pen, ink] }, { role: 'user', content: results }];
    await sdk.messages.create({ ...ASKED, messages: [...MESSAGES, ...turns] });
    const text = JSON.stringify(asked);
    assert.match(text, foreign ? /Error: no such drawer/ : /"is_error":true/);
    assert.match(text, /mixed/);
    assert.ok(text.includes(PIXEL), 'the picture');
  });

  promise('one tool at a time is asked for, or named as dropped', async (t) => {
    const wire = new Wire();
    let asked;
    const sdk = await clientAt(
      t,
      (answer) => {
        asked = answer.asked;
        think(answer);
      },
      { fetch: wire.fetch },
    );
    const tools = TOOLS.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters }));
    await sdk.messages.create({ ...ASKED, tools, tool_choice: { type: 'auto', disable_parallel_tool_use: true } });
    const kept = asked.parallel_tool_calls === false || asked.tool_choice?.disable_parallel_tool_use === true;
    const named = /disable_parallel_tool_use|tool_choice|parallel/.test(wire.headers.get('x-dropped-fields') ?? '');
    assert.equal(kept, dialect !== ollama);
    assert.equal(named, dialect === ollama);
  });

  if (!foreign) continue;

  promise('what has no meaning to the backend is named', async (t) => {
    const wire = new Wire();
    let asked;
    const sdk = await clientAt(
      t,
      (answer) => {
        asked = read(dialect, answer.asked);
        think(answer);
      },
      { fetch: wire.fetch },
    );
    const system = [{ type: 'text', text: 'Be a quill.', cache_control: { type: 'ephemeral' } }];
    await sdk.messages.create({ ...ASKED, system, service_tier: 'auto' });
    assert.equal(asked.system, 'Be a quill.');
    const named = wire.headers.get('x-dropped-fields') ?? '';
    for (const field of ['cache_control', 'service_tier']) assert.ok(named.includes(field), `${field} in ${named}`);
  });

  promise('a thread that only the vendor could keep is refused in words that its SDK understands', async (t) => {
    const sdk = await clientAt(t, think);
    const asked = { ...ASKED, thread: { type: 'create' }, betas: ['message-threads-2026-08-12'] };
    const error = await sdk.beta.messages.create(asked).catch((error) => error);
    assert.ok(error instanceof Anthropic.BadRequestError, `${error.constructor.name}: ${JSON.stringify(error)}`);
    assert.match(error.message, /thread/);
    assert.equal(error.errorCode, 'thread_unsupported_request');
  });
}

test('the models are listed as Anthropic’s clients expect them', LIMIT, async (t) => {
  const sdk = clientOf(await startGateway(t));
  const models = [];
  for await (const model of sdk.models.list()) models.push(model);
  assert.deepEqual(models.map(({ id, type }) => [id, type]), [['demo', 'model']]);
  const { display_name, created_at } = await sdk.models.retrieve('demo');
  assert.ok(display_name && !Number.isNaN(Date.parse(created_at)));
});

function think(answer) {
  answer.open();
  answer.think('Hm.');
  answer.say('Yes.');
  answer.call(...CALLS);
  answer.finish();
}

function eventsIn(sent) {
  const lines = sent.split('\n').filter((line) => line.startsWith('data: '));
  return lines.map((line) => JSON.parse(line.slice('data: '.length)));
}
