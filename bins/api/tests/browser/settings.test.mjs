// Settings, keys, desktops, one's own account, and what other sites can do with a signed-in browser:
// nothing.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';

import { dialog, eventually, inBrowser, signIn, signedIn, withBrowser } from './browser.mjs';
import { Desktop, call, decide, doneSince, getTask, logHead, setSettings, site, unique } from './site.mjs';

withBrowser();

const SETTINGS = '/api/mission-control/settings';
const KEYS = '/api/auth/api-keys';
const FOREVER = { waitUntil: 'domcontentloaded' };

const settings = () => call('GET', SETTINGS);
const button = (page, name) => page.getByRole('button', { name, exact: true });
const link = (page, name) => page.getByRole('link', { name, exact: true });
const saved = (page) => page.getByRole('status').filter({ hasText: 'Saved.' });

/** Runs the server program for administration; what it prints. */
function administer(arguments_, input) {
  const ran = spawnSync(site.program, arguments_, {
    env: { DATABASE_URL: site.database }, input, encoding: 'utf8',
  });
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout.trim();
}

/** A person of one test alone, so that others stay signed in. */
function newPerson() {
  const { password } = site.ada;
  const email = `${unique('person').replace(' ', '-')}@example.org`;
  administer(['user', 'create', '--email', email, '--password-stdin'], `${password}\n`);
  return { email, password };
}

/** The token of a fresh one-time link, from what the program prints alone on its line. */
function newToken(person) {
  const printed = administer(['sign-in-link', '--email', person.email, '--public-url', site.url]);
  const [address, token] = printed.split('#');
  assert.equal(address, `${site.url}/sign-in`);
  assert.match(token, /^[0-9a-f]{64}$/);
  return token;
}

/** Whether the browser is signed in, without following where it is led. */
async function isSignedIn(context) {
  const answer = await context.request.get('/board', { maxRedirects: 0 });
  return answer.status() === 200;
}

/** Presses a button that may lead anywhere, and waits for the page it leads to. */
async function pressTo(page, name, address) {
  await Promise.all([page.waitForURL(address), button(page, name).click()]);
}

test('one press switches Task approval, and it holds every task', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('gate'));
  await page.goto('/settings/mission-control');
  const approval = page.getByRole('switch', { name: 'Task approval' });
  assert.equal(await approval.isChecked(), false);
  await approval.click();
  await saved(page).waitFor();
  assert.equal(await approval.isChecked(), true);
  assert.equal((await settings()).taskApprovalMode, true);
  try {
    await page.goto('/board');
    // an empty board has a second one
    await button(page, 'New task').first().click();
    const gate = dialog(page).getByRole('switch', { name: 'Requires approval' });
    assert.equal(await gate.isChecked(), true);
    assert.equal(await gate.isDisabled(), true);
    const reason = await gate.evaluate((field) => document.getElementById(field.getAttribute('aria-describedby')).innerText);
    assert.match(reason, /Task Approval is on for the account/);
    await page.keyboard.press('Escape');

    const finished = await (await desktop.start()).complete();
    assert.equal(finished.status, 'review');
    await page.goto(`/tasks/${finished.id}`);
    await page.getByText('Task Approval is on for the account').first().waitFor();
    await page.goto('/approvals');
    const request = page.getByRole('article').filter({ has: page.locator(`a[href="/tasks/${finished.id}"]`) });
    assert.match(await request.innerText(), /Task Approval is on for the account/);

    await page.goto('/settings/mission-control');
    await approval.click();
    await saved(page).waitFor();
    assert.equal(await approval.isChecked(), false);
    assert.equal((await settings()).taskApprovalMode, false);
    assert.equal((await getTask(finished.id)).status, 'review', 'switching off releases nothing');
  } finally {
    await setSettings({ taskApprovalMode: false });
  }
  await page.goto('/tasks/new');
  assert.equal(await page.getByRole('switch', { name: 'Requires approval' }).isDisabled(), false);
  assert.equal((await (await desktop.start()).complete()).status, 'done');
}));

test('without script Save switches it', () => signedIn({ javaScriptEnabled: false }, async (page) => {
  await page.goto('/settings/mission-control');
  const approval = page.getByRole('switch', { name: 'Task approval' });
  await approval.check();
  assert.equal((await settings()).taskApprovalMode, false, 'only Save sends it');
  try {
    await button(page, 'Save').click();
    await saved(page).waitFor();
    assert.equal((await settings()).taskApprovalMode, true);
    await approval.uncheck();
    await button(page, 'Save').click();
    await saved(page).waitFor();
    assert.equal((await settings()).taskApprovalMode, false);
  } finally {
    await setSettings({ taskApprovalMode: false });
  }
}));

