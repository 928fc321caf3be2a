// Two people decide at once, and servers that do not answer: there is one decision, and everybody sees it.

import assert from 'node:assert/strict';
import test from 'node:test';

import { dialog, eventually, inBrowser, signIn, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, decide, getTask, site, unique } from './site.mjs';
import { bar, button, facts, pointAside, says, seen } from './work.mjs';

withBrowser();

/** Ada's and Ben's browsers on the page of a new task in review. */
function twoReviewers(title, run) {
  return inBrowser({}, (ada) => inBrowser({}, async (ben) => {
    const desktop = await Desktop.create(unique('race'));
    const task = await desktop.finish({ title: unique(title) });
    await Promise.all([[ada, site.ada], [ben, site.ben]].map(async ([page, person]) => {
      await signIn(page, person, `/tasks/${task.id}`);
      await pointAside(page);
    }));
    await run({ ada, ben, task });
  }));
}

/** Opens the dialog of a decision from the bar. */
async function open(page, decision) {
  await button(bar(page), decision).click();
  await seen(button(dialog(page), decision));
}

const press = (page, decision) => button(dialog(page), decision).click();

/** How often a task was decided, by the log of the account. */
async function decisions(task) {
  let [count, after] = [0, 0];
  for (;;) {
    const rows = await call('GET', `/api/mission-control/activity?limit=500&after=${after}`);
    const list = rows.items ?? rows;
    if (!list.length) return count;
    count += list.filter(({ type, payload }) => type === 'approval.resolved' && payload.taskId === task.id).length;
    after = list.at(-1).seq;
  }
}

test('two decide in the same moment: one wins, the other sees who it was', () => twoReviewers('same moment', async ({ ada, ben, task }) => {
  await Promise.all([open(ada, 'Approve'), open(ben, 'Reject')]);
  const addresses = [ada.url(), ben.url()];
  await Promise.all([press(ada, 'Approve'), press(ben, 'Reject')]);
  const { review, status } = await settled(task);
  const [winner, loser, name, verb] = status === 'done'
    ? [ada, ben, site.ada.email, 'approved'] : [ben, ada, site.ben.email, 'rejected'];
  assert.equal(review.decidedBy.name, name);
  await seen(bar(winner).getByText(new RegExp(`^You ${verb} this at \\d\\d:\\d\\d UTC$`)));
  await seen(dialog(loser).getByRole('heading', { name: new RegExp(`^${name} ${verb} this at \\d\\d:\\d\\d UTC$`) }));
  await says(dialog(loser), 'changed nothing');
  assert.equal(loser.url(), addresses[loser === ada ? 0 : 1], 'without leaving the page');
  await dialog(loser).getByRole('link', { name: 'Open the task' }).click();
  await says(facts(loser), `${verb === 'approved' ? 'Approved' : 'Rejected'} by ${name}`);
  assert.equal(await decisions(task), 1);
}));

test('who is slower sees the decision on the page, and in a dialog that is open already', () => twoReviewers('slower', async ({ ada, ben, task }) => {
  await open(ben, 'Approve');
  await dialog(ben).getByLabel('Note (optional)').fill('half a thought');
  await open(ada, 'Approve');
  await press(ada, 'Approve');
  await seen(bar(ada).getByText('Approved', { exact: true }));
  // the dialog of the other stays as it is while it is being written in, until the second press
  assert.equal(await dialog(ben).getByLabel('Note (optional)').inputValue(), 'half a thought');
  await press(ben, 'Approve');
  await seen(dialog(ben).getByRole('heading', { name: new RegExp(`^${site.ada.email} approved this at`) }));
  await ben.keyboard.press('Escape');
  await pointAside(ben);
  await says(facts(ben), `Approved by ${site.ada.email}`);
  assert.equal(await bar(ben).getByRole('button', { name: 'Approve' }).count(), 0);
  assert.equal((await getTask(task.id)).review.decidedBy.name, site.ada.email);
}));

