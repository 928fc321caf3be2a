// The whole flow of the mission by links and forms alone: the browser runs no script.

import assert from 'node:assert/strict';
import test from 'node:test';

import { dialog, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, getTask, pendingApprovals, unique } from './site.mjs';
import { OUTPUT, bar, button, column, fact, facts, main, navigation, says, seen, taskOf, work } from './work.mjs';

withBrowser();

const plain = (run) => signedIn({ javaScriptEnabled: false }, run);
const heading = (page) => page.getByRole('heading', { level: 1 });

test('from a new task to the deployment it sets off', () => plain(async (page) => {
  const desktop = await Desktop.create(unique('plain'));
  await desktop.finish({ title: unique('another') });
  const [write, deploy] = [unique('write'), unique('deploy')];
  const create = async (fill) => {
    await navigation(page).getByRole('link', { name: 'Board' }).click();
    await button(page, 'New task').first().click();
    await page.waitForURL('**/tasks/new*');
    await fill(main(page));
    await main(page).getByLabel('Desktop').selectOption({ label: desktop.name });
    await button(main(page), 'Create').click();
    await page.waitForURL(/\/tasks\/task_/);
    return taskOf(page);
  };
  const written = await create(async (form) => {
    await form.getByLabel('Title').fill(write);
    await form.getByLabel('Content').fill('Write the page');
    await form.getByRole('switch', { name: 'Requires approval' }).check();
  });
  await seen(page.getByText('Task created.'));
  const deployed = await create(async (form) => {
    await form.getByText('Command', { exact: true }).click();
    await form.getByLabel('Title').fill(deploy);
    await form.getByLabel('Content').fill('make deploy');
    await form.getByText('Depends on', { exact: true }).click();
    await form.getByRole('checkbox', { name: write }).check();
    await form.getByRole('switch', { name: 'Start automatically' }).check();
  });
  await facts(page).getByRole('link', { name: write }).click();
  await button(facts(page), 'Run').click();
  await seen(facts(page).getByText(`Waiting for desktop ${desktop.name}`));
  await work(await desktop.claim());

  await navigation(page).getByRole('link', { name: /^Approvals/ }).click();
  const request = page.getByRole('article').filter({ hasText: write });
  await says(request, 'exit 0');
  await request.getByRole('link', { name: 'Full output' }).click();
  await says(fact(facts(page), 'Exit code'), '0');
  const tabs = page.getByRole('region', { name: 'What the task produced' });
  await says(tabs, OUTPUT);
  await tabs.getByRole('link', { name: 'Logs' }).click();
  await says(tabs.getByRole('group', { name: 'Log', exact: true }), 'all 12 tests pass');
  await tabs.getByRole('searchbox', { name: 'Search the log' }).fill('unused');
  await button(tabs, 'Search').click();
  await seen(tabs.getByText('1 line with'));
  await tabs.getByRole('link', { name: 'Files changed' }).click();
  await says(tabs, 'Hello world');
  await tabs.getByRole('link', { name: 'Side by side' }).click();
  await seen(tabs.getByRole('row').filter({ hasText: 'wurld' }).filter({ hasText: 'world' }));
  await tabs.getByRole('link', { name: 'History' }).click();
  await says(tabs, 'now in Review');

  await button(bar(page), 'Reject').click();
  await page.waitForURL('**/decide?decision=reject*');
  assert.equal(await dialog(page).count(), 0);
  await main(page).getByRole('link', { name: 'Not now' }).click();
  const note = main(page).getByLabel('What should be different');
  assert.equal(await note.inputValue(), 'The work is fine, but not now: ');
  await note.fill(`${await note.inputValue()}tomorrow`);
  await button(main(page), 'Reject').click();
  await seen(page.getByText('Rejected. The task has failed'));
  await seen(bar(page).getByText(/^You rejected this at \d\d:\d\d UTC$/));

  await button(bar(page), 'Retry with changes').click();
  await seen(main(page).getByRole('blockquote').filter({ hasText: 'not now: tomorrow' }));
  await main(page).getByLabel('Content').fill('Write the page tomorrow');
  await button(main(page), 'Retry with changes').click();
  await page.waitForURL((url) => /^\/tasks\/task_/.test(url.pathname) && !url.pathname.includes(written));
  const second = await desktop.claim();
  assert.equal(second.task.content, 'Write the page tomorrow');
  await work(second);
  await page.reload();
  await button(bar(page), 'Approve').click();
  await says(main(page), `Approving starts now: ${deploy} (command, on ${desktop.name})`);
  await main(page).getByLabel('Note (optional)').fill('good');
  await button(main(page), 'Approve').click();
  await seen(page.getByText('Approved. The task is done.'));
  assert.equal((await desktop.claim()).task.id, deployed);

  const [oldest, ...later] = await pendingApprovals();
  await bar(page).getByRole('link', { name: `Next pending (${later.length + 1} left)` }).click();
  await page.waitForURL(`**/tasks/${oldest.taskId}`);
  await navigation(page).getByRole('link', { name: 'Board' }).click();
  await seen(column(page, 'Done').getByRole('link', { name: write }));
}));

