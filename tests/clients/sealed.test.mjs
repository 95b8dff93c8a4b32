// What a vendor sealed of its reasoning comes back to it with the next turn, bare, through the dialect of another.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepCountIs, streamText } from 'ai';

import { AI_CLIENTS, settings } from './ai_client.mjs';
import { anthropic } from './anthropic_client.mjs';
import { startBackend } from './backend.mjs';
import { openai } from './chat_client.mjs';
import { anthropic as messages, chat, ollama, responses } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { CALLS, EMPTY_CALL, MODEL, QUESTION, TOOLS } from './questions.mjs';

const TEXT = QUESTION.turns[0].text;
const SIGNATURE = 'U2lnbmVkIQ==/+';
const CLOSED = 'UmVkYWN0ZWQ=';
const CALL = CALLS[0];

/** Each asks, answers the call with all that it was told, and returns the seals that it was shown. */
const CLIENTS = [
  {
    title: 'anthropic-node stream()',
    dialect: messages,
    talk: (url) => talkInMessages(url, (sdk, asked) => sdk.stream(asked).finalMessage()),
  },
  {
    title: 'anthropic-node, whole',
    dialect: messages,
    talk: (url) => talkInMessages(url, (sdk, asked) => sdk.create(asked)),
  },
  {
    title: 'openai-node responses.stream()',
    dialect: responses,
    talk: (url) => talkInResponses(url, (sdk, asked) => sdk.stream(asked).finalResponse()),
  },
  {
    title: 'openai-node responses, whole',
    dialect: responses,
    talk: (url) => talkInResponses(url, (sdk, asked) => sdk.create(asked)),
  },
  ...AI_CLIENTS.filter(({ dialect, streams }) => streams && [messages, responses].includes(dialect)).map((client) => ({
    title: client.title,
    dialect: client.dialect,
    talk: (url) => talkWithTheAiSdk(client, url),
  })),
];

/** How each vendor's seals look to the clients of the other. */
const MARKS = new Map([
  [messages, { thought: 'sg1:signature:', redacted: 'sg1:redacted:' }],
  [responses, { thought: 'sg1:openai:', redacted: 'sg1:openai:' }],
]);

for (const { title, dialect: spoken, talk } of CLIENTS) {
  for (const dialect of [messages, responses]) {
    const marks = spoken === dialect ? { thought: '', redacted: '' } : MARKS.get(dialect);

    test(`a seal comes back to its vendor (${title}, ${dialect.title} backend)`, LIMIT, async (t) => {
      const { asked, shown } = await talkTo(t, dialect, talk, (answer) => answer.think('Which drawer?', SIGNATURE));
      assert.deepEqual(shown, [`${marks.thought}${SIGNATURE}`]);
      assert.deepEqual(sealedIn(dialect, asked), [{ text: 'Which drawer?', seal: SIGNATURE }]);
    });

    test(`closed reasoning comes back to its vendor (${title}, ${dialect.title} backend)`, LIMIT, async (t) => {
      const { asked, shown } = await talkTo(t, dialect, talk, (answer) => answer.redact(CLOSED));
      assert.deepEqual(shown, [`${marks.redacted}${CLOSED}`]);
      assert.deepEqual(sealedIn(dialect, asked), [{ text: '', seal: CLOSED }]);
    });
  }

  for (const dialect of [chat, ollama]) {
    test(`reasoning without a seal is not given one (${title}, ${dialect.title} backend)`, LIMIT, async (t) => {
      const { shown } = await talkTo(t, dialect, talk, (answer) => answer.think('Which drawer?'));
      assert.deepEqual(shown.filter(Boolean), []);
    });
  }
}

async function talkTo(t, dialect, talk, think) {
  let asked;
  const script = (answer) => {
    answer.open();
    if (asked === undefined) {
      think(answer);
      answer.call(CALL, EMPTY_CALL);
    } else {
      answer.say('Drawer 3.');
    }
    asked = answer.asked;
    answer.finish();
  };
  const backend = await startBackend(t, dialect, script);
  const shown = await talk(await startGateway(t, { backend }));
  return { asked, shown };
}

/** The sealed reasoning in a request, with the text it stands beside. */
function sealedIn(dialect, { messages: turns, input }) {
  if (dialect === responses) {
    const items = input.filter((item) => item.type === 'reasoning');
    const textOf = (item) => item.summary.map((part) => part.text).join('');
    return items.map((item) => ({ text: textOf(item), seal: item.encrypted_content }));
  }
  const blocks = turns.flatMap((turn) => (Array.isArray(turn.content) ? turn.content : []));
  const seals = { thinking: 'signature', redacted_thinking: 'data' };
  const sealed = blocks.filter((block) => block.type in seals);
  return sealed.map((block) => ({ text: block.thinking ?? '', seal: block[seals[block.type]] }));
}

async function talkInMessages(url, ask) {
  const sdk = anthropic(url).messages;
  const tools = TOOLS.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters }));
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const asked = { model: MODEL, max_tokens: 4096, tools, thinking, messages: [{ role: 'user', content: TEXT }] };
  const { content } = await ask(sdk, asked);
  const calls = content.filter((block) => block.type === 'tool_use');
  const results = calls.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'drawer 3' }));
  const turns = [...asked.messages, { role: 'assistant', content }, { role: 'user', content: results }];
  await ask(sdk, { ...asked, messages: turns });
  return content.map((block) => block.signature ?? block.data).filter((seal) => seal !== undefined);
}

async function talkInResponses(url, ask) {
  const sdk = openai(url).responses;
  const tools = TOOLS.map((tool) => ({ type: 'function', strict: false, ...tool }));
  const include = ['reasoning.encrypted_content'];
  const asked = { model: MODEL, store: false, tools, include, input: [{ role: 'user', content: TEXT }] };
  const { output } = await ask(sdk, asked);
  const calls = output.filter((item) => item.type === 'function_call');
  const results = calls.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: 'drawer 3' }));
  await ask(sdk, { ...asked, input: [...asked.input, ...output, ...results] });
  return output.filter((item) => item.type === 'reasoning').map((item) => item.encrypted_content);
}

async function talkWithTheAiSdk({ provider }, url) {
  const asked = settings(provider, url, { ...QUESTION, tools: TOOLS, thinks: true }, {});
  for (const tool of Object.values(asked.tools)) tool.execute = () => 'drawer 3';
  const answer = streamText({ ...asked, stopWhen: stepCountIs(2) });
  const [first] = await answer.steps;
  return first.reasoning.map(({ providerMetadata = {} }) => {
    const { anthropic: theirs, openai: others } = providerMetadata;
    return theirs?.signature ?? theirs?.redactedData ?? others?.reasoningEncryptedContent;
  });
}
