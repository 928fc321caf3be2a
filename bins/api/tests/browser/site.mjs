// The site under test, and what programs say to it: REST with an API key, and a desktop whose
// runner is the test, so that an agent can say whatever a test wants it to say.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

const environment = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run these tests by 'cargo xtask test'`);
  return value;
};

/** Where the server is, and who may do what there. */
export const site = {
  url: environment('SITE_URL'),
  /** A key of the kind human with all capabilities. */
  key: environment('SITE_KEY'),
  /** Two people who can sign in. */
  ada: { email: 'ada@example.org', password: environment('SITE_PASSWORD') },
  ben: { email: 'ben@example.org', password: environment('SITE_PASSWORD') },
  /** The server program and its database, for administration. */
  program: environment('SITE_PROGRAM'),
  database: environment('DATABASE_URL'),
};

const API = '/api/mission-control';

/** How many rounds a test of many takes: `few`, unless `cargo xtask torture` says how many. */
export const rounds = (few) => Number(process.env.SITE_ROUNDS ?? few);

/** Sends one request; fails when the status is not the one expected. */
export async function call(method, path, body, { key = site.key, status, headers = {} } = {}) {
  const response = await fetch(site.url + path, {
    method,
    headers: {
      'x-api-key': key,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const wanted = status ?? [200, 201, 202, 204];
  assert.ok([wanted].flat().includes(response.status), `${method} ${path}: ${response.status} ${text}`);
  const isJson = response.headers.get('content-type')?.includes('json');
  return isJson ? JSON.parse(text) : text;
}

export const getTask = (id) => call('GET', `${API}/tasks/${id}`);
export const pendingApprovals = () => call('GET', `${API}/approvals`);
export const decide = (id, body) => call('POST', `${API}/tasks/${id}/review`, body);
export const setSettings = (settings) => call('PATCH', `${API}/settings`, settings);

/** The number of the newest row of the log: it tells whether anything has changed. */
export async function logHead() {
  const response = await fetch(`${site.url}${API}/activity?limit=1`, { headers: { 'x-api-key': site.key } });
  return Number(response.headers.get('x-total-count'));
}

/** What anybody did after `head`. The server itself may find a lease of another test expired. */
export async function doneSince(head) {
  const events = await call('GET', `${API}/activity?after=${head}&limit=500`);
  return events.filter(({ actor }) => actor.kind !== 'system').map(({ type }) => type);
}

/** A desktop with the key of its runner, which is the test. */
export class Desktop {
  static async create(name, capabilities = ['tasks:read', 'tasks:write']) {
    const { id } = await call('POST', '/api/desktops', { name });
    const key = await call('POST', '/api/auth/api-keys', {
      name: `runner of ${name}`.slice(0, 100), kind: 'agent', desktopId: id, capabilities,
    });
    return Object.assign(new Desktop(), { id, name, key: key.key });
  }

  /** Creates a task on this desktop, by the owner unless another key is given. */
  create(task, options) {
    return call('POST', `${API}/tasks`, { type: 'prompt', content: 'Write the page', desktopId: this.id, ...task }, options);
  }

  /** Claims the next queued task. */
  async claim() {
    const claim = await call('POST', `/api/desktops/${this.id}/claim`, { wait: 10 }, { key: this.key });
    return new Attempt(this, claim);
  }

  /** Creates a task that is run at once, and claims it. */
  async start(task = {}) {
    await this.create({ autoRun: true, ...task });
    return this.claim();
  }

  /** Takes a new task to its end: by default to its review. */
  async finish(task = {}, { logs = [], files = [], report = {} } = {}) {
    const attempt = await this.start({ requiresApproval: true, ...task });
    if (logs.length) await attempt.log(...logs);
    if (files.length) await attempt.files(files);
    return attempt.complete(report);
  }
}

const base64 = (data) => Buffer.from(data).toString('base64');

/** An attempt that the test works on. */
export class Attempt {
  constructor(desktop, { task, lease }) {
    Object.assign(this, { desktop, task, token: lease.token, seq: 0 });
  }

  #call(what, body) {
    const path = `/api/desktops/${this.desktop.id}/tasks/${this.task.id}/${what}`;
    return call('POST', path, body, { key: this.desktop.key, headers: { 'x-lease-token': this.token } });
  }

  heartbeat() {
    return this.#call('heartbeat', {});
  }

  /** Texts, bytes, or {stream, data}. */
  log(...entries) {
    const shown = entries.map((entry) => {
      const { stream = 'stdout', data = entry } = entry?.data === undefined ? { data: entry } : entry;
      return { seq: this.seq++, stream, at: new Date().toISOString(), base64: base64(data) };
    });
    return this.#call('logs', { entries: shown });
  }

  /** Files as the contract has them, with `diff` and `content` as text or bytes. */
  files(files) {
    const shown = files.map(({ diff, content, ...file }) => ({
      change: 'modified', ...file,
      ...(diff === undefined ? {} : { diffBase64: base64(diff) }),
      ...(content === undefined ? {} : { contentBase64: base64(content) }),
    }));
    return this.#call('files', { files: shown });
  }

  complete(report = {}) {
    return this.#call('complete', { outcome: 'succeeded', exitCode: 0, ...report });
  }
}

/** A diff of one file that replaces some lines by others. */
export function diffOf(path, removed, added) {
  const lines = [...removed.map((line) => `-${line}`), ...added.map((line) => `+${line}`)];
  return [
    `diff --git a/${path} b/${path}`, `--- a/${path}`, `+++ b/${path}`,
    `@@ -1,${removed.length} +1,${added.length} @@`, ...lines, '',
  ].join('\n');
}

/** A name that no other test uses. */
export const unique = (word) => `${word} ${randomUUID().slice(0, 8)}`;
