// A page in a real browser reads streams that survive what happens to pages.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startBackend } from './backend.mjs';
import { inChromium } from './browser.mjs';
import { ChatAnswer } from './chat_answer.mjs';
import { startGateway } from './gateway.mjs';
import { startNetwork } from './network.mjs';

const chromium = inChromium();

/** A gateway for the pages, in front of a backend that says `words` one by one, each when the test lets it. */
async function start(t, words) {
  const said = words.map(() => deferred());
  const script = async (answer) => {
    answer.open();
    for (const [at, word] of words.entries()) {
      await said[at].promise;
      answer.say(word);
    }
    answer.finish();
  };
  const backend = await startBackend(t, ChatAnswer, script);
  const gateway = await startGateway(t, { backend, server: { allowed_origins: [chromium.origin] } });
  const network = await startNetwork(t, gateway);
  return { network, gateway: network.url, say: (at) => said[at].resolve() };
}

// A tab in the background draws no frames, so the page is asked now and then.
const POLLING = { polling: 50 };
const shown = (page, text) =>
  page.waitForFunction((text) => document.querySelector('#answer').textContent === text, POLLING, text);
const stands = (page, state) =>
  page.waitForFunction((state) => document.querySelector('#state').textContent === state, POLLING, state);

test('an EventSource reads what runs by itself, and stops at its end with one more request', async (t) => {
  const { gateway, say } = await start(t, ['Hello', ' world']);
  const { page, answers } = await chromium.open(t, gateway);
  const address = await page.evaluate((gateway) => window.ask(gateway, 'Hi'), gateway);
  await page.evaluate((address) => window.read(address), address);
  say(0);
  await shown(page, 'Hello');
  say(1);
  await shown(page, 'Hello world');
  await stands(page, 'closed');
  const reads = answers.filter(([method]) => method === 'GET').map(([, status]) => status);
  assert.deepEqual(reads, [200, 204]);
  const { ids, messages } = await page.evaluate(() => window.seen);
  assert.equal(messages.at(-1), '[DONE]');
  assert.deepEqual(ids.map((id) => Number(id.split('.')[1])), ids.map((_, at) => at + 1));
});

test('a page that was offline sees what was said meanwhile, once', async (t) => {
  const { network, gateway, say } = await start(t, ['one ', 'two ', 'three ', 'four']);
  const { page } = await chromium.open(t, gateway);
  const address = await page.evaluate((gateway) => window.ask(gateway, 'Count'), gateway);
  await page.evaluate((address) => window.read(address), address);
  say(0);
  await shown(page, 'one ');
  network.cut();
  await stands(page, 'reconnecting');
  say(1);
  say(2);
  network.mend();
  await shown(page, 'one two three ');
  say(3);
  await shown(page, 'one two three four');
  await stands(page, 'closed');
  const { ids, opened } = await page.evaluate(() => window.seen);
  assert.equal(opened, 2);
  assert.deepEqual(ids.map((id) => Number(id.split('.')[1])), ids.map((_, at) => at + 1));
});

test('of two tabs the newer reads on, and the older does not fight', async (t) => {
  const { gateway, say } = await start(t, ['first ', 'second']);
  const older = await chromium.open(t, gateway);
  const newer = await chromium.open(t, gateway);
  const signed = await older.page.evaluate((gateway) => window.ask(gateway, 'Hi'), gateway);
  // A signed address reads, but takes over from nobody: who owns the stream asks by its bare address.
  const address = signed.slice(0, signed.indexOf('?'));
  await older.page.evaluate((address) => window.read(`${address}?viewer=older&exclusive=1`), address);
  say(0);
  await shown(older.page, 'first ');
  await newer.page.evaluate((address) => window.read(`${address}?viewer=newer&exclusive=1`), address);
  await shown(newer.page, 'first ');
  await stands(older.page, 'closed');
  assert.ok(await older.page.evaluate(() => window.seen.superseded));
  say(1);
  await shown(newer.page, 'first second');
  await stands(newer.page, 'closed');
  assert.equal(await older.page.$eval('#answer', (answer) => answer.textContent), 'first ');
});

test('a page sees what is published on a channel, and stops when the channel ends', async (t) => {
  const { gateway } = await start(t, []);
  const { page, answers } = await chromium.open(t, gateway);
  const channel = `${gateway}/v1/channels/progress`;
  const publish = async (event) => {
    const headers = { 'Content-Type': 'application/json' };
    const said = await fetch(channel, { method: 'POST', headers, body: JSON.stringify(event) });
    assert.equal((await said.json()).channel, 'progress');
  };
  await page.evaluate((channel) => window.subscribe(channel), channel);
  await stands(page, 'connected');
  await publish({ event: 'step', data: 'one\ndata: forged' });
  await publish({ done: true });
  await page.waitForFunction(() => window.seen.messages.length === 2, POLLING);
  assert.deepEqual(await page.evaluate(() => window.seen.messages), ['step: one\ndata: forged', 'message: {"done":true}']);
  const ended = await fetch(channel, { method: 'DELETE' });
  assert.equal(ended.status, 204);
  await stands(page, 'closed');
  assert.deepEqual(answers.at(-1), ['GET', 204]);
});

test('a page watches over a WebSocket what goes on', async (t) => {
  const { gateway, say } = await start(t, ['Hello']);
  const { page } = await chromium.open(t, gateway);
  await page.evaluate((gateway) => window.watch(gateway), gateway);
  await page.waitForFunction(() => window.seen.messages.length > 0, POLLING);
  await page.evaluate((gateway) => window.ask(gateway, 'Hi'), gateway);
  say(0);
  await page.waitForFunction(
    () => window.seen.messages.some((message) => JSON.parse(message).type === 'StreamEnded'),
    POLLING,
  );
  const types = (await page.evaluate(() => window.seen.messages)).map((message) => JSON.parse(message).type);
  assert.equal(types[0], 'Snapshot');
  assert.deepEqual(types.filter((type) => type.startsWith('Stream')), ['StreamStarted', 'StreamFirstToken', 'StreamEnded']);
});

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
