// What is the AI SDK's own: its ways to ask for a structure where it does not know the model, and its warnings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateText, Output, streamText } from 'ai';

import { AI_CLIENTS, settings } from './ai_client.mjs';
import { startBackend } from './backend.mjs';
import { anthropic, DIALECTS } from './dialects.mjs';
import { startGateway } from './gateway.mjs';
import { LIMIT } from './pairs.mjs';
import { QUESTION, RECIPE } from './questions.mjs';

const ANSWER = { shade: 'Payne’s grey', parts: 2.5 };

for (const client of AI_CLIENTS) {
  for (const dialect of DIALECTS) {
    const promise = (words, run) => test(`${words} (${client.title}, ${dialect.title} backend)`, LIMIT, run);
    const askedOf = async (t, script, rest) => {
      const backend = await startBackend(t, dialect, script);
      const asked = settings(client.provider, await startGateway(t, { backend }), QUESTION, {});
      return (client.streams ? streamText : generateText)({ ...asked, ...rest });
    };

    promise('an answer is told whose it is, and warns of nothing', async (t) => {
      const script = (answer) => {
        answer.open();
        answer.say('Yes.');
        answer.finish();
      };
      // Without a limit one provider warns of its own guess.
      const answer = await askedOf(t, script, { maxOutputTokens: 64 });
      const { id, modelId, timestamp } = await answer.response;
      assert.ok(id);
      assert.equal(modelId, QUESTION.model);
      assert.ok(timestamp instanceof Date);
      assert.deepEqual((await answer.warnings) ?? [], []);
    });

    if (client.dialect !== anthropic) continue;

    promise('a structure may be asked for as the arguments of a tool', async (t) => {
      const script = (answer) => {
        answer.open();
        answer.call({ id: 'call_json', name: 'json', arguments: ANSWER });
        answer.finish();
      };
      const rest = {
        output: Output.object({ schema: RECIPE }),
        providerOptions: { anthropic: { structuredOutputMode: 'jsonTool' } },
      };
      const answer = await askedOf(t, script, rest);
      assert.deepEqual(await answer.output, ANSWER);
    });
  }
}