test('a decision by a program appears on an open page by itself', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('program'));
  const task = await desktop.finish({ title: unique('program') });
  await page.goto(`/tasks/${task.id}`);
  await pointAside(page);
  await page.evaluate(() => document.documentElement.setAttribute('data-same-page', ''));
  await decide(task.id, { decision: 'reject', feedback: 'by the API' });
  await seen(bar(page).getByText('Rejected', { exact: true }));
  await says(facts(page), 'by the API');
  assert.ok(await page.evaluate(() => document.documentElement.hasAttribute('data-same-page')));
}));

test('evidence that is not what was on the screen is refused, and said', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('evidence'));
  const task = await desktop.finish({ title: unique('evidence') });
  await page.goto(`/tasks/${task.id}`);
  // what somebody would send who looks at a page from before another attempt was sealed
  await page.route(`**/tasks/${task.id}/decide`, (route) => {
    const body = route.request().postData();
    return route.continue({ postData: body?.replace(/evidenceSha256=[0-9a-f]{64}/, `evidenceSha256=${'0'.repeat(64)}`) });
  });
  await open(page, 'Approve');
  await dialog(page).getByLabel('Note (optional)').fill('looks good');
  await press(page, 'Approve');
  await seen(dialog(page).getByRole('alert').filter({ hasText: 'The evidence has changed since you looked' }));
  assert.equal((await getTask(task.id)).status, 'review', 'nothing is decided');
  assert.equal(await dialog(page).getByLabel('Note (optional)').inputValue(), 'looks good', 'the note is kept');
  await says(dialog(page), task.evidenceSha256);
  await page.unroute(`**/tasks/${task.id}/decide`);
  await press(page, 'Approve');
  await seen(bar(page).getByText('Approved', { exact: true }));
}));

test('evidence that changed between page and dialog is said before anything is decided', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('stale'));
  const task = await desktop.finish({ title: unique('stale') });
  await page.goto(`/tasks/${task.id}/decide?decision=approve&evidenceSha256=${'0'.repeat(64)}`);
  await seen(page.getByRole('alert').filter({ hasText: 'evidence has changed' }));
}));

test('pressed twice it is decided once, and no error', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('twice'));
  const task = await desktop.finish({ title: unique('twice') });
  await page.goto(`/tasks/${task.id}`);
  const sent = countPosts(page, task);
  await open(page, 'Approve');
  await button(dialog(page), 'Approve').dblclick();
  await seen(bar(page).getByText('Approved', { exact: true }));
  assert.equal(sent.count, 1, 'the second press is not even sent');
  assert.equal(await decisions(task), 1);
}));

test('going back and sending the form again says when it was approved', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('back'));
  const task = await desktop.finish({ title: unique('back') });
  await page.goto('/approvals');
  await page.goto(`/tasks/${task.id}/decide?decision=approve`);
  const main = page.getByRole('main');
  await main.getByLabel('Note (optional)').fill('fine');
  const [, body] = await Promise.all([
    button(main, 'Approve').click(),
    page.waitForRequest((request) => request.method() === 'POST').then((request) => request.postData()),
  ]);
  await seen(bar(page).getByText('Approved', { exact: true }));
  await page.goBack();
  // a page kept by the browser has the form, one fetched anew has the answer to it
  const again = button(main, 'Approve');
  const answer = main.getByRole('heading', { name: /^You approved this at \d\d:\d\d UTC$/ });
  await seen(again.or(answer));
  if (await again.count()) await again.click();
  await seen(answer.or(bar(page).getByText(/^You approved this at \d\d:\d\d UTC$/)));
  assert.equal(await page.getByRole('alert').count(), 0, 'no error');

  // the same body again is the same answer; another key is told the same
  for (const text of [body, body.replace(/idempotencyKey=[^&]+/, 'idempotencyKey=another-key-of-this-form')]) {
    const said = await page.evaluate(async ([address, form]) => {
      const response = await fetch(address, {
        method: 'POST', body: form, headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      return response.text();
    }, [`/tasks/${task.id}/decide`, text]);
    assert.match(said.replace(/<[^>]+>/g, ''), /You approved this at \d\d:\d\d/);
  }
  assert.equal(await decisions(task), 1);
}));

