// What happens elsewhere appears by itself, and never under somebody's hands.

import assert from 'node:assert/strict';
import test from 'node:test';

import { dialog, eventually, inBrowser, signIn, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, decide, getTask, setSettings, site, unique } from './site.mjs';
import {
  bar, button, column, expectCount, fact, facts, pendingCount, pointAside, says, seen, work,
} from './work.mjs';

withBrowser();

/** From here on the page must not be loaded anew. */
async function stays(page) {
  await page.evaluate(() => document.documentElement.setAttribute('data-same-page', ''));
  return async () => {
    const isSame = await page.evaluate(() => document.documentElement.hasAttribute('data-same-page'));
    assert.ok(isSame, 'the page was not loaded anew');
  };
}

/** Opens a page whose stream is connected. */
async function open(page, address) {
  const connected = page.waitForResponse((response) => new URL(response.url()).pathname === '/live');
  await page.goto(address);
  await connected;
  await pointAside(page);
  return stays(page);
}

test('the board follows a task from column to column, with its counts', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('board'));
  const isSame = await open(page, '/board');
  const waiting = await pendingCount();
  const title = unique('wanders');
  const count = async (name) => Number(/\d+$/.exec(await column(page, name).getByRole('heading', { level: 2 }).innerText())[0]);
  const start = { Pending: await count('Pending'), Done: await count('Done'), Review: await count('Review') };
  const isIn = async (name) => {
    await seen(column(page, name).getByRole('link', { name: title }));
    assert.equal(await page.getByRole('main').getByRole('link', { name: title }).count(), 1, 'in one column alone');
  };

  const task = await desktop.create({ title, requiresApproval: true });
  await isIn('Pending');
  assert.equal(await count('Pending'), start.Pending + 1);
  await call('POST', `/api/mission-control/tasks/${task.id}/run`, {});
  const attempt = await desktop.claim();
  await isIn('Running');
  await work(attempt);
  await isIn('Review');
  assert.equal(await count('Review'), start.Review + 1);
  await expectCount(page, waiting + 1);
  await decide(task.id, { decision: 'approve' });
  await isIn('Done');
  assert.equal(await count('Done'), start.Done + 1);
  await expectCount(page, waiting);
  await isSame();
}));

test('requests come to the Approvals panel and leave it, and the count is everywhere the same', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('panel'));
  const before = await pendingCount();
  const isSame = await open(page, '/approvals');
  const task = await desktop.finish({ title: unique('comes') });
  const request = page.getByRole('article').filter({ hasText: task.title });
  await seen(request);
  await expectCount(page, before + 1);
  await seen(page.getByRole('link', { name: `Pending ${before + 1}`, exact: true }));
  await decide(task.id, { decision: 'reject' });
  await request.waitFor({ state: 'detached' });
  await expectCount(page, before);
  // the count is on pages too that show no requests
  await isSame();
  const isStill = await open(page, '/settings/api-keys');
  const other = await desktop.finish({ title: unique('counts') });
  await expectCount(page, before + 1);
  await decide(other.id, { decision: 'reject' });
  await expectCount(page, before);
  await isStill();
}));

test('a task page follows the work and shows what others decide', () => inBrowser({}, (ada) => signedIn({}, async (ben) => {
  const desktop = await Desktop.create(unique('facts'));
  const task = await desktop.create({ title: unique('facts'), requiresApproval: true, autoRun: true });
  await signIn(ada, site.ada, '/board');
  const isSame = await open(ada, `/tasks/${task.id}`);
  await seen(facts(ada).getByText('Waiting for desktop'));
  const attempt = await desktop.claim();
  await facts(ada).getByText('Waiting for desktop').waitFor({ state: 'detached' });
  await says(facts(ada), 'Running');
  await work(attempt);
  await says(fact(facts(ada), 'Exit code'), '0');
  await says(fact(facts(ada), 'Changed'), '2 files +3 −1');
  await seen(button(bar(ada), 'Approve'));

  await ben.goto(`/tasks/${task.id}`);
  await button(bar(ben), 'Approve').click();
  await dialog(ben).getByLabel('Note (optional)').fill('seen by Ben');
  await button(dialog(ben), 'Approve').click();
  await seen(bar(ada).getByText('Approved', { exact: true }));
  await says(facts(ada), `Approved by ${site.ben.email}`);
  await says(facts(ada), 'seen by Ben');
  assert.equal(await button(bar(ada), 'Approve').count(), 0);
  await isSame();
}, site.ben)));