test('Require evidence asks it of programs; the page has it always', () => signedIn({}, async (page) => {
  const desktop = await Desktop.create(unique('evidence'));
  const { id } = await desktop.finish();
  await page.goto('/settings/mission-control');
  await page.getByRole('switch', { name: 'Require evidence' }).click();
  await saved(page).waitFor();
  try {
    assert.deepEqual(await settings(), { taskApprovalMode: false, requireEvidence: true });
    await call('POST', `/api/mission-control/tasks/${id}/review`, { decision: 'approve' }, { status: 428 });
    await page.goto(`/tasks/${id}`);
    await button(page, 'Approve').click();
    await dialog(page).getByRole('button', { name: 'Approve', exact: true }).click();
    await page.waitForURL(`**/tasks/${id}?done=approved`);
    assert.equal((await getTask(id)).status, 'done');
  } finally {
    await setSettings({ requireEvidence: false });
  }
}));

test('a key is shown once, copied, works, and is revoked', () => signedIn(
  { permissions: ['clipboard-read', 'clipboard-write'] },
  async (page) => {
    const name = unique('nightly build');
    await page.goto('/settings/api-keys');
    await page.getByLabel('Name').fill(name);
    await page.getByRole('group', { name: 'Kind' }).getByText('Human').click();
    await page.getByRole('checkbox', { name: /tasks:read/ }).check();
    await button(page, 'Create key').click();
    await page.getByRole('heading', { level: 1, name: `${name} is created` }).waitFor();
    const key = await page.getByRole('group', { name: 'Key' }).innerText();
    assert.match(key, /^csk_human_/);
    await button(page, 'Copy key').click();
    await eventually(async () => (await page.evaluate(() => navigator.clipboard.readText())) === key, 'it is copied');

    await call('GET', SETTINGS, undefined, { key });
    await call('PATCH', SETTINGS, { taskApprovalMode: true }, { key, status: 403 });

    // the form is sent again by a reload: nothing is made twice, nothing is shown twice
    await page.reload();
    await page.waitForURL('**/settings/api-keys');
    const row = page.getByRole('listitem').filter({ hasText: name });
    assert.equal(await row.count(), 1);
    assert.match(await row.innerText(), new RegExp(`…${key.slice(-4)}`));
    assert.ok(!(await page.content()).includes(key), 'the key is gone');

    await row.getByRole('button', { name: 'Revoke' }).click();
    await dialog(page).getByRole('heading', { name: 'Revoke this API key?' }).waitFor();
    await dialog(page).getByRole('link', { name: 'Back' }).click();
    await dialog(page).waitFor({ state: 'hidden' });
    await call('GET', SETTINGS, undefined, { key });
    await row.getByRole('button', { name: 'Revoke' }).click();
    await dialog(page).getByRole('button', { name: 'Revoke key' }).click();
    await page.getByText('API key revoked.').waitFor();
    assert.equal(await row.count(), 0);
    await call('GET', SETTINGS, undefined, { key, status: 401 });
  },
));

test('no key is wider than its kind or than its maker', async () => {
  await signedIn({}, async (page) => {
    const name = unique('wide');
    await page.goto('/settings/api-keys');
    await page.getByLabel('Name').fill(name);
    await page.getByRole('group', { name: 'Kind' }).getByText('Service').click();
    await page.getByRole('checkbox', { name: /approvals:decide/ }).check();
    await button(page, 'Create key').click();
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByLabel('Name').inputValue(), name, 'nothing is typed again');
    const { length } = (await call('GET', KEYS)).filter((key) => key.name === name);
    assert.equal(length, 0);
  });
  // pages take a key as the API does: this one may make keys, but may not decide
  const capabilities = ['tasks:read', 'tasks:write', 'keys:write'];
  const { key } = await call('POST', KEYS, { name: unique('narrow'), kind: 'human', capabilities });
  await inBrowser({ extraHTTPHeaders: { 'x-api-key': key } }, async (page, context) => {
    await page.goto('/settings/api-keys', FOREVER);
    const offered = await page.getByRole('group', { name: 'Capabilities' }).getByRole('checkbox').evaluateAll(
      (boxes) => boxes.map((box) => box.value),
    );
    assert.deepEqual(offered.sort(), [...capabilities].sort());
    const name = unique('smuggled');
    const smuggled = await context.request.post('/settings/api-keys', {
      form: { name, kind: 'human', capability: 'approvals:decide' },
    });
    assert.equal(smuggled.status(), 403);
    assert.ok(!(await call('GET', KEYS)).some((made) => made.name === name));
  });
});