test('a decision that comes too late, and one that is sent again', () => plain(async (page) => {
  const desktop = await Desktop.create(unique('late'));
  const task = await desktop.finish({ title: unique('late') });
  await page.goto(`/tasks/${task.id}`);
  await button(bar(page), 'Approve').click();
  await call('POST', `/api/mission-control/tasks/${task.id}/review`, { decision: 'reject', feedback: 'first' });
  await button(main(page), 'Approve').click();
  assert.match(await heading(page).innerText(), /^owner rejected this at \d\d:\d\d UTC$/);
  await says(main(page), 'Your approval changed nothing');

  const own = await desktop.finish({ title: unique('own') });
  await page.goto(`/tasks/${own.id}/decide?decision=approve`);
  await button(main(page), 'Approve').click();
  await seen(bar(page).getByText(/^You approved this at/));
  await page.goBack();
  if (await button(main(page), 'Approve').count()) await button(main(page), 'Approve').click();
  await says(main(page), 'You approved this at');
}));

test('cancelling, and retrying what was cancelled', () => plain(async (page) => {
  const desktop = await Desktop.create(unique('cancel'));
  const task = await desktop.create({ title: unique('cancel') });
  await page.goto(`/tasks/${task.id}`);
  await button(facts(page), 'Cancel').click();
  assert.equal(await heading(page).innerText(), 'Cancel this task?');
  await main(page).getByRole('link', { name: 'Back' }).click();
  assert.equal((await getTask(task.id)).status, 'pending');
  await button(facts(page), 'Cancel').click();
  await button(main(page), 'Cancel task').click();
  await seen(page.getByText('Task cancelled.'));
  assert.equal((await getTask(task.id)).status, 'cancelled');
  await main(page).getByRole('button', { name: 'Retry', exact: true }).first().click();
  await button(main(page), 'Retry').click();
  await seen(page.getByText('This is the retry.'));
  assert.notEqual(taskOf(page), task.id);
}));

test('settings', () => plain(async (page) => {
  await page.goto('/settings/mission-control');
  const approval = page.getByRole('switch', { name: 'Task Approval' });
  await approval.check();
  await button(main(page), 'Save').click();
  await seen(page.getByText('Saved.'));
  assert.ok(await approval.isChecked());
  await page.goto('/tasks/new');
  const locked = page.getByRole('switch', { name: 'Requires approval' });
  assert.deepEqual([await locked.isChecked(), await locked.isDisabled()], [true, true]);
  await says(main(page), 'Task Approval is on for the account');
  await page.goto('/settings/mission-control');
  await approval.uncheck();
  await button(main(page), 'Save').click();
  assert.ok(!await approval.isChecked());
}));

test('API keys: created, used, revoked', () => plain(async (page) => {
  const name = unique('plain key');
  await page.goto('/settings/api-keys');
  await main(page).getByLabel('Name').fill(name);
  await button(main(page), 'Create key').click();
  const key = await page.getByRole('group', { name: 'Key', exact: true }).innerText();
  await call('GET', '/api/mission-control/tasks', undefined, { key });
  await main(page).getByRole('link', { name: 'Done' }).click();
  const row = main(page).getByRole('listitem').filter({ hasText: name });
  assert.ok(!(await main(page).innerText()).includes(key), 'shown once');
  await button(row, 'Revoke').click();
  await button(main(page), 'Revoke key').click();
  await seen(page.getByText('API key revoked.'));
  await call('GET', '/api/mission-control/tasks', undefined, { key, status: 401 });
}));

test('desktops: added, started by the key that is shown, removed', () => plain(async (page) => {
  const name = unique('plain desktop');
  await page.goto('/desktops');
  await main(page).getByLabel('Name').fill(name);
  await button(main(page), 'Add desktop').click();
  assert.match(await page.getByRole('group', { name: 'Command' }).innerText(), /csk_agent_[0-9a-f]+/);
  await main(page).getByRole('link', { name: 'Done' }).click();
  const row = main(page).getByRole('listitem').filter({ hasText: name });
  await says(row, 'never heard from');
  await button(row, 'Remove').click();
  await main(page).getByRole('button').last().click();
  await seen(page.getByText('Desktop removed.'));
}));

test('signing out', () => plain(async (page) => {
  await button(navigation(page), 'Sign out').click();
  await page.waitForURL('**/sign-in');
  await page.goto('/board');
  await page.waitForURL('**/sign-in?next=%2Fboard');
}));
