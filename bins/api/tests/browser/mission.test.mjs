// The whole flow of the mission: once by mouse, once by keyboard alone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

import { dialog, eventually, signedIn, withBrowser } from './browser.mjs';
import { Desktop, getTask, pendingApprovals, unique } from './site.mjs';
import {
  FILES, OUTPUT, bar, button, column, expectCount, fact, facts, navigation, pendingCount, pointAside, says,
  seen, style, taskOf, work,
} from './work.mjs';

withBrowser();

const REASON = 'This is not what was asked for: ';

test('from a new task to the deployment it sets off, by mouse', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('builder'));
  const other = await desktop.finish({ title: unique('another request') });
  const [write, deploy] = [unique('write the page'), unique('deploy')];

  await button(page, 'New task').first().click();
  await dialog(page).getByLabel('Title').fill(write);
  await dialog(page).getByLabel('Content').fill('Write a page that greets the world');
  await dialog(page).getByLabel('Desktop').selectOption({ label: desktop.name });
  await dialog(page).getByRole('switch', { name: 'Requires approval' }).click();
  await button(dialog(page), 'Create').click();
  await page.waitForURL(/\/tasks\/task_/);
  const written = taskOf(page);
  await seen(page.getByRole('heading', { level: 1, name: write }));
  await says(facts(page), 'Pending');

  await navigation(page).getByRole('link', { name: 'Board' }).click();
  await seen(column(page, 'Pending').getByRole('link', { name: write }));
  await button(page, 'New task').first().click();
  await dialog(page).getByText('Command', { exact: true }).click();
  assert.ok(await dialog(page).getByRole('radio', { name: 'Command' }).isChecked());
  await dialog(page).getByLabel('Title').fill(deploy);
  await dialog(page).getByLabel('Content').fill('make deploy');
  await dialog(page).getByLabel('Desktop').selectOption({ label: desktop.name });
  await dialog(page).getByText('Depends on', { exact: true }).click();
  await dialog(page).getByRole('checkbox', { name: write }).check();
  await dialog(page).getByRole('switch', { name: 'Start automatically' }).click();
  await button(dialog(page), 'Create').click();
  await page.waitForURL(/\/tasks\/task_/);
  const deployed = taskOf(page);
  assert.notEqual(deployed, written);
  const { type, autoRun, dependsOn } = await getTask(deployed);
  assert.deepEqual([type, autoRun, dependsOn.map((task) => task.id ?? task)], ['command', true, [written]]);
  await seen(facts(page).getByText('Waits until this task is done'));

  await facts(page).getByRole('link', { name: write }).click();
  await page.waitForURL(`**/tasks/${written}`);
  await button(facts(page), 'Run').click();
  await pointAside(page);
  await seen(facts(page).getByText(`Waiting for desktop ${desktop.name}`));
  const attempt = await desktop.claim();
  assert.equal(attempt.task.id, written);
  await seen(facts(page).getByText('Running', { exact: true }));
  await work(attempt);
  await seen(button(bar(page), 'Approve'));
  const before = await pendingCount();
  await expectCount(page, before);

  await navigation(page).getByRole('link', { name: 'Approvals' }).click();
  const panel = page.getByRole('region', { name: 'Approvals' });
  await seen(panel.getByRole('link', { name: `Pending ${before}`, exact: true }));
  await expectCount(page, before);
  const titles = await panel.getByRole('heading', { level: 2 }).allInnerTexts();
  assert.equal(titles.length, before);
  assert.ok(titles.indexOf(other.title) < titles.indexOf(write), 'the oldest is first');
  const request = panel.getByRole('article').filter({ hasText: write });
  for (const text of ['exit 0', '2 files', '+3', '−1', desktop.name, 'Requires Approval is set on this task', 'completed']) {
    await says(request, text);
  }
  await request.getByRole('link', { name: 'Full output' }).click();

  await page.waitForURL(`**/tasks/${written}?tab=output*`);
  const { evidenceSha256 } = await getTask(written);
  await says(fact(facts(page), 'What ran'), 'Write a page that greets the world');
  await says(fact(facts(page), 'Where'), desktop.name);
  await says(fact(facts(page), 'Exit code'), '0');
  await says(fact(facts(page), 'Duration'), 's');
  await says(fact(facts(page), 'Changed'), '2 files +3 −1');
  await says(fact(facts(page), 'Why gated'), 'Requires Approval is set on this task');
  await says(fact(facts(page), 'Evidence'), evidenceSha256);
  await seen(facts(page).getByText('Approving starts now:'));
  await says(facts(page), `${deploy} (command, on ${desktop.name})`);

  const tabs = page.getByRole('region', { name: 'What the task produced' });
  const tab = (name) => tabs.getByRole('link', { name, exact: true }).click();
  await seen(tabs.getByText(OUTPUT));
  await says(tabs, 'Output, written by the agent');

  await tab('Logs');
  const log = tabs.getByRole('group', { name: 'Log', exact: true });
  await says(log, 'compiled in 2 s\nall 12 tests pass\nwarning: one unused name');
  assert.notEqual(await style(log.getByText('compiled', { exact: true }), 'color'), await style(log, 'color'), 'in colour');
  await tabs.getByRole('searchbox', { name: 'Search the log' }).fill('PASS');
  await button(tabs, 'Search').click();
  await seen(tabs.getByRole('status').filter({ hasText: '1 line with PASS' }));
  assert.equal((await tabs.getByRole('row').innerText()).replace(/\s+/g, ' '), '2 all 12 tests pass');
  await tabs.getByRole('link', { name: 'Whole log' }).click();
  await seen(log);

  await tab('Files changed');
  const list = tabs.getByRole('group', { name: 'Files' });
  await says(list, 'site/index.html');
  await says(list, 'Added');
  await expectWordMarks(tabs);
  const unified = await tabs.getByRole('row').filter({ hasText: 'Hello' }).count();
  assert.equal(unified, 2, 'the old line and the new one each have a row');
  const [raw] = await Promise.all([
    page.waitForEvent('download'),
    tabs.getByRole('link', { name: 'Raw diff' }).first().click(),
  ]);
  assert.equal(await readFile(await raw.path(), 'utf8'), FILES[0].diff, 'byte for byte');
  await tabs.getByRole('link', { name: 'Side by side' }).click();
  await seen(tabs.getByRole('row').filter({ hasText: 'wurld' }).filter({ hasText: 'world' }));
  await expectWordMarks(tabs);

  await tab('History');
  const history = await tabs.getByRole('listitem').allInnerTexts();
  for (const text of ['You created', 'started, attempt 1', 'finished, now in Review']) {
    assert.ok(history.some((row) => row.includes(text)), `${text}: ${history}`);
  }

  await button(bar(page), 'Reject').click();
  await seen(dialog(page).getByText(evidenceSha256));
  await dialog(page).getByRole('link', { name: 'Not what was asked' }).click();
  const note = dialog(page).getByLabel('What should be different');
  assert.equal(await note.inputValue(), REASON);
  await note.press('End');
  await note.pressSequentially('greet the moon');
  await button(dialog(page), 'Reject').click();
  await seen(bar(page).getByText('Rejected', { exact: true }));
  assert.match(await bar(page).innerText(), /You rejected this at \d\d:\d\d/);
  await expectCount(page, before - 1);
  assert.equal((await getTask(deployed)).status, 'pending', 'what depends on it does not start');

  await button(bar(page), 'Retry with changes').click();
  await seen(dialog(page).getByRole('blockquote').filter({ hasText: `${REASON}greet the moon` }));
  const prompt = dialog(page).getByLabel('Content');
  assert.equal(await prompt.inputValue(), 'Write a page that greets the world');
  assert.ok(await areBeside(dialog(page).getByRole('blockquote'), prompt), 'the feedback is beside the prompt');
  await prompt.fill('Write a page that greets the moon');
  await button(dialog(page), 'Retry with changes').click();
  await page.waitForURL((url) => /^\/tasks\/task_/.test(url.pathname) && !url.pathname.includes(written));
  const retried = taskOf(page);
  await pointAside(page);
  await says(facts(page), `${REASON}greet the moon`);
  const second = await desktop.claim();
  assert.equal(second.task.id, retried);
  assert.equal(second.task.content, 'Write a page that greets the moon');
  assert.equal(second.task.priorFeedback[0].feedback, `${REASON}greet the moon`);
  await work(second);
  await seen(button(bar(page), 'Approve'));
  await expectCount(page, before);

  await button(bar(page), 'Approve').click();
  await seen(dialog(page).getByText('Approving starts now:'));
  await says(dialog(page), `${deploy} (command, on ${desktop.name})`);
  await dialog(page).getByLabel('Note (optional)').fill('Well done');
  await button(dialog(page), 'Approve').click();
  await seen(bar(page).getByText('Approved', { exact: true }));
  assert.match(await bar(page).innerText(), /You approved this at \d\d:\d\d/);
  const third = await desktop.claim();
  assert.equal(third.task.id, deployed, 'the deployment starts in that moment');
  await third.complete();

  const [oldest, ...later] = await pendingApprovals();
  const left = later.length + 1;
  assert.equal(left, before - 1);
  await bar(page).getByRole('link', { name: `Next pending (${left} left)` }).click();
  await page.waitForURL(`**/tasks/${oldest.taskId}`);
  await navigation(page).getByRole('link', { name: 'Board' }).click();
  for (const [name, title] of [['Failed', write], ['Done', write], ['Done', deploy], ['Review', other.title]]) {
    await seen(column(page, name).getByRole('link', { name: title }));
  }
}));

