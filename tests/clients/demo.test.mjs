// The built-in model, read with every SDK.
import assert from 'node:assert/strict';

import { listen, listenUntilError } from './heard.mjs';
import { everyClient } from './pairs.mjs';
import { QUESTION, TOOLS } from './questions.mjs';

const STREAMS = { when: ({ client }) => client.streams };

everyClient('the demo model thinks, speaks and calls every tool', async ({ client, ask }) => {
  const heard = await listen(ask({ ...QUESTION, model: 'demo:words=3,pace=1ms,think,tools', tools: TOOLS }));
  assert.deepEqual(heard.calls.map((call) => call.name).sort(), TOOLS.map((tool) => tool.name).sort());
  if (client.reasons) assert.notEqual(heard.thought, '');
  assert.ok(heard.ended);
});

for (const fault of ['cut', 'error', 'truncated']) {
  everyClient(
    `a fault of the demo model is an error (${fault})`,
    async ({ client, ask }) => {
      const question = { ...QUESTION, model: `demo:words=9,pace=1ms,after=3,${fault}` };
      const { heard, error } = await listenUntilError(ask(question));
      assert.notEqual(heard.text, '');
      assert.ok(client.isFailure(error), `${error.constructor.name}: ${error}`);
    },
    STREAMS,
  );
}

everyClient(
  'a stall of the demo model is an error once it is too long',
  async ({ client, ask }) => {
    const question = { ...QUESTION, model: 'demo:words=9,pace=1ms,after=3,stall' };
    const { heard, error } = await listenUntilError(ask(question, { stream: { idle_timeout: '50ms' } }));
    assert.notEqual(heard.text, '');
    assert.ok(client.isFailure(error), `${error.constructor.name}: ${error}`);
  },
  STREAMS,
);

everyClient('without the right key a client is told that it has the wrong one', async ({ client, ask }) => {
  const { error } = await listenUntilError(ask(QUESTION, { key: 'the right one' }));
  assert.ok(client.isRefusal(error, 401), `${error.constructor.name}: ${error}`);
});

everyClient('the key of every SDK is found where it puts it', async ({ ask }) => {
  const heard = await listen(ask({ ...QUESTION, model: 'demo:words=3,pace=1ms' }, { key: 'unused' }));
  assert.equal(heard.ended, 'end');
}, { when: ({ client }) => !client.title.startsWith('ollama') });
