// An agent that wants to be approved and writes whatever it likes, in everything it can write or that is
// named after it: none of it becomes anything but text that is seen as it is.
//
// `cargo xtask torture render` does the same with 500 payloads.

import assert from 'node:assert/strict';
import test from 'node:test';

import {
  assertHarmless, assertSameElements, attack, factsIn, factsOf, inBar, mark, named, open, quoted, skeleton,
} from './attack.mjs';
import { dialog, eventually, signedIn, withBrowser } from './browser.mjs';
import { cut, PAYLOADS, payloads } from './payloads.mjs';
import { call, Desktop, pendingApprovals, rounds, site, unique } from './site.mjs';

withBrowser();

/** How many payloads are tried, each in every field. */
const TRIED = payloads(rounds(Object.keys(PAYLOADS).length)).length;
/** So many payloads share the log and the files of one attempt: the pages of these need not be opened for
    each. */
const GROUP = 6;
/** So many approvals are on one page of those decided. */
const DECIDED = 50;

const TABS = ['logs', 'logs&q=zq', 'files', 'files&view=split', 'history'];

/** The pages on which the names and texts of many tasks stand together. */
const LISTS = [
  '/board', '/board?q=zqtitle', '/approvals', '/approvals?tab=decided', '/activity', '/tasks/new', '/desktops',
  '/settings/api-keys',
];

/** The payloads in groups; the last one of each group takes the log and the files of all of them. */
function* groups() {
  const all = payloads(TRIED);
  for (let at = 0; at < all.length; at += GROUP) yield all.slice(at, at + GROUP);
}

/** Rejects with the payload as feedback, by a key that is named after it. */
function reject(id, payload, key) {
  return call('POST', `/api/mission-control/tasks/${id}/review`, { decision: 'reject', feedback: `${mark('feedback')} ${cut(payload, 9_000)}` }, { key });
}

/** Everything of an attempt in every place where it is shown. `check` is told after each. */
async function visit(page, { payload, group, decided }, check) {
  const { desktop, decider } = await named(payload);
  const { id } = await attack(desktop, payload, group);
  await open(page, `/tasks/${id}`);
  await check('output');
  const facts = await factsOf(id);
  assert.deepEqual(await factsIn(page.getByRole('region', { name: 'Facts' })), facts, payload);
  assert.deepEqual(quoted(await inBar(page).innerText()), [], payload);
  await page.getByRole('button', { name: 'Approve', exact: true }).click();
  await dialog(page).getByRole('button', { name: 'Approve', exact: true }).waitFor();
  await check('dialog');
  assert.deepEqual(await factsIn(dialog(page)), facts, payload);
  assert.deepEqual(quoted(await dialog(page).innerText()), [mark('title'), mark('desktop')], payload);
  if (decided) {
    for (const tab of TABS) {
      await open(page, `/tasks/${id}?tab=${tab}`);
      await check(tab);
    }
    await open(page, `/tasks/${id}/decide?decision=approve`);
    await check('decide');
  }
  await reject(id, payload, decider);
  if (!decided) return id;
  // who was too late is told what stands
  for (const address of [`/tasks/${id}`, `/tasks/${id}/decide?decision=approve`, `/tasks/${id}/retry`, `/desktops/${desktop.id}/remove`]) {
    await open(page, address);
    await check(`rejected: ${address.replace(id, '').replace(desktop.id, '')}`);
  }
  const again = await call('POST', `/api/mission-control/tasks/${id}/retry`, {});
  await open(page, `/tasks/${again.id}`);
  await check('retried');
  return id;
}