/** The words that differ are marked, and only these. */
async function expectWordMarks(tabs) {
  for (const word of ['wurld', 'world']) {
    const mark = tabs.getByText(word, { exact: true }).first();
    await seen(mark);
    const cell = mark.locator('xpath=ancestor::td[1]');
    assert.notEqual(await style(mark, 'background-color'), await style(cell, 'background-color'), `${word} stands out`);
  }
}

/** Whether one box begins where the other ends, on the same height. */
async function areBeside(left, right) {
  const [a, b] = [await left.boundingBox(), await right.boundingBox()];
  return a.x + a.width <= b.x && a.y < b.y + b.height && b.y < a.y + a.height;
}

test('the same by keyboard alone', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('keyboard'));
  const [write, deploy] = [unique('key page'), unique('key deploy')];
  // nothing here may need the mouse, so there is none
  await page.keyboard.press('n');
  await seen(button(dialog(page), 'Create'));
  await tabTo(page, dialog(page).getByLabel('Title'));
  await page.keyboard.type(write);
  await tabTo(page, dialog(page).getByLabel('Content'));
  await page.keyboard.type('Write it');
  await tabTo(page, dialog(page).getByLabel('Desktop'));
  await page.keyboard.type(desktop.name);
  await tabTo(page, dialog(page).getByRole('switch', { name: 'Requires approval' }));
  await page.keyboard.press('Space');
  await tabTo(page, button(dialog(page), 'Create'));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/tasks\/task_/);
  const written = taskOf(page);
  const deployment = await desktop.create({ title: deploy, type: 'command', content: 'true', dependsOn: [written], autoRun: true });

  await tabTo(page, button(facts(page), 'Run'));
  await page.keyboard.press('Enter');
  // the page after it, without the greeting of the created task: keys pressed before are lost
  await page.waitForURL(`**/tasks/${written}`);
  const attempt = await desktop.claim();
  assert.equal(attempt.task.id, written);
  await work(attempt);

  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.waitForURL('**/approvals');
  await moveTo(page, page.getByRole('link', { name: write, exact: true }));
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/tasks/${written}`);

  await page.keyboard.press('r');
  const note = dialog(page).getByLabel('What should be different');
  await seen(note);
  await tabTo(page, dialog(page).getByRole('link', { name: 'Changes too much' }));
  await page.keyboard.press('Enter');
  assert.ok(await isFocused(note), 'writing goes on where the reason ends');
  await page.keyboard.press('End');
  await page.keyboard.type('keep the title');
  await tabTo(page, button(dialog(page), 'Reject'));
  await page.keyboard.press('Enter');
  await seen(bar(page).getByText('Rejected', { exact: true }));

  await tabTo(page, button(bar(page), 'Retry with changes'));
  await page.keyboard.press('Enter');
  await seen(dialog(page).getByRole('blockquote').filter({ hasText: 'keep the title' }));
  await tabTo(page, button(dialog(page), 'Retry with changes'));
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.includes(written));
  await work(await desktop.claim());
  await seen(button(bar(page), 'Approve'));
  await page.keyboard.press('a');
  await seen(dialog(page).getByText('Approving starts now:'));
  await tabTo(page, button(dialog(page), 'Approve'));
  await page.keyboard.press('Enter');
  await seen(bar(page).getByText('Approved', { exact: true }));
  assert.equal((await desktop.claim()).task.id, deployment.id);

  await page.keyboard.press('g');
  await page.keyboard.press('b');
  await page.waitForURL('**/board');
}));

test('focus stays in the dialog, is seen, and goes back to where it came from', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('focus'));
  const task = await desktop.finish({ title: unique('focus') });
  await page.goto(`/tasks/${task.id}`);
  await tabTo(page, button(bar(page), 'Approve'));
  await page.keyboard.press('Enter');
  await seen(button(dialog(page), 'Approve'));
  for (const key of ['Tab', 'Shift+Tab']) {
    for (let n = 0; n < 12; n += 1) {
      await page.keyboard.press(key);
      const outside = await page.evaluate(() => {
        const { activeElement } = document;
        return activeElement !== document.body && !activeElement.closest('dialog');
      });
      assert.ok(!outside, 'nothing behind the dialog is reached');
    }
  }
  await page.keyboard.press('Escape');
  await dialog(page).waitFor({ state: 'detached' });
  await eventually(() => isFocused(button(bar(page), 'Approve')), 'focus goes back to the button');
  assert.equal((await getTask(task.id)).status, 'review', 'closing decides nothing');
  await page.keyboard.press('Enter');
  await tabTo(page, dialog(page).getByRole('link', { name: 'Back' }));
  await page.keyboard.press('Enter');
  await eventually(() => isFocused(button(bar(page), 'Approve')), 'Back closes it too');
}));

test('shortcuts: help, moving to and fro, none while typing, none when switched off', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('shortcuts'));
  const tasks = [];
  for (const word of ['first', 'second']) tasks.push(await desktop.finish({ title: unique(word) }));
  await page.goto('/approvals');
  await page.keyboard.press('?');
  await seen(dialog(page).getByRole('heading', { name: 'Keyboard' }));
  await page.keyboard.press('Escape');
  await dialog(page).waitFor({ state: 'detached' });
  const [first, second] = tasks.map((task) => page.getByRole('link', { name: task.title, exact: true }));
  await moveTo(page, second);
  await page.keyboard.press('k');
  assert.ok(await isFocused(first));
  await page.keyboard.press('j');
  assert.ok(await isFocused(second));
  for (const key of ['a', 'r']) {
    await page.keyboard.press(key);
    assert.equal(await dialog(page).count(), 0, 'decisions are opened on the task page only');
  }

  await page.goto(`/tasks/${tasks[0].id}?tab=logs`);
  await page.getByRole('searchbox', { name: 'Search the log' }).focus();
  await page.keyboard.type('arn?gb');
  assert.equal(await dialog(page).count(), 0, 'typing is typing');
  assert.equal(await page.getByRole('searchbox', { name: 'Search the log' }).inputValue(), 'arn?gb');

  await page.goto('/settings/account');
  const choice = page.getByRole('switch', { name: 'Keyboard shortcuts' });
  assert.ok(await choice.isChecked());
  await choice.click();
  await page.goto(`/tasks/${tasks[0].id}`);
  for (const key of ['a', 'r', 'n', '?']) await page.keyboard.press(key);
  assert.equal(await dialog(page).count(), 0, 'switched off');
  await page.goto('/settings/account');
  await choice.click();
  await page.goto(`/tasks/${tasks[0].id}`);
  await page.keyboard.press('a');
  await seen(button(dialog(page), 'Approve'));
}));

const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Presses Tab until an element has the focus, which must then be seen. */
async function tabTo(page, locator) {
  await seen(locator);
  for (let n = 0; n < 80; n += 1) {
    if (await isFocused(locator)) return expectFocusSeen(locator);
    await page.keyboard.press('Tab');
  }
  return assert.fail(`Tab does not reach ${locator}`);
}

/** The outline is around the element, or around the card that its link fills. */
async function expectFocusSeen(locator) {
  const isSeen = await locator.evaluate((element) => [null, '::after'].some((part) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(element, part);
    return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1;
  }));
  assert.ok(isSeen, `focus on ${locator} is seen`);
}

/** Presses j until an element has the focus. */
async function moveTo(page, locator) {
  await seen(locator);
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press('j');
    if (await isFocused(locator)) return expectFocusSeen(locator);
  }
  return assert.fail(`j does not reach ${locator}`);
}