test('a desktop is added with its one command, and removed after a question', () => signedIn({}, async (page) => {
  const name = unique('Mac of Mei');
  await page.goto('/desktops');
  await page.getByLabel('Name').fill(name);
  await button(page, 'Add desktop').click();
  await page.getByRole('heading', { level: 1, name: `${name} is added` }).waitFor();
  const command = await page.getByRole('group', { name: 'Command' }).innerText();
  const words = /^DESKTOP_API_KEY=(csk_agent_\S+) desktop --server (\S+) --desktop (desk_\S+)$/.exec(command);
  assert.ok(words, command);
  const [, key, server, id] = words;
  assert.equal(server, site.url);
  await call('POST', `/api/desktops/${id}/claim`, { wait: 0 }, { key, status: 204 });

  await page.reload();
  await page.waitForURL('**/desktops');
  assert.ok(!(await page.content()).includes(key), 'the key is gone');
  const row = page.getByRole('listitem').filter({ hasText: name });
  assert.equal(await row.count(), 1);
  assert.match(await row.innerText(), /Running/, 'it has just been heard from');
  await row.getByRole('button', { name: 'Remove' }).click();
  await dialog(page).getByRole('heading', { name: 'Remove this desktop?' }).waitFor();
  assert.match(await dialog(page).innerText(), /Its API keys are revoked/);
  await dialog(page).getByRole('link', { name: 'Back' }).click();
  await dialog(page).waitFor({ state: 'hidden' });
  await call('GET', `/api/desktops/${id}`);
  await row.getByRole('button', { name: 'Remove' }).click();
  await dialog(page).getByRole('button', { name: 'Remove desktop' }).click();
  await page.getByText('Desktop removed.').waitFor();
  assert.equal(await row.count(), 0);
  await call('GET', `/api/desktops/${id}`, undefined, { status: 404 });
  await call('POST', `/api/desktops/${id}/claim`, { wait: 0 }, { key, status: 401 });
}));

/** Opens a one-time link as people do, from outside. */
async function follow(page, address) {
  await page.goto('about:blank');
  await page.goto(address);
}

test('a one-time link is used by pressing Sign in, once', async () => {
  const person = newPerson();
  const token = newToken(person);
  // what programs that follow links do: nothing of it uses the link up
  for (const method of ['GET', 'HEAD', 'GET']) {
    const answer = await fetch(`${site.url}/sign-in`, { method });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('set-cookie'), null);
  }
  await inBrowser({}, async (page, context) => {
    const sent = [];
    page.on('request', (request) => sent.push(`${request.url()} ${request.headers().referer ?? ''}`));
    await page.goto(`/sign-in#${token}`);
    await page.getByText('Press the button to use it').waitFor();
    assert.equal(page.url(), `${site.url}/sign-in`, 'the token has left the address');
    const kept = await page.evaluate(() => JSON.stringify([history.state, { ...localStorage }]));
    assert.ok(!kept.includes(token));
    assert.equal(await button(page, 'Sign in').count(), 1, 'there is one way on');
    await page.reload();
    assert.equal(await isSignedIn(context), false);
    await follow(page, `/sign-in#${token}`);
    await button(page, 'Sign in').click();
    await page.waitForURL('**/board');
    assert.ok(sent.every((line) => !line.includes(token)), 'the token is in no address');
  });
  await inBrowser({}, async (page, context) => {
    for (const worthless of [token, 'f'.repeat(64), 'garbage', '<b>']) {
      await follow(page, `/sign-in#${encodeURIComponent(worthless)}`);
      await button(page, 'Sign in').click();
      await page.getByRole('alert').filter({ hasText: 'used already' }).waitFor();
      assert.equal(await isSignedIn(context), false);
    }
  });
});