/** A download is a download, and text is text, whatever stands in it. */
async function assertInert(page, id) {
  const path = `/api/mission-control/tasks/${id}`;
  const files = await call('GET', `${path}/files`);
  const has = (part) => files.find((file) => file[part === 'raw' ? 'sha256' : 'diff']).n;
  for (const address of [`${path}/files/${has('raw')}/raw`, `${path}/files/${has('diff')}/diff`]) {
    const answer = await page.request.get(address);
    const { 'content-disposition': disposition, 'content-type': type, ...headers } = answer.headers();
    assert.match(disposition, /^attachment; filename="task_[0-9a-z]+-\d+(\.diff)?"$/, address);
    assert.equal(type, 'application/octet-stream', address);
    assert.equal(headers['x-content-type-options'], 'nosniff', address);
    assert.equal(headers['content-security-policy'], 'sandbox', address);
    const [download] = await Promise.all([page.waitForEvent('download'), page.goto(address).catch(() => {})]);
    await download.cancel();
  }
  for (const what of ['output', 'logs']) {
    await open(page, `${path}/${what}`);
    const harmed = () => page.evaluate(() => [window.evil, document.querySelectorAll('[data-evil]').length]);
    assert.deepEqual(await harmed(), [undefined, 0], what);
    const answer = await page.request.get(`${path}/${what}`, { headers: { accept: 'text/plain' } });
    assert.match(answer.headers()['content-type'], /^text\/plain/);
    assert.equal(answer.headers()['x-content-type-options'], 'nosniff');
    assert.equal(answer.headers()['content-security-policy'], 'sandbox');
  }
}

test('there are sixty of them', () => assert.equal(payloads(60).length, 60));

test('nothing an agent writes is more than text', async () => {
  await signedIn({ viewport: { width: 1280, height: 800 } }, async (page) => {
    // what the pages are made of when nobody means harm
    const harmless = new Map();
    const plain = 'just words';
    await visit(page, { payload: plain, group: Array(GROUP).fill(plain), decided: true }, async (where) => {
      harmless.set(where, await skeleton(page));
    });
    let done = 0;
    for (const group of groups()) {
      for (const [at, [name, payload]] of group.entries()) {
        const decided = at === group.length - 1;
        const all = group.map(([, each]) => each);
        const texts = Array.from({ length: GROUP }, (_, n) => all[n % all.length]);
        const id = await visit(page, { payload, group: texts, decided }, async (where) => {
          await assertHarmless(page, `${name}: ${where}`);
          assertSameElements(await skeleton(page), harmless.get(where), `${name}: ${where}`);
        });
        if (decided) await assertInert(page, id);
        done += 1;
        if (done % DECIDED === 0 || done === TRIED) {
          for (const address of LISTS) {
            await open(page, address);
            await assertHarmless(page, `${address} after ${name}`);
          }
        }
      }
    }
    console.log(`${done} payloads in every field`);
  });
});

test('all of it in review at once, on the board and among the approvals', async () => {
  const desktop = await Desktop.create(unique('queue'));
  await signedIn({}, async (page, context) => {
    // pages that are open meanwhile get everything by the stream
    const board = await context.newPage();
    await open(board, '/board');
    const approvals = await context.newPage();
    await open(approvals, '/approvals');
    let last;
    for (const payload of Object.values(PAYLOADS)) {
      last = await desktop.finish({ title: cut(payload, 200).trim() || 'blank' });
    }
    await eventually(() => board.locator(`.s-review ~ ul #card-${last.id}`).count(), 'the last card is on the open board');
    await assertHarmless(board, 'the open board');
    // the panel shows the oldest fifty; its tab counts all of them
    const pending = (await pendingApprovals()).length;
    await eventually(() => approvals.getByRole('link', { name: `Pending ${pending}`, exact: true }).count(), 'the open panel counts the last request');
    await assertHarmless(approvals, 'the open panel');
    for (const address of ['/board', '/approvals', '/activity', '/desktops']) {
      await open(page, address);
      await assertHarmless(page, address);
    }
  });
});

test('nor while it is written, in a log that is being watched', async () => {
  const desktop = await Desktop.create(unique('stream'));
  const attempt = await desktop.start({ title: 'Watch me' });
  await attempt.heartbeat();
  await signedIn({}, async (page) => {
    await open(page, `/tasks/${attempt.task.id}?tab=logs`);
    const log = page.getByRole('group', { name: 'Log', exact: true });
    for (const [name, payload] of Object.entries(PAYLOADS)) {
      await attempt.heartbeat();
      const end = unique('zqend');
      await attempt.log(...['stdout', 'stderr', 'agent'].map((stream) => ({ stream, data: payload })), `\n${end}\n`);
      await eventually(async () => (await log.textContent()).includes(end), `${name} has arrived`);
      await assertHarmless(page, name);
    }
    assert.equal(page.url(), `${site.url}/tasks/${attempt.task.id}?tab=logs`);
  });
});
