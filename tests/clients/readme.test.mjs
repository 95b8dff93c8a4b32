// The code that the README shows for pages, as it stands there, in a real browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { inChromium } from './browser.mjs';
import { startGateway } from './gateway.mjs';

const chromium = inChromium();

/** The first block of JavaScript under "In a browser". */
function shown() {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = readme.split('\n### In a browser\n')[1].split('\n### ')[0];
  return section.split('```js\n')[1].split('```')[0];
}

test('the code of the guide for browsers shows an answer as it comes, and closes its source', async (t) => {
  const key = 'sk-readme';
  const gateway = await startGateway(t, { key });
  const { page, answers } = await chromium.open(t, gateway);
  // A page of the gateway's own origin, as behind a proxy that serves both: the code's addresses have no host.
  await page.goto(`${gateway}/healthz`);
  const code = `document.body.textContent = '';\n${shown()}\nwindow.source = source;`;
  await page.evaluate(`(async (key) => { ${code} })(${JSON.stringify(key)})`);
  await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED, { polling: 50 });
  const text = await page.evaluate(() => document.body.textContent);
  assert.ok(text.split(' ').length >= 20, text);
  assert.deepEqual(answers.filter(([method]) => method === 'POST'), [['POST', 202]]);
});
