// Histories as the SDKs of each vendor may write them, and as every backend must be told them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { anthropic as messagesClient } from './anthropic_client.mjs';
import { startBackend } from './backend.mjs';
import { openai } from './chat_client.mjs';
import { anthropic, chat, DIALECTS, ollama, responses } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { CALLS, MODEL } from './questions.mjs';
import { read } from './requests.mjs';

const [PEN] = CALLS;
const GIVEN = JSON.stringify(PEN.arguments);
const CALLED = { role: 'assistant', text: '', calls: [{ name: PEN.name, arguments: PEN.arguments }] };
const GAVE = { role: 'tool', results: [{ name: PEN.name, value: 'drawer 3' }] };
const user = (text) => ({ role: 'user', text });
const assistant = (text) => ({ role: 'assistant', text });

const inChat = (messages) => (url) => openai(url).chat.completions.create({ model: MODEL, messages });
const inResponses = (input, rest) => (url) =>
  openai(url).responses.create({ model: MODEL, store: false, input, ...rest });
const inMessages = (messages, rest) => (url) =>
  messagesClient(url).messages.create({ model: MODEL, max_tokens: 64, messages, ...rest });

const HISTORIES = [
  {
    habit: 'instructions in several messages',
    from: chat,
    ask: inChat([
      { role: 'system', content: 'Be a quill.' },
      { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] },
      { role: 'user', content: 'Hi.' },
    ]),
    system: ['Be a quill.', 'Be brief.'],
    turns: [user('Hi.')],
  },
  {
    habit: 'a call beside no content, and a result in parts',
    from: chat,
    ask: inChat([
      { role: 'user', content: [{ type: 'text', text: 'Which ' }, { type: 'text', text: 'pen?' }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: PEN.id, type: 'function', function: { name: PEN.name, arguments: GIVEN } }],
      },
      { role: 'tool', tool_call_id: PEN.id, content: [{ type: 'text', text: 'drawer ' }, { type: 'text', text: '3' }] },
    ]),
    turns: [user('Which pen?'), CALLED, GAVE],
  },
  {
    habit: 'arguments that are an empty string',
    from: chat,
    ask: inChat([
      { role: 'user', content: 'Which pen?' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: PEN.id, type: 'function', function: { name: PEN.name, arguments: '' } }],
      },
      { role: 'tool', tool_call_id: PEN.id, content: 'drawer 3' },
    ]),
    turns: [user('Which pen?'), { ...CALLED, calls: [{ name: PEN.name, arguments: {} }] }, GAVE],
  },
  {
    habit: 'instructions beside a message of the developer',
    from: responses,
    ask: inResponses(
      [
        { role: 'developer', content: 'Be brief.' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi.' }] },
      ],
      { instructions: 'Be a quill.' },
    ),
    system: ['Be a quill.', 'Be brief.'],
    turns: [user('Hi.')],
  },
  {
    habit: 'items as an answer gave them, and a result in parts',
    from: responses,
    ask: inResponses([
      { role: 'user', content: 'Which pen?' },
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }] },
      {
        type: 'message',
        id: 'msg_1',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'Let me look.', annotations: [] }],
      },
      { type: 'function_call', id: 'fc_1', status: 'completed', call_id: PEN.id, name: PEN.name, arguments: GIVEN },
      { type: 'function_call_output', call_id: PEN.id, output: [{ type: 'input_text', text: 'drawer 3' }] },
    ]),
    turns: [user('Which pen?'), { ...CALLED, text: 'Let me look.' }, GAVE],
  },
  {
    habit: 'two messages of the user in a row',
    from: anthropic,
    ask: inMessages([
      { role: 'user', content: 'Which' },
      { role: 'user', content: [{ type: 'text', text: 'pen?' }] },
      { role: 'assistant', content: 'Mine.' },
      { role: 'user', content: 'Where?' },
    ]),
    turns: [user('Which pen?'), assistant('Mine.'), user('Where?')],
  },
  {
    habit: 'an answer that is begun and to be gone on with',
    from: anthropic,
    ask: inMessages([
      { role: 'user', content: 'Which pen?' },
      { role: 'assistant', content: 'It is the' },
    ]),
    turns: [user('Which pen?'), assistant('It is the')],
  },
  {
    habit: 'an unsigned thought, and a result without content',
    from: anthropic,
    ask: inMessages([
      { role: 'user', content: 'Which pen?' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.', signature: '' },
          { type: 'tool_use', id: PEN.id, name: PEN.name, input: PEN.arguments },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: PEN.id }] },
    ]),
    turns: [user('Which pen?'), CALLED, { ...GAVE, results: [{ name: PEN.name, value: '' }] }],
  },
];

for (const { habit, from, ask, system = [], turns } of HISTORIES) {
  for (const dialect of DIALECTS.filter((dialect) => dialect !== from)) {
    test(`a history with ${habit} is told (${from.title} client, ${dialect.title} backend)`, LIMIT, async (t) => {
      let asked;
      const script = (answer) => {
        asked = answer.asked;
        answer.open();
        answer.say('Yes.');
        answer.finish();
      };
      const backend = await startBackend(t, dialect, script);
      await ask(await startGateway(t, { backend }));
      const told = read(dialect, asked);
      assert.deepEqual(spoken(told.turns), spoken(turns));
      const order = system.map((text) => (told.system ?? '').indexOf(text));
      assert.ok(order.every((at, nth) => at >= 0 && at >= (order[nth - 1] ?? 0)), `system: ${told.system}`);
      if (dialect === anthropic) assertTakesTurns(asked.messages);
      if (dialect === ollama) for (const { content } of asked.messages) assert.equal(typeof content, 'string');
    });
  }
}

/** The turns with neighbours of one role made one, and without a difference in white space. */
function spoken(turns) {
  const wordsOf = (text) => text.split(/\s+/).filter(Boolean);
  const told = [];
  for (const { text = '', results, ...turn } of turns) {
    const words = wordsOf(text);
    const given = results?.map(({ name, value }) => ({ name, words: wordsOf(value) }));
    const last = told.at(-1);
    if (last?.role === turn.role && turn.role === 'user') last.words.push(...words);
    else told.push({ ...turn, words, given });
  }
  return told;
}

/** What the vendor insists on: a user first, turns that alternate, and no text without words. */
function assertTakesTurns(messages) {
  assert.equal(messages[0].role, 'user');
  for (const [at, { role, content }] of messages.entries()) {
    assert.notEqual(role, messages[at - 1]?.role);
    for (const block of typeof content === 'string' ? [{ type: 'text', text: content }] : content) {
      if (block.type === 'text') assert.match(block.text, /\S/);
    }
  }
}
