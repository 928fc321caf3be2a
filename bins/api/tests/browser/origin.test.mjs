// What a task serves on another port of this machine gets the cookies of the dashboard: a browser sends them to every port
// of a host. With the cookie alone it changes nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';

import { dialog, inBrowser, signIn, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, doneSince, getTask, logHead, site } from './site.mjs';

withBrowser();

const COOKIE = 'countersign-session';
const SETTINGS = '/api/mission-control/settings';

const button = (page, name) => page.getByRole('button', { name, exact: true });
const cookieIn = (header = '') => header.split('; ').find((pair) => pair.startsWith(`${COOKIE}=`));
const kept = (page) => page.evaluate(() => localStorage.getItem('origin-secret'));

/** A server of a task, at another port of the same host: it takes the cookie of whoever looks. */
async function withTaskServer(test_) {
  const seen = { cookies: [], stored: undefined };
  const server = createServer((request, response) => {
    seen.cookies.push(cookieIn(request.headers.cookie));
    if (request.url.startsWith('/tell')) seen.stored = new URL(request.url, 'http://x').searchParams.get('stored');
    response.setHeader('content-type', 'text/html');
    response.end('<script>fetch(`/tell?stored=${encodeURIComponent(JSON.stringify({ ...localStorage }))}`)</script>');
  }).listen(0, new URL(site.url).hostname);
  await once(server, 'listening');
  try {
    await test_(`http://${new URL(site.url).hostname}:${server.address().port}/`, seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A request by the cookie alone, which says of itself whatever it likes. */
function replay(cookie, method, path, { form, json, headers = {} } = {}) {
  return fetch(site.url + path, {
    method, redirect: 'manual',
    headers: {
      cookie, origin: site.url, 'sec-fetch-site': 'same-origin', accept: 'text/html',
      ...(json ? { 'content-type': 'application/json' } : {}), ...headers,
    },
    body: json ? JSON.stringify(json) : form && new URLSearchParams(form),
  });
}

/** The page of the task takes the cookie of the person, by a plain visit. */
async function stolenCookie(context, faults, address, seen) {
  const page = await context.newPage();
  await page.goto(address);
  await page.waitForResponse((response) => response.url().includes('/tell')).catch(() => {});
  await page.close();
  // a page of ours asks nobody but us; this one is not ours
  faults.splice(0, faults.length, ...faults.filter((fault) => !fault.startsWith(`request to ${address}`)));
  return seen.cookies.find(Boolean);
}

test('a page of a task gets the cookie and can change nothing with it', () => withTaskServer((address, seen) => (
  signedIn({}, async (page, context, faults) => {
    const desktop = await Desktop.create('hostile');
    const task = await desktop.finish();
    const secret = await kept(page);
    assert.match(secret, /^[0-9a-f]{64}$/);
    assert.match(await page.content(), /Board/);
    assert.ok(!(await page.content()).includes(secret));

    const cookie = await stolenCookie(context, faults, address, seen);
    const [own] = (await context.cookies()).filter(({ name }) => name === COOKIE);
    assert.equal(cookie, `${COOKIE}=${own.value}`, 'the attack is real: the browser sent it');
    assert.ok(!String(seen.stored).includes(secret), 'and what is stored is of one port');
    assert.equal((await replay(cookie, 'GET', `/tasks/${task.id}`)).status, 200, 'it is good enough to look');

    const head = await logHead();
    const guesses = [{}, { 'x-countersign-origin': 'f'.repeat(64) }, { 'x-countersign-origin': own.value }];
    for (const headers of guesses) {
      for (const [path, form] of [
        [`/tasks/${task.id}/decide`, { decision: 'approve', evidenceSha256: task.evidenceSha256 }],
        [`/tasks/${task.id}/decide`, { decision: 'reject', originSecret: own.value }],
        [`/tasks/${task.id}/cancel`, {}],
        ['/settings/mission-control', { taskApprovalMode: 'on' }],
        ['/settings/api-keys', { name: 'theirs', kind: 'human' }],
        ['/settings/account/password', { current: site.ada.password, password: 'a password of theirs' }],
        ['/sign-out/everywhere', {}],
      ]) {
        const answer = await replay(cookie, 'POST', path, { form, headers });
        assert.equal(answer.status, 403, path);
        assert.match(await answer.text(), /Sign in again in this browser/, path);
      }
      for (const [method, path, json] of [
        ['POST', `/api/mission-control/tasks/${task.id}/review`, { decision: 'approve' }],
        ['PATCH', SETTINGS, { taskApprovalMode: true }],
        ['POST', '/api/auth/api-keys', { name: 'theirs', kind: 'human' }],
        ['DELETE', `/api/desktops/${desktop.id}`, {}],
      ]) {
        const answer = await replay(cookie, method, path, { json, headers });
        assert.equal(answer.status, 403, path);
        assert.equal((await answer.json()).code, 'cross-site', path);
      }
    }
    assert.deepEqual(await doneSince(head), [], 'nothing changed');
    assert.equal((await getTask(task.id)).status, 'review');
    assert.equal((await call('GET', '/api/auth/api-keys')).filter(({ name }) => name === 'theirs').length, 0);

    // the person goes on, by dialog
    await page.goto(`/tasks/${task.id}`);
    await button(page, 'Approve').click();
    await dialog(page).getByRole('button', { name: 'Approve', exact: true }).click();
    await page.waitForURL(`**/tasks/${task.id}?done=approved`);
    assert.equal((await getTask(task.id)).status, 'done');
    // and by the forms of pages: one that is sent by a switch, and one by its button
    await page.goto('/desktops');
    await page.getByLabel('Name').fill('a desktop of the person');
    await button(page, 'Add desktop').click();
    await page.getByRole('heading', { name: /a desktop of the person is added/ }).waitFor();
    const sent = await page.evaluate(() => document.documentElement.outerHTML);
    assert.ok(!sent.includes(secret), 'the secret stands in no page');
    await page.goto('/settings/mission-control');
    const evidence = page.getByRole('switch', { name: 'Require evidence' });
    await evidence.click();
    await page.waitForURL('**/settings/mission-control?done=saved');
    await evidence.click();
    await page.waitForURL('**/settings/mission-control?done=saved');
    assert.equal((await call('GET', SETTINGS)).requireEvidence, false);
    await page.goto('/settings/account');
    assert.ok((await page.getByRole('listitem').filter({ hasText: 'This one' }).innerText()).includes('signed in'));
    assert.equal(await page.getByRole('listitem').filter({ hasText: 'This one' }).getByText('Not bound').count(), 0);
  }))));

test('a wrong password, another tab, a new sign-in and the end of a session', () => signedIn({}, async (page, context) => {
  const first = await kept(page);
  const other = await context.newPage();
  await other.goto('/sign-in');
  await other.getByLabel('E-mail').fill(site.ada.email);
  await other.getByLabel('Password', { exact: true }).fill('not the password');
  await button(other, 'Sign in').first().click();
  await other.getByText('E-mail or password is wrong').waitFor();
  assert.equal(await kept(page), first, 'a failed sign-in costs the session of another tab nothing');
  await other.getByLabel('Password', { exact: true }).fill(site.ada.password);
  await button(other, 'Sign in').first().click();
  await other.waitForURL('**/board');
  const second = await kept(page);
  assert.notEqual(second, first, 'a secret is of one sign-in');
  // the first tab has the new cookie and the new secret
  await page.goto('/settings/mission-control');
  await page.getByRole('switch', { name: 'Require evidence' }).click();
  await page.waitForURL('**/settings/mission-control?done=saved');
  await page.getByRole('switch', { name: 'Require evidence' }).click();
  await page.waitForURL('**/settings/mission-control?done=saved');
  await Promise.all([page.waitForURL('**/sign-in'), button(page, 'Sign out').click()]);
  assert.equal(await kept(page), null);
  const answer = await context.request.get('/board', { maxRedirects: 0 });
  assert.equal(answer.status(), 401);
}));

test('a browser that lost its storage is asked to sign in again, once', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create('forgetful');
  const task = await desktop.finish();
  await page.goto(`/tasks/${task.id}`);
  await page.evaluate(() => localStorage.removeItem('origin-secret'));
  await button(page, 'Approve').click();
  await dialog(page).getByLabel('Note (optional)').fill('it is good');
  await dialog(page).getByRole('button', { name: 'Approve', exact: true }).click();
  await dialog(page).getByText('Sign in again in this browser').waitFor();
  assert.equal((await getTask(task.id)).status, 'review');
  await Promise.all([page.waitForURL('**/sign-in'), dialog(page).getByRole('link', { name: 'Sign in again' }).click()]);
  await signIn(page, site.ada, `/tasks/${task.id}`);
  await button(page, 'Approve').click();
  const note = dialog(page).getByLabel('Note (optional)');
  assert.equal(await note.inputValue(), 'it is good', 'what was typed is kept');
  await dialog(page).getByRole('button', { name: 'Approve', exact: true }).click();
  await page.waitForURL(`**/tasks/${task.id}?done=approved`);
  assert.equal((await getTask(task.id)).review.feedback, 'it is good');
  // a form of a page says the same
  await page.goto('/settings/mission-control');
  await page.evaluate(() => localStorage.removeItem('origin-secret'));
  await page.getByRole('switch', { name: 'Require evidence' }).click();
  await page.getByRole('heading', { name: 'Sign in again in this browser' }).waitFor();
  assert.equal((await call('GET', SETTINGS)).requireEvidence, false);
}));

test('without script a session works, is not bound, and is said to be', () => signedIn({ javaScriptEnabled: false }, async (page) => {
  await page.goto('/settings/account');
  const session = page.getByRole('listitem').filter({ hasText: 'This one' });
  await session.getByText("Not bound to this browser's origin").waitFor();
  await page.goto('/settings/mission-control');
  await button(page, 'Save').click();
  await page.waitForURL('**/settings/mission-control?done=saved');
}));

test('a browser that keeps nothing opens a session that works', () => inBrowser({}, async (page, context) => {
  await context.addInitScript(() => {
    Object.defineProperty(window, 'localStorage', { get() { throw new Error('switched off'); } });
  });
  await signIn(page);
  await page.goto('/settings/account');
  const session = page.getByRole('listitem').filter({ hasText: 'This one' });
  await session.getByText("Not bound to this browser's origin").waitFor();
}));