/** The quick start in a folder of its own: its address and the link to sign in by. */
async function quickStart(use) {
  const folder = await mkdtemp(join(tmpdir(), 'quick-'));
  const program = spawn(site.program, [], {
    cwd: folder, env: { LISTEN: '127.0.0.1:0', HOME: folder }, stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    for await (const line of createInterface(program.stdout)) {
      const [, address] = /^Sign-in: (.*)$/.exec(line) ?? [];
      if (address) {
        await use(address);
        return;
      }
    }
    assert.fail('it prints a link');
  } finally {
    program.kill('SIGTERM');
    if (program.exitCode === null) await once(program, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
}

test('the first owner is told to set a password until there is one', () => quickStart(async (address) => {
  const baseURL = new URL(address).origin;
  await inBrowser({ baseURL }, async (page, context, faults) => {
    await page.goto(address);
    await button(page, 'Sign in').click();
    await page.waitForURL('**/board');
    const banner = page.getByText('This account has no password yet');
    for (const path of ['/board', '/approvals', '/settings/mission-control']) {
      await page.goto(path);
      await banner.waitFor();
    }
    await link(page, 'Set a password').click();
    await page.waitForURL('**/settings/account');
    assert.equal(await page.getByLabel('Current password').count(), 0);
    await page.getByLabel('New password').fill('a password of my own');
    await button(page, 'Set password').click();
    await page.getByText('Password saved.').waitFor();
    for (const path of ['/settings/account', '/board']) {
      await page.goto(path);
      assert.equal(await banner.count(), 0);
    }
    // this server is ours as well
    const foreign = faults.filter((fault) => !fault.startsWith(`request to ${baseURL}/`));
    faults.splice(0, Infinity, ...foreign);
  });
}));

test('a wrong password lets nobody in, and says no more than that', () => inBrowser({}, async (page, context) => {
  const attempt = async (email, password) => {
    await page.goto('/sign-in');
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button(page, 'Sign in').first().click();
    const said = await page.getByRole('alert').innerText();
    assert.equal(await page.getByLabel('E-mail').inputValue(), email);
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
    return said;
  };
  const known = await attempt(site.ada.email, 'wrong horse battery staple');
  const unknown = await attempt('nobody@example.org', site.ada.password);
  assert.equal(known, unknown);
  assert.equal(await isSignedIn(context), false);
  assert.deepEqual(await context.cookies(), []);
}));

test('the cookie is for this server alone, and new at each sign-in', () => signedIn({}, async (page, context) => {
  const [cookie, ...others] = await context.cookies();
  assert.deepEqual(others, []);
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Lax');
  assert.equal(cookie.path, '/');
  assert.equal(cookie.domain, '127.0.0.1', 'of the host alone');
  assert.match(cookie.value, /^[0-9a-f]{64}$/);
  assert.equal(await page.evaluate(() => document.cookie), '');
  // a session that somebody else planted does not become the session of who signs in
  await context.clearCookies();
  await context.addCookies([{ ...cookie, value: 'a'.repeat(64) }]);
  await signIn(page);
  const [fresh] = await context.cookies();
  assert.notEqual(fresh.value, 'a'.repeat(64));
  assert.notEqual(fresh.value, cookie.value);
}));

test('a password is changed by who knows the old one, and other sessions end', async () => {
  const person = newPerson();
  const password = 'quite another password';
  await signedIn({}, async (page) => {
    const change = async (current, next) => {
      await page.goto('/settings/account');
      await page.getByLabel('Current password').fill(current);
      // the page asks for twelve characters; the server must not rely on it
      await page.getByLabel('New password').evaluate((field) => field.removeAttribute('minlength'));
      await page.getByLabel('New password').fill(next);
      await button(page, 'Change password').click();
    };
    await change('not the password', password);
    await page.getByRole('alert').filter({ hasText: 'The current password is wrong.' }).waitFor();
    await change(person.password, 'short');
    await page.getByRole('alert').filter({ hasText: /12/ }).waitFor();
    await inBrowser({}, async (_, other) => {
      const otherPage = await other.newPage();
      await signIn(otherPage, person);
      await change(person.password, password);
      await page.getByText('Password saved. Other sessions were signed out.').waitFor();
      await otherPage.waitForURL('**/sign-in**', { timeout: 5_000 });
    });
    await page.goto('/board');
    await page.getByRole('heading', { name: 'Board' }).waitFor();
  }, person);
  await inBrowser({}, async (page) => {
    await page.goto('/sign-in');
    await page.getByLabel('E-mail').fill(person.email);
    await page.getByLabel('Password', { exact: true }).fill(person.password);
    await button(page, 'Sign in').first().click();
    await page.getByRole('alert').waitFor();
    await signIn(page, { ...person, password });
  });
});

test('sessions are listed, one is ended, all are ended, within five seconds', async () => {
  const person = newPerson();
  await signedIn({}, (page, context) => signedIn({ userAgent: 'Firefox/140 Linux' }, async (other, otherContext) => {
    await page.goto('/settings/account');
    const rows = page.getByRole('region', { name: 'Sessions' }).getByRole('listitem');
    assert.equal(await rows.count(), 2);
    assert.equal(await rows.filter({ hasText: 'This one' }).count(), 1);
    const theirs = rows.filter({ hasNotText: 'This one' });
    assert.match(await theirs.innerText(), /Firefox/);
    assert.equal(await rows.filter({ hasText: 'This one' }).getByRole('button', { name: 'End' }).count(), 0);
    await other.goto('/board');
    await theirs.getByRole('button', { name: 'End' }).click();
    await other.waitForURL('**/sign-in?ended=1', { timeout: 5_000 });
    await other.getByText('Your session ended.').waitFor();
    await page.getByText('That session was signed out.').waitFor();
    assert.equal(await rows.count(), 1);
    assert.equal(await isSignedIn(otherContext), false);

    await signIn(other, person);
    await other.goto('/approvals');
    await page.goto('/settings/account');
    await pressTo(page, 'Sign out everywhere', '**/sign-in');
    await other.waitForURL('**/sign-in?ended=1', { timeout: 5_000 });
    for (const each of [context, otherContext]) assert.equal(await isSignedIn(each), false);
  }, person), person);
});

test('signing out ends the session itself, not only the cookie', () => signedIn({}, async (page, context) => {
  const cookies = await context.cookies();
  await pressTo(page, 'Sign out', '**/sign-in');
  assert.deepEqual(await context.cookies(), []);
  await context.addCookies(cookies);
  assert.equal(await isSignedIn(context), false);
  await page.goto('/approvals');
  assert.match(page.url(), /\/sign-in\?next=%2Fapprovals$/);
}, newPerson()));

// --- Other sites.

/** A page of somebody else, under both kinds of foreign name: the same site on another port, for
    which browsers send cookies along, and another site. */
async function foreignSite() {
  const server = createServer((request, response) => {
    const to = new URL(request.url, 'http://x').searchParams.get('redirect');
    // 307 and 308 repeat the method and the body
    if (to) response.writeHead(request.url.startsWith('/308') ? 308 : 307, { location: to });
    else response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>Elsewhere</title><body>');
  });
  server.listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  const close = () => { server.closeAllConnections(); server.close(); };
  return { close, origins: [`http://127.0.0.1:${port}`, `http://localhost:${port}`] };
}

/** Everything a page can make a browser send, run inside that page. Each vector by itself: one that
    the browser refuses is no reason to leave out the next. */
function attack({ base, review, running, key, digest }) {
  const targets = {
    decide: [`${base}/tasks/${review}/decide`, `decision=approve&evidenceSha256=${digest}`],
    cancel: [`${base}/tasks/${running}/cancel`, ''],
    settings: [`${base}/settings/mission-control`, 'taskApprovalMode=on&requireEvidence=on'],
    keys: [`${base}/settings/api-keys`, 'name=foreign&kind=human'],
    revoke: [`${base}/settings/api-keys/${key}/revoke`, ''],
    signOut: [`${base}/sign-out/everywhere`, ''],
  };
  const api = `${base}/api/mission-control`;
  const form = 'application/x-www-form-urlencoded';
  const vectors = [];
  const vector = (run) => vectors.push(run);
  for (const [action, body] of Object.values(targets)) {
    for (const enctype of [form, 'multipart/form-data', 'text/plain']) {
      vector(() => {
        // each its own frame: a second navigation of one frame calls off the first
        const target = `frame ${document.forms.length}`;
        document.body.append(Object.assign(document.createElement('iframe'), { name: target }));
        const element = Object.assign(document.createElement('form'), { action, method: 'post', enctype, target });
        for (const [name, value] of new URLSearchParams(body)) {
          element.append(Object.assign(document.createElement('input'), { name, value }));
        }
        document.body.append(element);
        element.submit();
      });
    }
    for (const mode of ['no-cors', 'cors']) {
      vector(() => fetch(action, { method: 'POST', mode, credentials: 'include', headers: { 'content-type': form }, body }));
    }
    vector(() => navigator.sendBeacon(action, new Blob([body], { type: form })));
  }
  const json = (method, path, body, type, mode) => vector(() => fetch(`${api}${path}`, {
    method, mode, credentials: 'include', headers: { 'content-type': type }, body: body && JSON.stringify(body),
  }));
  json('POST', `/tasks/${review}/review`, { decision: 'approve' }, 'text/plain', 'no-cors');
  json('POST', `/tasks/${review}/review`, { decision: 'approve' }, 'application/json', 'cors');
  json('PATCH', '/settings', { taskApprovalMode: true }, 'application/json', 'cors');
  json('POST', `/tasks/${running}/cancel`, undefined, 'text/plain', 'no-cors');
  json('POST', `/tasks/${running}/cancel`, {}, 'application/json', 'cors');
  vector(() => {
    const request = new XMLHttpRequest();
    request.open('POST', targets.decide[0]);
    request.withCredentials = true;
    request.setRequestHeader('content-type', form);
    request.send(targets.decide[1]);
  });
  const asking = `${base}/tasks/${review}/decide?decision=approve&feedback=yes`;
  for (const [tag, attribute, more] of [
    ['img', 'src', {}], ['iframe', 'src', {}], ['script', 'src', {}], ['embed', 'src', {}], ['video', 'src', {}],
    ['object', 'data', {}], ['link', 'href', { rel: 'stylesheet' }], ['link', 'href', { rel: 'prefetch' }],
    ['link', 'href', { rel: 'preload', as: 'fetch' }],
  ]) {
    vector(() => document.body.append(Object.assign(document.createElement(tag), more, { [attribute]: asking })));
    if (tag === 'iframe' || tag === 'img') {
      vector(() => document.body.append(Object.assign(document.createElement(tag), { src: `${base}/tasks/${running}/cancel` })));
    }
  }
  // by way of a page of their own, which passes the request on
  const passedOn = (path, to) => `${path}?redirect=${encodeURIComponent(to)}`;
  for (const path of ['/307', '/308']) {
    vector(() => fetch(passedOn(path, targets.decide[0]), {
      method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'content-type': form }, body: targets.decide[1],
    }));
    vector(() => {
      const target = `passed on ${path}`;
      document.body.append(Object.assign(document.createElement('iframe'), { name: target }));
      const element = Object.assign(document.createElement('form'), { action: passedOn(path, targets.decide[0]), method: 'post', target });
      element.append(Object.assign(document.createElement('input'), { name: 'decision', value: 'approve' }));
      document.body.append(element);
      element.submit();
    });
  }
  // from no origin at all: sandboxed, and by addresses that are documents
  const sending = `<form id=f method=post action="${targets.decide[0]}"><input name=decision value=approve></form><script>f.submit()</script>`;
  const asks = `<script>fetch("${targets.settings[0]}", { method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams("taskApprovalMode=on") })</script>`;
  for (const document_ of [sending, asks]) {
    for (const [name, value] of [
      ['srcdoc', document_], ['src', `data:text/html,${encodeURIComponent(document_)}`],
      ['src', URL.createObjectURL(new Blob([document_], { type: 'text/html' }))],
    ]) {
      vector(() => {
        const frame = Object.assign(document.createElement('iframe'), { [name]: value });
        if (name === 'srcdoc') frame.setAttribute('sandbox', 'allow-scripts allow-forms');
        document.body.append(frame);
      });
    }
  }
  vector(() => fetch(targets.decide[0], { method: 'POST', mode: 'no-cors', credentials: 'include', keepalive: true, body: new URLSearchParams(targets.decide[1]) }));
  vector(() => fetch(targets.decide[0], { method: 'POST', mode: 'no-cors', credentials: 'include', referrerPolicy: 'no-referrer', body: new URLSearchParams(targets.decide[1]) }));
  for (const method of ['PUT', 'DELETE', 'PATCH']) {
    vector(() => fetch(`${base}/api/auth/api-keys/${key}`, { method, credentials: 'include' }));
  }
  vector(() => {
    const element = Object.assign(document.createElement('form'), { action: targets.decide[0], method: 'post', target: '_blank' });
    document.body.append(element);
    element.submit();
  });
  vector(() => { window.open(asking); });
  vector(() => { window.open(`${base}/settings/api-keys/${key}/revoke`); });
  vector(() => { new EventSource(`${base}/live?after=0`, { withCredentials: true }); });
  vector(() => { new WebSocket(`${base.replace('http', 'ws')}/live?after=0`); });
  return Promise.all(vectors.map(async (run) => {
    try { await run(); } catch { /* the browser refused it */ }
  })).then(() => vectors.length);
}

test('no page on another site can do anything', async () => {
  const desktop = await Desktop.create(unique('target'));
  const review = await desktop.finish();
  const running = await desktop.create({ autoRun: true });
  const { id: key } = await call('POST', KEYS, { name: unique('target'), kind: 'service' });
  const foreign = await foreignSite();
  try {
    for (const origin of foreign.origins) {
      await signedIn({}, async (page, context, faults) => {
        const [head, before] = [await logHead(), await settings()];
        const answers = [];
        context.on('response', (response) => {
          const request = response.request();
          if (request.method() === 'POST' && request.url().startsWith(site.url)) answers.push(response.status());
        });
        const elsewhere = await context.newPage();
        await elsewhere.goto(origin);
        const sent = await elsewhere.evaluate(attack, {
          base: site.url, review: review.id, running: running.id, key, digest: review.evidenceSha256,
        });
        assert.ok(sent >= 70, `${sent} vectors`);
        await eventually(() => answers.length >= 20, `only ${answers.length} were answered`);
        await elsewhere.waitForTimeout(500);
        assert.deepEqual(answers.filter((status) => status < 300), [], 'none is done');
        if (origin.startsWith('http://127.')) {
          // the control: the browser did send the cookie, it was the server that refused
          assert.ok(answers.filter((status) => status === 403).length >= 10, `refused: ${answers}`);
        }
        assert.deepEqual(await doneSince(head), []);
        assert.deepEqual(await settings(), before);
        assert.equal((await getTask(review.id)).status, 'review');
        assert.equal((await getTask(running.id)).status, 'running');
        await page.goto('/board');
        await page.getByRole('heading', { name: 'Board' }).waitFor();
        // that foreign page asks and complains as much as it likes
        faults.length = 0;
      });
    }
  } finally {
    foreign.close();
  }
});

/** The addresses that a page leads to or asks for by GET. */
function leadsTo(html) {
  const unescaped = html.replaceAll('&amp;', '&').replaceAll('&#38;', '&');
  const links = [...unescaped.matchAll(/(?:href|src|data-live|hx-sse:connect)="([^"]*)"/g)].map(([, address]) => address);
  const forms = [...unescaped.matchAll(/<form method="get" action="([^"]*)".*?<\/form>/gs)].map(([text, action]) => {
    const fields = [...text.matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)];
    return `${action}?${new URLSearchParams(fields.map(([, name, value]) => [name, value]))}`;
  });
  return [...links, ...forms];
}

