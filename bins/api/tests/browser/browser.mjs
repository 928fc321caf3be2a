// A real browser with a person in front of it. Whatever a page does that it must not do (an error in
// the console, a violation of its policy, a dialog, a request to another host) fails the test.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';

import { site } from './site.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-quic', '--disable-sync',
  '--disable-background-networking', '--disable-component-update',
];

let browser;

/** Starts the browser once for all tests of a file. Call it at the top of the file. */
export function withBrowser() {
  before(async () => {
    browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
  });
  after(() => browser?.close());
}

/** Runs `test(page, context, faults)` in a fresh context and fails on anything a page must not do. */
export async function inBrowser(options, test) {
  const context = await browser.newContext({ baseURL: site.url, ...options });
  const faults = [];
  context.on('page', (page) => watch(page, faults));
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    await test(page, context, faults);
    assert.deepEqual(faults, [], 'what pages must not do');
  } finally {
    await closed(context);
  }
}

/** Closes a window, and does not wait for ever: Chromium may hang when it is still loading a page.
    The end of the file ends the browser itself. */
async function closed(context) {
  let late;
  const patience = new Promise((resolve) => { late = setTimeout(resolve, 15_000); });
  await Promise.race([context.close(), patience]);
  clearTimeout(late);
}

/** Notes everything that a page of ours never does. */
function watch(page, faults) {
  const isOurs = (url) => url.startsWith(`${site.url}/`) || url.startsWith('data:') || url === 'about:blank';
  page.on('pageerror', (error) => faults.push(`script error: ${error.message}`));
  page.on('dialog', (dialog) => {
    // a question before leaving a form half-typed is the browser's own
    if (dialog.type() !== 'beforeunload') faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('request', (request) => {
    if (!isOurs(request.url())) faults.push(`request to ${request.url()}`);
  });
  page.on('console', (message) => {
    const text = message.text();
    // the browser reports every answer above 399; tests look at those they cause themselves
    const isStatus = text.startsWith('Failed to load resource');
    if (message.type() === 'error' && !isStatus) faults.push(`console: ${text}`);
  });
}

/** Signs a person in, by the form. */
export async function signIn(page, person = site.ada, next = '/board') {
  await page.goto(`/sign-in?next=${encodeURIComponent(next)}`);
  await page.getByLabel('E-mail').fill(person.email);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).first().click();
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

/** The same in a fresh context: most tests begin so. */
export function signedIn(options, test, person = site.ada) {
  return inBrowser(options, async (page, context, faults) => {
    await signIn(page, person);
    await test(page, context, faults);
  });
}

/** The dialog that is open. */
export const dialog = (page) => page.getByRole('dialog');

/** Waits until `check` holds, looking again and again. */
export async function eventually(check, message, milliseconds = 8_000) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    if (await check()) return;
    assert.ok(Date.now() < deadline, message);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
