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

const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];

/** A person with axe and an ear for violations of the policy; `run` examines what is on the screen,
    light and dark. */
const examined = (viewport, examine) => signedIn({ viewport }, async (page, context) => {
  await context.addInitScript(AXE);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      // whatever is an error in the console fails the test
      console.error(`violation of ${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  const found = new Map();
  const run = async (where) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      // colours in the middle of a change are nobody's colours; the promises of animations are not
      // waited for: Chromium forgets those of a change that took the place of another
      await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== 'running'));
      const violations = await page.evaluate(async (isDark) => {
        // nothing but colours is different in the dark
        const rules = isDark ? { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } } : {};
        return (await axe.run(document, { resultTypes: ['violations'], ...rules })).violations;
      }, colorScheme === 'dark');
      for (const { id, impact, nodes } of violations) {
        const [node] = nodes;
        const what = `${colorScheme}, ${impact} ${id}: ${node.target} ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`;
        // the same on many pages is told once
        if (!found.has(what)) found.set(what, where);
      }
    }
  };
  await examine(page, run);
  assert.equal([...found].map(([what, where]) => `${what} (${where})`).join('\n'), '');
});

const open = (page, address) => page.goto(address, { waitUntil: 'domcontentloaded' });

for (const viewport of SIZES) {
  test(`while nothing has happened yet: ${viewport.width} px`, () => examined(viewport, async (page, run) => {
    for (const address of EMPTY) {
      await open(page, address);
      await run(address);
    }
  }));
}

test('when a lot has happened', async (t) => {
  const tasks = await tell();
  try {
    for (const viewport of SIZES) {
      await t.test(`every page: ${viewport.width} px`, () => examined(viewport, async (page, run) => {
        for (const address of pagesOf(tasks)) {
          await open(page, address);
          await run(address);
        }
      }));
      await t.test(`every dialog: ${viewport.width} px`, () => examined(viewport, async (page, run) => {
        for (const [address, name] of dialogsOf(tasks)) {
          await open(page, address);
          if (name === '?') await page.keyboard.press('?');
          else await page.getByRole('main').getByRole('button', { name, exact: true }).first().click();
          await dialog(page).waitFor();
          await run(`${address} ${name}`);
          await page.keyboard.press('Escape');
        }
        if (viewport.width < 600) {
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
