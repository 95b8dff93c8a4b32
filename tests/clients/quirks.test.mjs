// The habits of real servers, read through the dialects of others: what a server says oddly, an SDK is told plainly.
import assert from 'node:assert/strict';

import { anthropic, chat, ollama, responses } from './dialects.mjs';
import { listen } from './heard.mjs';
import { everyPair } from './pairs.mjs';
import { CALLS, QUESTION, TOOLS } from './questions.mjs';

const [PEN, INK] = CALLS;
const DONE = 'data: [DONE]\n\n';
const MESSAGE_START = named('message_start', {
  message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], model: 'm', usage: { input_tokens: 2 } },
});
const RESPONSE_CREATED = named('response.created', { response: { id: 'resp_1', status: 'in_progress', output: [] } });

const QUIRKS = [
  {
    of: chat,
    habit: 'a whole answer in one chunk, without a role, and no [DONE]',
    frames: [chunk({ reasoning_content: 'Hm.', content: 'Yes.' }, 'stop')],
    heard: { thought: 'Hm.', text: 'Yes.', ended: 'end' },
  },
  {
    of: chat,
    habit: 'a first chunk without choices, comments, CRLF, and no space behind `data:`',
    frames: [
      sse({ id: '', model: '', choices: [], prompt_filter_results: [] }),
      ': PROCESSING\n\n',
      chunk({ role: 'assistant', content: 'Yes.' }),
      chunk({}, 'stop'),
      DONE,
    ].map((frame) => frame.replaceAll('\n', '\r\n').replace('data: {', 'data:{')),
    heard: { text: 'Yes.', ended: 'end' },
  },
  {
    of: chat,
    habit: 'reasoning by its other name, and usage with every chunk',
    frames: [
      chunk({ role: 'assistant', reasoning: 'Hm.' }, null, usage(1)),
      chunk({ content: 'Yes.' }, null, usage(2)),
      chunk({}, 'stop', usage(3)),
      DONE,
    ],
    heard: { thought: 'Hm.', text: 'Yes.', ended: 'end', output: 3 },
  },
  {
    of: chat,
    habit: 'tool calls without an index, each whole, and `stop` at the end',
    frames: [chunk({ tool_calls: [called(PEN)] }), chunk({ tool_calls: [called(INK)] }), chunk({}, 'stop'), DONE],
    heard: { calls: CALLS, ended: 'tools' },
  },
  {
    of: chat,
    habit: 'a second call at the index of the first, known by its id',
    frames: [
      chunk({ tool_calls: [{ index: 0, ...called(PEN) }] }),
      chunk({ tool_calls: [{ index: 0, ...called(INK) }] }),
      chunk({}, 'tool_calls'),
      DONE,
    ],
    heard: { calls: CALLS, ended: 'tools' },
  },
  {
    of: chat,
    habit: 'the name of a tool repeated or empty in later fragments, and two ends',
    frames: [
      fragment(PEN.id, PEN.name, ''),
      fragment('', '', given(PEN).slice(0, 7)),
      fragment(PEN.id, PEN.name, given(PEN).slice(7)),
      chunk({}, 'tool_calls'),
      chunk({ content: '' }, 'tool_calls'),
      DONE,
    ],
    heard: { calls: [PEN], ended: 'tools' },
  },
  {
    of: anthropic,
    habit: 'the whole input at the start of a block, and no `message_stop`',
    frames: [
      MESSAGE_START,
      named('content_block_start', { index: 0, content_block: { type: 'text', text: 'Yes.' } }),
      named('ping', {}),
      named('content_block_stop', { index: 0 }),
      named('content_block_start', {
        index: 1,
        content_block: { type: 'tool_use', id: PEN.id, name: PEN.name, input: PEN.arguments },
      }),
      named('content_block_stop', { index: 1 }),
      named('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 3 } }),
    ],
    heard: { text: 'Yes.', calls: [PEN], ended: 'tools', output: 3 },
  },
  {
    of: anthropic,
    habit: 'events and blocks that nobody knows yet',
    frames: [
      MESSAGE_START,
      named('weather', { sky: 'blue' }),
      named('content_block_start', { index: 0, content_block: { type: 'doodle', ink: 1 } }),
      named('content_block_delta', { index: 0, delta: { type: 'doodle_delta', ink: 2 } }),
      named('content_block_stop', { index: 0 }),
      named('content_block_start', { index: 1, content_block: { type: 'text', text: '' } }),
      named('content_block_delta', { index: 1, delta: { type: 'text_delta', text: 'Yes.' } }),
      named('content_block_stop', { index: 1 }),
      named('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } }),
      named('message_stop', {}),
    ],
    heard: { text: 'Yes.', ended: 'end', output: 3 },
  },
  {
    of: responses,
    habit: 'text and arguments only where their items are done',
    frames: [
      RESPONSE_CREATED,
      item('added', 0, message('a')),
      item('done', 0, message('b', 'Yes.')),
      item('added', 1, functionCall('c', '')),
      named('response.function_call_arguments.done', { output_index: 1, item_id: 'd', arguments: given(PEN) }),
      item('done', 1, functionCall('e', given(PEN))),
      completed({ input_tokens: 2, output_tokens: 3, total_tokens: 5 }),
    ],
    heard: { text: 'Yes.', calls: [PEN], ended: 'tools', output: 3 },
  },
  {
    of: responses,
    habit: 'ids of items that change with every event',
    frames: [
      RESPONSE_CREATED,
      item('added', 0, message('a')),
      text('content_part.added', 'b', { part: { type: 'output_text', text: '' } }),
      ...['Y', 'es', '.'].map((delta) => text('output_text.delta', `delta ${delta}`, { delta })),
      text('output_text.done', 'c', { text: 'Yes.' }),
      item('done', 0, message('d', 'Yes.')),
      completed(null),
    ],
    heard: { text: 'Yes.', ended: 'end' },
  },
  {
    of: ollama,
    habit: 'thought, text and a call in one line, and words in the last',
    frames: [
      line({
        thinking: 'Hm.',
        content: 'Ye',
        tool_calls: [{ function: { name: PEN.name, arguments: PEN.arguments } }],
      }),
      line({ content: 's.' }, { done: true, done_reason: 'stop', eval_count: 3 }),
    ],
    heard: { thought: 'Hm.', text: 'Yes.', calls: [PEN], ended: 'tools', output: 3 },
  },
  {
    of: ollama,
    habit: 'an end without a reason and without counts',
    frames: [line({ content: 'Yes.' }), line({ content: '' }, { done: true })],
    heard: { text: 'Yes.', ended: 'end' },
  },
];

for (const { of, habit, frames, heard: expected } of QUIRKS) {
  everyPair(
    `plainly told: ${habit}`,
    async ({ client, ask }) => {
      const script = (answer) => {
        answer.response.writeHead(200, { 'Content-Type': of.type });
        for (const frame of frames) answer.write(frame);
        answer.end();
      };
      const heard = await listen(ask(script, { ...QUESTION, tools: TOOLS }));
      const { thought = '', text = '', calls = [], ended, output } = expected;
      assert.deepEqual([heard.thought, heard.text], [client.reasons ? thought : '', text]);
      const told = ({ id, ...call }) => call;
      assert.deepEqual(heard.calls.map(told), calls.map(told));
      assert.equal(heard.ended, client.dialect === ollama ? 'end' : ended);
      if (output) assert.equal(heard.spent.output, output);
    },
    { when: ({ client, dialect }) => dialect === of && client.dialect !== of },
  );
}

function sse(rest) {
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'm' };
  return `data: ${JSON.stringify({ ...head, ...rest })}\n\n`;
}

function chunk(delta, finish_reason = null, rest = {}) {
  return sse({ choices: [{ index: 0, delta, finish_reason }], ...rest });
}

function fragment(id, name, given) {
  return chunk({ tool_calls: [{ index: 0, id, function: { name, arguments: given } }] });
}

function called(call) {
  return { id: call.id, type: 'function', function: { name: call.name, arguments: given(call) } };
}

function given(call) {
  return JSON.stringify(call.arguments);
}

function usage(completion_tokens) {
  return { usage: { prompt_tokens: 2, completion_tokens, total_tokens: 2 + completion_tokens } };
}

function named(type, rest) {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
}

function item(state, output_index, item) {
  return named(`response.output_item.${state}`, { output_index, item });
}

function text(type, item_id, rest) {
  return named(`response.${type}`, { output_index: 0, item_id, content_index: 0, ...rest });
}

function message(id, text) {
  const content = text ? [{ type: 'output_text', text, annotations: [] }] : [];
  return { id, type: 'message', role: 'assistant', content };
}

function functionCall(id, given) {
  return { id, type: 'function_call', call_id: PEN.id, name: PEN.name, arguments: given };
}

function completed(usage) {
  return named('response.completed', { response: { id: 'resp_1', status: 'completed', output: [], usage } });
}

function line(message, rest = { done: false }) {
  const head = { model: 'm', created_at: '2026-03-01T12:00:00Z' };
  return `${JSON.stringify({ ...head, message: { role: 'assistant', ...message }, ...rest })}\n`;
}