test('nothing moves under the pointer: new items wait until they are asked for', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('held'));
  const first = await desktop.finish({ title: unique('held') });
  const isSame = await open(page, '/approvals');
  const request = page.getByRole('article').filter({ hasText: first.title });
  await request.hover();
  const element = await request.elementHandle();
  const place = await request.boundingBox();
  const more = [await desktop.finish({ title: unique('more') }), await desktop.finish({ title: unique('more') })];
  await seen(button(page, '2 new'));
  assert.ok(await element.evaluate((node) => node.isConnected), 'the element is still the same');
  assert.equal(await page.getByRole('article').filter({ hasText: more[0].title }).count(), 0);
  assert.deepEqual(await request.boundingBox(), place, 'where it was');
  await button(page, '2 new').click();
  for (const { title } of more) await seen(page.getByRole('article').filter({ hasText: title }));
  await button(page, '2 new').waitFor({ state: 'hidden' });

  // and by itself, when the pointer leaves
  await request.hover();
  const last = await desktop.finish({ title: unique('last') });
  await seen(button(page, '1 new'));
  await pointAside(page);
  await seen(page.getByRole('article').filter({ hasText: last.title }));
  await isSame();
}));

test('nothing moves under the focus', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('focus'));
  const first = await desktop.finish({ title: unique('focus') });
  await open(page, '/approvals');
  const link = page.getByRole('link', { name: first.title, exact: true });
  await link.focus();
  const more = await desktop.finish({ title: unique('more') });
  await seen(button(page, '1 new'));
  assert.ok(await link.evaluate((element) => element === document.activeElement));
  assert.equal(await page.getByRole('article').filter({ hasText: more.title }).count(), 0);
  await link.evaluate((element) => element.blur());
  await seen(page.getByRole('article').filter({ hasText: more.title }));
}));

test('logs stream in colour, follow the end or stay where somebody reads, and are searched', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('logs'));
  const attempt = await desktop.start({ title: unique('logs') });
  const lines = (from, to) => Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('');
  await attempt.log(lines(0, 100));
  const isSame = await open(page, `/tasks/${attempt.task.id}?tab=logs`);
  const log = page.getByRole('group', { name: 'Log', exact: true });
  const follow = page.getByRole('switch', { name: 'Follow' });
  await says(log, 'line 99');
  const gap = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  assert.ok(await follow.isChecked());
  await attempt.log(lines(100, 140), '\x1b[31mred\x1b[0m and \x1b[3');
  await says(log, 'line 139');
  await attempt.log('2mgreen\x1b[0m, torn between two entries\n');
  await says(log, 'red and green, torn between two entries');
  const colour = (text) => log.getByText(text, { exact: true }).evaluate((element) => getComputedStyle(element).color);
  const plain = await log.evaluate((element) => getComputedStyle(element).color);
  assert.equal(new Set([await colour('red'), await colour('green'), plain]).size, 3);
  await eventually(async () => await gap() < 24, 'the end is in sight');

  await log.evaluate((box) => { box.scrollTop = 0; });
  await eventually(async () => !await follow.isChecked(), 'reading elsewhere switches it off');
  await attempt.log(lines(140, 160));
  await says(log, 'line 159');
  assert.equal(await log.evaluate((box) => box.scrollTop), 0, 'nothing moves');
  await follow.click();
  await eventually(async () => await gap() < 24, 'back at the end');
  const text = await log.innerText();
  assert.deepEqual([...text.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n)), Array.from({ length: 160 }, (_, n) => n));
  await isSame();

  await page.getByRole('searchbox', { name: 'Search the log' }).fill('line 15');
  await page.keyboard.press('Enter');
  await seen(page.getByRole('status').filter({ hasText: '11 lines with line 15' }));
  await attempt.complete();
}));

test('a note that is being written survives what happens meanwhile', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('note'));
  const task = await desktop.finish({ title: unique('note') });
  const isSame = await open(page, `/tasks/${task.id}`);
  await button(bar(page), 'Reject').click();
  const note = dialog(page).getByLabel('What should be different');
  await note.pressSequentially('The first half, ');
  const element = await note.elementHandle();
  const before = await pendingCount();
  await desktop.finish({ title: unique('meanwhile') });
  await setSettings({ requireEvidence: true });
  await setSettings({ requireEvidence: false });
  await expectCount(page, before + 1);
  await page.keyboard.type('the second half');
  assert.equal(await note.inputValue(), 'The first half, the second half');
  assert.ok(await element.evaluate((node) => node.isConnected), 'the field is still the same');
  await isSame();
  await button(dialog(page), 'Reject').click();
  await seen(bar(page).getByText('Rejected', { exact: true }));
  assert.equal((await getTask(task.id)).review.feedback, 'The first half, the second half');
}));

