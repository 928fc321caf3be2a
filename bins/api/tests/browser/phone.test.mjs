// The dashboard in one hand: every page fits, everything can be hit by a thumb, and a decision is
// taken by taps alone.

import assert from 'node:assert/strict';
import test from 'node:test';

import { dialog, eventually, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, getTask, site, unique } from './site.mjs';
import { dialogsOf, exaggerate, pagesOf, tell } from './story.mjs';

withBrowser();

const PHONES = [[360, 780], [390, 844]].map(([width, height]) => ({
  viewport: { width, height }, hasTouch: true, isMobile: true, deviceScaleFactor: 2,
}));
const named = ({ viewport }) => `${viewport.width}x${viewport.height}`;
const button = (page, name) => page.getByRole('button', { name, exact: true });
const bar = (page) => page.getByRole('region', { name: 'Decision' });

/** Each fault once, with the first page that has it. */
function told(faults) {
  const first = new Map();
  for (const [where, fault] of faults) if (!first.has(fault)) first.set(fault, where);
  return [...first].map(([fault, where]) => `${fault} (${where})`).join('\n');
}

/** What is wrong with the page for a thumb; empty when nothing is. */
const faultsOf = (page, root = 'body') => page.evaluate((root_) => {
  const faults = [];
  const { scrollingElement: page_ } = document;
  if (page_.scrollWidth > innerWidth) {
    const widest = [...document.querySelectorAll('main *')].find((each) => each.getBoundingClientRect().right > innerWidth + 1);
    faults.push(`scrolls sideways: ${page_.scrollWidth} > ${innerWidth}, ${widest?.outerHTML.slice(0, 120)}`);
  }
  const name = (element) => `"${(element.innerText || element.getAttribute('aria-label') || element.name || element.id).trim().slice(0, 40)}"`;
  const controls = [...document.querySelectorAll(
    'button, .btn, summary, select, input:not([type=hidden], [type=checkbox], [type=radio]), nav:not(.crumbs) a',
  )].filter((each) => each.closest(root_) && each.checkVisibility({ visibilityProperty: true }) && each.getClientRects().length);
  const boxes = controls.map((control) => ({ control, box: control.getBoundingClientRect() }));
  for (const { control, box } of boxes) {
    if (box.height < 48) faults.push(`${name(control)} is ${box.height} px high`);
    if (box.left < 0 || box.right > innerWidth + 0.5) {
      // a strip of tabs, or a table, may scroll within itself
      let strip = control.parentElement;
      while (strip && !['auto', 'scroll'].includes(getComputedStyle(strip).overflowX)) strip = strip.parentElement;
      if (!strip) faults.push(`${name(control)} is outside: ${box.left} to ${box.right}`);
    }
  }
  // what floats over the page, or sticks to its end, is in front of it and not in its way
  const layer = (element) => element.closest('.bar, [popover], dialog, .form-end');
  for (const [at, one] of boxes.entries()) {
    for (const other of boxes.slice(at + 1)) {
      if (one.control.contains(other.control) || other.control.contains(one.control)) continue;
      if (layer(one.control) !== layer(other.control)) continue;
      const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      // two of a kind may share a border
      if (wide > 1 && high > 1) faults.push(`${name(one.control)} lies over ${name(other.control)}`);
    }
  }
  return faults;
}, root);

test('every page and dialog fits a phone and a thumb', async (t) => {
  const tasks = await tell();
  const { rejected, waiting } = await exaggerate();
  const pages = [
    ...pagesOf(tasks), `/tasks/${rejected}`, `/tasks/${rejected}/retry`,
    ...['output', 'logs', 'files', 'files&view=split', 'history'].map((tab) => `/tasks/${waiting}?tab=${tab}`),
    `/tasks/${waiting}/decide?decision=approve`,
  ];
  try {
    for (const phone of PHONES) {
      await t.test(named(phone), () => signedIn(phone, async (page) => {
        const found = [];
        for (const address of pages) {
          await page.goto(address, { waitUntil: 'domcontentloaded' });
          found.push(...(await faultsOf(page)).map((fault) => [address, fault]));
        }
        for (const [address, name] of [...dialogsOf(tasks), [`/tasks/${waiting}`, 'Reject'], [`/tasks/${rejected}`, 'Retry with changes']]) {
          if (name === '?') continue;
          await page.goto(address, { waitUntil: 'domcontentloaded' });
          await page.getByRole('main').getByRole('button', { name, exact: true }).first().tap();
          await dialog(page).waitFor();
          found.push(...(await faultsOf(page, 'dialog')).map((fault) => [`${address} ${name}`, fault]));
          const box = await dialog(page).boundingBox();
          if (box.x < 0 || box.x + box.width > phone.viewport.width) found.push([`${address} ${name}`, 'the dialog is cut off']);
        }
        assert.equal(told(found), '');
      }));
    }
  } finally {
    tasks.end();
  }
});

