// What is Responses' own: the life of an answer and of its items, and what only a server with a memory can do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

import { startBackend } from './backend.mjs';
import { openai } from './chat_client.mjs';
import { DIALECTS, responses } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { CALLS, MODEL, TOOLS, WORDS } from './questions.mjs';
import { read } from './requests.mjs';
import { Wire } from './wire.mjs';

/** What asks for something that was kept, or is to be. */
const REMEMBERED = {
  background: { background: true },
  previous_response_id: { previous_response_id: 'resp_before' },
  conversation: { conversation: 'conv_before' },
  item_reference: { input: [{ type: 'item_reference', id: 'msg_before' }] },
};
const ASKED = { model: MODEL, input: 'How does ink reach the nib?', store: false };

for (const dialect of DIALECTS) {
  const promise = (words, run) => test(`${words} (${dialect.title} backend)`, LIMIT, run);
  const clientOf = async (t, script, options) => {
    const backend = await startBackend(t, dialect, script);
    return openai(await startGateway(t, { backend }), options);
  };

  promise('a bare text is a question', async (t) => {
    let asked;
    const sdk = await clientOf(t, (answer) => {
      asked = read(dialect, answer.asked);
      speak(answer);
    });
    const answer = await sdk.responses.create(ASKED);
    assert.equal(answer.output_text, WORDS.join(''));
    assert.deepEqual(asked.turns, [{ role: 'user', text: ASKED.input }]);
  });

  promise('an answer lives from its creation to its completion', async (t) => {
    const sdk = await clientOf(t, speakAndCall);
    const events = await eventsOf(sdk);
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, at) => at));
    const types = events.map((event) => event.type);
    assert.deepEqual(types.slice(0, 2), ['response.created', 'response.in_progress']);
    assert.equal(types.filter((type) => type === 'response.completed').length, 1);
    assert.equal(types.at(-1), 'response.completed');
    const lives = events.filter((event) => event.response).map((event) => event.response);
    assert.equal(new Set(lives.map((response) => response.id)).size, 1);
    assert.deepEqual(lives.map((response) => response.status), ['in_progress', 'in_progress', 'completed']);
    assert.equal(lives[2].model, MODEL);
  });

  promise('every item is added, filled and done, one after the other', async (t) => {
    const sdk = await clientOf(t, speakAndCall);
    const events = await eventsOf(sdk);
    const of = (type) => events.filter((event) => event.type === type);
    const [added, done] = [of('response.output_item.added'), of('response.output_item.done')];
    const { output } = events.at(-1).response;
    assert.deepEqual(added.map((event) => event.output_index), added.map((_, at) => at));
    assert.deepEqual(done.map((event) => event.output_index), added.map((_, at) => at));
    assert.deepEqual(done.map((event) => event.item), output);
    assert.deepEqual(added.map((event) => event.item.id), output.map((item) => item.id));
    assert.equal(new Set(output.map((item) => item.id)).size, output.length);
    assert.deepEqual(output.map((item) => item.type), ['reasoning', 'message', 'function_call', 'function_call']);
    for (const event of events) if (event.item_id) assert.equal(event.item_id, output[event.output_index].id);
    const deltas = of('response.function_call_arguments.delta').filter((event) => event.output_index === 3);
    assert.deepEqual(JSON.parse(deltas.map((event) => event.delta).join('')), CALLS[1].arguments);
  });

  promise('a failure is told as an error and as a failed answer, and the body breaks off', async (t) => {
    const wire = new Wire();
    const script = (answer) => {
      answer.open();
      answer.say('Dip');
      answer.fail('the nib is bent');
    };
    const sdk = await clientOf(t, script, { fetch: wire.fetch });
    await assert.rejects(eventsOf(sdk), OpenAI.APIError);
    await wire.until('response.failed');
    const names = [...wire.sent.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    assert.deepEqual(names.slice(-2), ['error', 'response.failed']);
    assert.ok(!names.includes('response.completed'));
    const [error, failed] = wire.sent.split('\n').filter((line) => line.startsWith('data: ')).slice(-2);
    const { message, error: nested } = JSON.parse(error.slice('data: '.length));
    assert.match(message, /the nib is bent/);
    assert.equal(nested.message, message);
    const { response } = JSON.parse(failed.slice('data: '.length));
    assert.deepEqual([response.status, response.error.message], ['failed', message]);
  });

  for (const [name, beyond] of Object.entries(REMEMBERED)) {
    // A backend with a memory may serve what it is asked; work in the background without a store is of no use anywhere.
    if (dialect === responses && name !== 'background') continue;
    for (const stream of [true, false]) {
      promise(`${name} is refused in words that name it (${stream ? 'streamed' : 'whole'})`, async (t) => {
        const sdk = await clientOf(t, speak);
        const error = await sdk.responses.create({ ...ASKED, ...beyond, stream }).catch((error) => error);
        assert.ok(error instanceof OpenAI.BadRequestError, `${error.constructor.name}`);
        assert.ok(error.message.includes(name), error.message);
      });
    }
  }

  if (dialect === responses) continue;

  promise('the answer says with what settings it was made', async (t) => {
    const sdk = await clientOf(t, speak);
    const metadata = { drawer: '3' };
    const settings = { instructions: 'Be a quill.', max_output_tokens: 64, temperature: 0.5, metadata };
    const tools = TOOLS.map((tool) => ({ type: 'function', strict: false, ...tool }));
    const answer = await sdk.responses.create({ ...ASKED, ...settings, tools });
    for (const [name, value] of Object.entries(settings)) assert.deepEqual(answer[name], value, name);
    assert.deepEqual(answer.tools.map((tool) => tool.name), TOOLS.map((tool) => tool.name));
    assert.deepEqual([answer.object, answer.status, answer.error], ['response', 'completed', null]);
  });
}

async function eventsOf(sdk) {
  const events = [];
  const tools = TOOLS.map((tool) => ({ type: 'function', strict: false, ...tool }));
  for await (const event of await sdk.responses.create({ ...ASKED, tools, stream: true })) events.push(event);
  return events;
}

function speak(answer) {
  answer.open();
  for (const word of WORDS) answer.say(word);
  answer.finish();
}

function speakAndCall(answer) {
  answer.open();
  answer.think('Hm.');
  answer.say('Let me ');
  answer.say('look.');
  answer.call(...CALLS);
  answer.finish();
}
