// Agents: the SDKs' own loops call tools, hand back what they gave, and come to an answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { generateText, stepCountIs, streamText } from 'ai';

import { AI_CLIENTS, settings } from './ai_client.mjs';
import { anthropic } from './anthropic_client.mjs';
import { startBackend } from './backend.mjs';
import { openai } from './chat_client.mjs';
import { anthropic as vendor, DIALECTS } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { CALLS, MODEL, QUESTION, TOOLS } from './questions.mjs';
import { read } from './requests.mjs';

const QUESTION_TEXT = QUESTION.turns[0].text;

const LOOPS = [
  ...AI_CLIENTS.map((client) => ({
    title: client.title,
    run: async (url, execute) => {
      const asked = settings(client.provider, url, { ...QUESTION, tools: TOOLS }, {});
      for (const [name, tool] of Object.entries(asked.tools)) tool.execute = (given) => execute(name, given);
      const answer = (client.streams ? streamText : generateText)({ ...asked, stopWhen: stepCountIs(3) });
      return (await answer).text;
    },
  })),
  {
    title: 'anthropic-node toolRunner',
    // It asks the vendor to keep the history, and sends all of it again only where it is told that this cannot be done.
    dialects: DIALECTS.filter((dialect) => dialect !== vendor),
    run: async (url, execute) => {
      const tools = TOOLS.map(({ name, description, parameters }) =>
        betaTool({ name, description, inputSchema: parameters, run: (given) => execute(name, given) }),
      );
      const messages = [{ role: 'user', content: QUESTION_TEXT }];
      const asked = { model: MODEL, max_tokens: 1024, stream: true, messages, tools };
      const answer = await anthropic(url).beta.messages.toolRunner(asked).runUntilDone();
      return answer.content.map((block) => block.text ?? '').join('');
    },
  },
  {
    title: 'openai-node runTools',
    run: async (url, execute) => {
      const tools = TOOLS.map((tool) => ({
        type: 'function',
        function: { ...tool, parse: JSON.parse, function: (given) => execute(tool.name, given) },
      }));
      const messages = [{ role: 'user', content: QUESTION_TEXT }];
      return openai(url).chat.completions.runTools({ model: MODEL, stream: true, messages, tools }).finalContent();
    },
  },
];

for (const { title, run, dialects = DIALECTS } of LOOPS) {
  for (const dialect of dialects) {
    test(`the loop of an agent comes to its answer (${title}, ${dialect.title} backend)`, LIMIT, async (t) => {
      const asked = [];
      const script = (answer) => {
        asked.push(read(dialect, answer.asked));
        answer.open();
        if (asked.length === 1) {
          answer.think('Which drawer?', 'U0VBTA==');
          answer.say('Let me look.');
          answer.call(...CALLS);
        } else {
          answer.say('Drawer 3.');
        }
        answer.finish();
      };
      const given = [];
      const execute = (name, input) => {
        given.push({ name, arguments: input });
        return `${name}: drawer 3`;
      };
      const backend = await startBackend(t, dialect, script);
      const text = await run(await startGateway(t, { backend }), execute);

      const calls = CALLS.map(({ name, arguments: given }) => ({ name, arguments: given }));
      assert.equal(text, 'Drawer 3.');
      assert.deepEqual(given, calls);
      assert.equal(asked.length, 2);
      assert.deepEqual(asked[1].turns, [
        QUESTION.turns[0],
        { role: 'assistant', text: 'Let me look.', calls },
        { role: 'tool', results: calls.map(({ name }) => ({ name, value: `${name}: drawer 3` })) },
      ]);
    });
  }
}
