// An agent's work for tests to judge, and where people look for it.

import assert from 'node:assert/strict';

import { eventually } from './browser.mjs';
import { diffOf, pendingApprovals } from './site.mjs';

/** What an agent leaves behind: a log in colours, two files, an output. */
export const LOG = [
  '\x1b[32mcompiled\x1b[0m in 2 s\n', 'all 12 tests pass\n', { stream: 'stderr', data: 'warning: one unused name\n' },
];
export const FILES = [
  {
    path: 'site/index.html', mode: '100644',
    diff: diffOf('site/index.html', ['<h1>Hello wurld</h1>'], ['<h1>Hello world</h1>', '<p>Welcome</p>']),
  },
  { path: 'site/style.css', change: 'added', mode: '100644', diff: diffOf('site/style.css', [], ['h1 { color: teal }']) },
];
export const OUTPUT = 'The page greets the world.';

/** Does the work of a claimed task as a good agent does. */
export async function work(attempt) {
  await attempt.log(...LOG);
  await attempt.files(FILES);
  return attempt.complete({ output: OUTPUT });
}

export const main = (page) => page.getByRole('main');
export const facts = (page) => page.getByRole('region', { name: 'Facts' });
export const bar = (page) => page.getByRole('region', { name: 'Decision', exact: true });
export const button = (root, name) => root.getByRole('button', { name, exact: true });
export const column = (page, name) => page.getByRole('region', { name: new RegExp(`^${name} \\d+$`) });
export const navigation = (page) => page.getByRole('navigation', { name: 'Main' });

/** What the facts say under a name. */
export const fact = (root, name) => root.getByText(name, { exact: true }).locator('xpath=following-sibling::dd');

/** The open task's id. */
export const taskOf = (page) => new URL(page.url()).pathname.split('/')[2];

/** Moves the pointer to where nothing is that it could hold still. */
export const pointAside = (page) => page.mouse.move(1, 1);

/** Waits until an element is there and seen. */
export const seen = (locator) => locator.first().waitFor({ state: 'visible' });

/** Badge and tab title carry the number of pending approvals, whatever page is open. */
export async function expectCount(page, count) {
  const link = navigation(page).getByRole('link', { name: count ? `Approvals ${count}` : 'Approvals', exact: true });
  await seen(link);
  await eventually(async () => {
    const [, shown = '0'] = /^\((\d+)\) /.exec(await page.title()) ?? [];
    return Number(shown) === count;
  }, `the tab title carries ${count}`);
}

export const pendingCount = async () => (await pendingApprovals()).length;

/** Waits until an element shows `text`, however its lines are broken. */
export async function says(locator, text) {
  await seen(locator);
  const plain = (words) => words.replace(/\s+/g, ' ');
  let shown;
  await eventually(async () => {
    shown = plain(await locator.innerText());
    return shown.includes(plain(text));
  }, `"${text}" is not shown`).catch((error) => assert.fail(`${error.message}, but "${shown}"`));
}

/** How an element is drawn. */
export const style = (locator, property) =>
  locator.evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), property);
