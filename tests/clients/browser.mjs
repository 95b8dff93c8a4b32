// A real Chromium with pages of the tests, for one test file.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before } from 'node:test';

import { launch } from 'puppeteer-core';

const TYPES = { html: 'text/html', js: 'text/javascript' };

/** Starts the browser and the server of the pages before the tests of a file; both end behind them. */
export function inChromium() {
  const held = {};
  before(async () => {
    held.pages = createServer((request, response) => {
      const name = request.url === '/' ? 'index.html' : request.url.slice(1);
      try {
        const body = readFileSync(new URL(`page/${name}`, import.meta.url));
        response.writeHead(200, { 'Content-Type': TYPES[name.split('.').pop()] }).end(body);
      } catch {
        response.writeHead(404).end();
      }
    });
    held.pages.listen(0, '127.0.0.1');
    await once(held.pages, 'listening');
    held.origin = `http://127.0.0.1:${held.pages.address().port}`;
    held.browser = await launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-dev-shm-usage'], // CI runs as root
    });
  });
  after(async () => {
    await held.browser?.close();
    held.pages?.closeAllConnections();
    held.pages?.close();
  });
  return {
    get origin() {
      return held.origin;
    },
    /** Opens a tab; every request to the gateway and its status is noted in `answers`. */
    async open(t, gateway) {
      const page = await held.browser.newPage();
      t.after(() => page.close());
      const answers = [];
      page.on('response', (response) => {
        if (response.url().startsWith(gateway)) answers.push([response.request().method(), response.status()]);
      });
      await page.goto(held.origin);
      return { page, answers };
    },
  };
}