for (const phone of PHONES) {
  test(`a decision by taps: ${named(phone)}`, () => signedIn(phone, async (page) => {
    const desktop = await Desktop.create(unique('pocket'));
    const title = unique('Shorten the page');
    const lines = Array.from({ length: 400 }, (_, n) => `line ${n}\n`);
    const { id, evidenceSha256 } = await desktop.finish({ title }, {
      logs: [lines.join('')],
      files: [{ path: 'page.html', diff: `--- a/page.html\n+++ b/page.html\n@@ -1,2 +1,1 @@\n-<p>long\n-<p>longer\n+<p>short\n` }],
      report: { output: lines.join('') },
    });
    await page.goto('/board');
    await page.getByRole('button', { name: 'Menu' }).tap();
    const menu = page.getByRole('navigation', { name: 'Main' });
    await menu.waitFor();
    assert.deepEqual(await faultsOf(page, '#nav'), []);
    await menu.getByRole('link', { name: 'Approvals' }).tap();
    await page.waitForURL('**/approvals');
    await page.getByRole('link', { name: title }).tap();
    await page.waitForURL(`**/tasks/${id}`);

    // what matters is on top of the page, in this order
    const summary = page.getByRole('region', { name: 'Summary' });
    const text = await summary.innerText();
    assert.match(text, /exit 0/);
    assert.match(text, /\+1\s+−2/);
    assert.match(text, /line 399/);
    assert.doesNotMatch(text, /line 379\n/, 'the last twenty lines');
    assert.match(text, /<p>short/);
    const top = async (locator) => (await locator.boundingBox()).y;
    assert.ok(await top(summary) < await top(page.getByRole('navigation', { name: 'Task' })));
    assert.ok(await top(page.getByRole('heading', { level: 1 })) < await top(summary));

    const isInSight = async () => {
      const box = await bar(page).boundingBox();
      return box.y >= 0 && Math.abs(box.y + box.height - phone.viewport.height) < 1;
    };
    assert.ok(await isInSight(), 'at the top');
    await page.evaluate(() => scrollTo(0, document.scrollingElement.scrollHeight));
    assert.ok(await isInSight(), 'at the bottom');
    // nothing of the page ends up behind the bar
    const last = await page.getByRole('main').evaluate((main) => main.lastElementChild.lastElementChild.getBoundingClientRect().bottom);
    assert.ok(last <= (await bar(page).boundingBox()).y + 1, 'the end of the page is above the bar');
    const [reject, approve] = [await button(page, 'Reject').boundingBox(), await button(page, 'Approve').boundingBox()];
    assert.ok(approve.x - (reject.x + reject.width) >= 8, 'the two are apart');

    await button(page, 'Reject').tap();
    await dialog(page).getByRole('link', { name: 'Back' }).tap();
    await dialog(page).waitFor({ state: 'hidden' });
    assert.equal((await getTask(id)).status, 'review');
    await button(page, 'Approve').tap();
    assert.match(await dialog(page).innerText(), new RegExp(evidenceSha256));
    await dialog(page).getByRole('button', { name: 'Approve', exact: true }).tap();
    await page.getByText('Approved. The task is done.').waitFor();
    assert.match(await bar(page).innerText(), /You approved this at/);
    const { review } = await getTask(id);
    assert.equal(review.decision, 'approve');
    assert.equal(review.decidedBy.name, site.ada.email);
  }));

  test(`a task is made, rejected and retried by taps: ${named(phone)}`, () => signedIn(phone, async (page) => {
    const desktop = await Desktop.create(unique('thumb'));
    const content = unique('Say hello');
    await page.goto('/board');
    await button(page, 'New task').tap();
    await dialog(page).getByLabel('Content').fill(content);
    await dialog(page).getByLabel('Desktop').selectOption({ label: desktop.name });
    await dialog(page).getByRole('switch', { name: 'Requires approval' }).tap();
    await dialog(page).getByRole('switch', { name: 'Start automatically' }).tap();
    await dialog(page).getByRole('button', { name: 'Create' }).tap();
    await page.getByText('Task created.').waitFor();
    const attempt = await desktop.claim();
    const { id } = await attempt.complete();
    await page.goto(`/tasks/${id}`);
    await button(page, 'Reject').tap();
    const reasons = dialog(page).getByRole('group', { name: 'Start from' });
    await reasons.getByRole('link').or(reasons.getByRole('button')).first().tap();
    const note = dialog(page).getByLabel('What should be different');
    await eventually(async () => (await note.inputValue()) !== '', 'the reason is filled in');
    await dialog(page).getByRole('button', { name: 'Reject', exact: true }).tap();
    await page.getByText('Rejected.').first().waitFor();
    await button(page, 'Retry with changes').tap();
    await dialog(page).getByLabel('Content').fill(`${content}, loudly`);
    await dialog(page).getByRole('button', { name: 'Retry with changes' }).tap();
    await page.getByText('This is the retry.').waitFor();
    const retried = await call('GET', `/api/mission-control/tasks/${(await getTask(id)).retriedBy}`);
    assert.equal(retried.content, `${content}, loudly`);
    assert.equal(retried.requiresApproval, true);
  }));
}
