// What axe finds on every page and in every dialog: nothing, light or dark, wide or narrow, empty or
// full. And what the policy of the pages forbids: no page tries it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { dialog, signedIn, withBrowser } from './browser.mjs';
import { EMPTY, dialogsOf, pagesOf, tell } from './story.mjs';

withBrowser();

// a script of the page would be refused by its policy: the browser itself puts this one in
const AXE = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

const LOOKS = [
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'light', viewport: { width: 390, height: 844 } },
  { colorScheme: 'dark', viewport: { width: 390, height: 844 } },
];

const named = ({ colorScheme, viewport }) => `${colorScheme}, ${viewport.width} px`;

/** A person with axe and an ear for violations of the policy. */
const examined = (look, examine) => signedIn(look, async (page, context) => {
  await context.addInitScript(AXE);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      // whatever is an error in the console fails the test
      console.error(`violation of ${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  const found = [];
  const run = async (where) => {
    // colours in the middle of a change are nobody's colours
    await page.evaluate(() => Promise.all(document.getAnimations().map((each) => each.finished.catch(() => {}))));
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    for (const { id, impact, nodes } of violations) {
      const [node] = nodes;
      found.push(`${where}: ${impact} ${id} ×${nodes.length}: ${node.target} ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`);
    }
  };
  await examine(page, run);
  // the same finding on many pages is told once
  assert.deepEqual(found, [], `${named(look)}: ${found.length} findings`);
});

const open = (page, address) => page.goto(address, { waitUntil: 'domcontentloaded' });

for (const look of LOOKS) {
  test(`while nothing has happened yet: ${named(look)}`, () => examined(look, async (page, run) => {
    for (const address of EMPTY) {
      await open(page, address);
      await run(address);
    }
  }));
}

test('when a lot has happened', async (t) => {
  const tasks = await tell();
  try {
    for (const look of LOOKS) {
      await t.test(`every page: ${named(look)}`, () => examined(look, async (page, run) => {
        for (const address of pagesOf(tasks)) {
          await open(page, address);
          await run(address);
        }
      }));
      await t.test(`every dialog: ${named(look)}`, () => examined(look, async (page, run) => {
        for (const [address, name] of dialogsOf(tasks)) {
          await open(page, address);
          if (name === '?') await page.keyboard.press('?');
          else await page.getByRole('main').getByRole('button', { name, exact: true }).first().click();
          await dialog(page).waitFor();
          await run(`${address} ${name}`);
          await page.keyboard.press('Escape');
        }
        if (look.viewport.width < 600) {
          await page.getByRole('button', { name: 'Menu' }).click();
          await page.getByRole('navigation', { name: 'Main' }).waitFor();
          await run('menu');
        }
      }));
    }
  } finally {
    tasks.end();
  }
});
