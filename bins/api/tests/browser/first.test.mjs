// The pages there are, reached by a person who signs in.

import assert from 'node:assert/strict';
import test from 'node:test';

import { signedIn, withBrowser } from './browser.mjs';

withBrowser();

test('a person signs in and finds every page', () => signedIn({}, async (page) => {
  for (const [name, heading] of [
    ['Approvals', 'Approvals'], ['Desktops', 'Desktops'], ['Activity', 'Activity'],
    ['Mission Control', 'Mission Control'], ['Account', 'Account'], ['API keys', 'API keys'], ['Board', 'Board'],
  ]) {
    await page.getByRole('navigation').getByRole('link', { name }).first().click();
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), heading);
  }
}));