test('drafts survive a reload and signing in again after a sign-out elsewhere', () => signedIn({}, async (page, context) => {
  const desktop = await Desktop.create(unique('draft'));
  const task = await desktop.finish({ title: unique('draft') });
  const note = () => dialog(page).getByLabel('What should be different');
  const openNote = async () => { await button(bar(page), 'Reject').click(); await seen(note()); };
  await open(page, `/tasks/${task.id}`);
  await openNote();
  await note().pressSequentially('worth keeping');
  await page.reload();
  await openNote();
  assert.equal(await note().inputValue(), 'worth keeping');
  await note().pressSequentially(', all of it');

  await inBrowser({}, async (other) => {
    await signIn(other, site.ada, '/settings/account');
    await button(other, 'Sign out everywhere').click();
    await other.waitForURL('**/sign-in**');
  });
  const ended = Date.now();
  await page.waitForURL('**/sign-in**');
  assert.ok(Date.now() - ended < 5_000, 'within five seconds');
  await says(page.getByRole('alert'), 'What you wrote in notes is kept');
  await signIn(page, site.ada, `/tasks/${task.id}`);
  await openNote();
  assert.equal(await note().inputValue(), 'worth keeping, all of it');
  await button(dialog(page), 'Reject').click();
  await seen(bar(page).getByText('Rejected', { exact: true }));
  const left = await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('draft:')));
  assert.deepEqual(left, [], 'what was sent is not kept');
  assert.equal(context.pages().length, 1);
}));

test('an unfinished task is kept too', () => signedIn({}, async (page) => {
  await Desktop.create(unique('unfinished'));
  await page.goto('/board');
  await button(page, 'New task').first().click();
  await dialog(page).getByLabel('Title').pressSequentially('half a title');
  await dialog(page).getByLabel('Content').pressSequentially('half a prompt');
  await page.reload();
  await button(page, 'New task').first().click();
  await seen(dialog(page).getByLabel('Title'));
  assert.equal(await dialog(page).getByLabel('Title').inputValue(), 'half a title');
  assert.equal(await dialog(page).getByLabel('Content').inputValue(), 'half a prompt');
}));

test('a lost connection shows, heals, and the page catches up', () => signedIn({}, async (page, context) => {
  const desktop = await Desktop.create(unique('offline'));
  const isSame = await open(page, '/approvals');
  const banner = page.getByText('Connection lost. Trying again…');
  assert.ok(!await banner.isVisible());
  await context.setOffline(true);
  await seen(banner);
  const task = await desktop.finish({ title: unique('meanwhile') });
  const request = page.getByRole('article').filter({ hasText: task.title });
  assert.equal(await request.count(), 0);
  await context.setOffline(false);
  await banner.waitFor({ state: 'hidden', timeout: 15_000 });
  await seen(request);
  await isSame();
}));

test('the same when the stream cannot be opened for a while', () => signedIn({}, async (page, context, faults) => {
  const desktop = await Desktop.create(unique('broken'));
  let isBroken = true;
  let tries = 0;
  await page.route('**/live?*', (route) => {
    tries += 1;
    return isBroken ? route.abort('connectionrefused') : route.continue();
  });
  await page.goto('/approvals');
  await pointAside(page);
  const isSame = await stays(page);
  const banner = page.getByText('Connection lost. Trying again…');
  await seen(banner);
  const task = await desktop.finish({ title: unique('unheard') });
  await eventually(() => tries >= 2, 'it tries again');
  isBroken = false;
  await banner.waitFor({ state: 'hidden', timeout: 15_000 });
  await seen(page.getByRole('article').filter({ hasText: task.title }));
  await isSame();
  // the script reports in the console what this test did to its requests, and nothing else
  const ours = /^console: htmx: htmx:error: Failed to fetch/;
  faults.splice(0, faults.length, ...faults.filter((fault) => !ours.test(fault)));
}));

test('a session that is ended elsewhere leads to the sign-in, and back to the page', () => signedIn({}, async (page) => {
  await open(page, '/activity');
  await inBrowser({}, async (other) => {
    await signIn(other, site.ben, '/settings/account');
    // Ben's other session, of the first page
    await button(other, 'End').first().click();
    await seen(other.getByText('That session was signed out.'));
  });
  const ended = Date.now();
  await page.waitForURL('**/sign-in**');
  assert.ok(Date.now() - ended < 5_000, 'within five seconds');
  await says(page.getByRole('alert'), 'Your session ended');
}, site.ben));

test('a tab has one stream', () => signedIn({}, async (page) => {
  const running = new Set();
  const isStream = (request) => new URL(request.url()).pathname === '/live';
  let opened = 0;
  page.on('request', (request) => {
    if (isStream(request)) { running.add(request); opened += 1; }
  });
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => running.delete(request));
  const desktop = await Desktop.create(unique('stream'));
  const attempt = await desktop.start({ title: unique('stream') });
  for (const address of ['/board', '/approvals', `/tasks/${attempt.task.id}?tab=logs`, '/desktops', '/activity']) {
    // the page before may still be about to open its own
    await page.goto('about:blank');
    await eventually(() => running.size === 0, 'a page that is left closes its stream');
    opened = 0;
    await open(page, address);
    await desktop.create({ title: unique('an event') });
    // long enough for a second stream to begin, if there were one
    await page.waitForTimeout(700);
    assert.deepEqual([opened, running.size], [1, 1], address);
  }
}));