test('following every link of every page changes nothing', async () => {
  const desktop = await Desktop.create(unique('crawl'));
  await desktop.finish({}, { files: [{ path: 'a.txt', content: 'a', diff: '@@ -0,0 +1 @@\n+a\n' }] });
  const { id: rejected } = await desktop.finish();
  await decide(rejected, { decision: 'reject', feedback: 'again' });
  await desktop.create({ title: 'waits' });
  await signedIn({}, async (_, context) => {
    const head = await logHead();
    const before = await settings();
    const waiting = ['/', '/board', '/activity'];
    const seen = new Set(waiting);
    for (let address = waiting.shift(); address !== undefined && seen.size < 600; address = waiting.shift()) {
      const isStream = address.startsWith('/live');
      const head_ = await context.request.head(address, { maxRedirects: 0 });
      assert.ok(head_.status() < 500, `HEAD ${address}: ${head_.status()}`);
      if (isStream) continue;
      const answer = await context.request.get(address, { maxRedirects: 0 });
      assert.ok(answer.status() < 400, `GET ${address}: ${answer.status()}`);
      const next = [answer.headers().location, ...leadsTo(await answer.text())].filter(Boolean);
      for (const found of next.map((each) => new URL(each, new URL(address, site.url)))) {
        const path = found.pathname + found.search;
        if (found.origin === site.url && !seen.has(path)) {
          seen.add(path);
          waiting.push(path);
        }
      }
    }
    assert.ok(seen.size > 60, `${seen.size} addresses`);
    assert.deepEqual(await doneSince(head), []);
    assert.deepEqual(await settings(), before);
    assert.equal(await isSignedIn(context), true);
  });
});