test('while the server answers 503 the page asks until it knows', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('busy'));
  const task = await desktop.finish({ title: unique('busy') });
  await page.goto(`/tasks/${task.id}`);
  let refused = 0;
  const keys = new Set();
  await page.route(`**/tasks/${task.id}/decide`, (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    keys.add(new URLSearchParams(route.request().postData()).get('idempotencyKey'));
    if (refused === 2) return route.continue();
    refused += 1;
    return route.fulfill({ status: 503, headers: { 'retry-after': '1' }, body: '' });
  });
  await open(page, 'Approve');
  await dialog(page).getByLabel('Note (optional)').fill('patience');
  const pressed = Date.now();
  await press(page, 'Approve');
  await seen(dialog(page).getByRole('status').filter({ hasText: 'The server does not answer' }));
  await seen(bar(page).getByText('Approved', { exact: true }));
  assert.ok(Date.now() - pressed >= 2_000, 'it waits as long as it was asked to');
  assert.equal(refused, 2);
  assert.equal(keys.size, 1, 'always with the same key');
  assert.equal(await decisions(task), 1);
  assert.equal((await getTask(task.id)).review.feedback, 'patience');
}));

test('an answer that is lost after the decision was kept is asked for again', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('lost'));
  const task = await desktop.finish({ title: unique('lost') });
  await page.goto(`/tasks/${task.id}`);
  let lost = 0;
  await page.route(`**/tasks/${task.id}/decide`, async (route) => {
    if (route.request().method() !== 'POST' || lost === 2) return route.continue();
    if (lost === 0) {
      await route.fetch({ maxRedirects: 0 });
      assert.equal((await getTask(task.id)).status, 'failed', 'the server has decided');
    }
    lost += 1;
    return route.abort('connectionreset');
  });
  await open(page, 'Reject');
  await dialog(page).getByLabel('What should be different').fill('once only');
  await press(page, 'Reject');
  await seen(bar(page).getByText('Rejected', { exact: true }));
  assert.equal(lost, 2);
  assert.equal(await decisions(task), 1);
  assert.equal(await page.getByRole('alert').count(), 0, 'no error');
  assert.match(await bar(page).innerText(), /You rejected this at \d\d:\d\d/);
}));

test('the answer to a new task is lost: there is one task', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('lost task'));
  const title = unique('only one');
  let lost = false;
  await page.route('**/tasks/new', async (route) => {
    if (route.request().method() !== 'POST' || lost) return route.continue();
    lost = true;
    await route.fetch({ maxRedirects: 0 });
    return route.abort('connectionreset');
  });
  await page.goto('/board');
  await button(page, 'New task').first().click();
  await dialog(page).getByLabel('Title').fill(title);
  await dialog(page).getByLabel('Content').fill('once');
  await dialog(page).getByLabel('Desktop').selectOption({ label: desktop.name });
  await button(dialog(page), 'Create').click();
  await seen(page.getByRole('heading', { level: 1, name: title }));
  const tasks = await call('GET', `/api/mission-control/tasks?desktopId=${desktop.id}`);
  assert.equal((tasks.items ?? tasks).length, 1);
}));

function countPosts(page, task) {
  const sent = { count: 0 };
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().includes(`/tasks/${task.id}/decide`)) sent.count += 1;
  });
  return sent;
}

/** The task once it is decided. */
async function settled(task) {
  let now;
  await eventually(async () => {
    now = await getTask(task.id);
    return now.status !== 'review';
  }, 'somebody decides');
  return now;
}
