// An attack with one text in every field that an agent, its desktop or its key has, and what can be seen of
// it on a page.

import assert from 'node:assert/strict';

import { cut } from './payloads.mjs';
import { call, Desktop, getTask, site } from './site.mjs';

/** The marks by which it is seen which field a text on a page came from. */
export const mark = (field) => `zq${field}`;

const KEYS = '/api/auth/api-keys';

/** A key of an agent for this desktop, so named: it is who created the task, on every page that says so. */
async function agentNamed(name, desktop) {
  const { key } = await call('POST', KEYS, { name, kind: 'agent', desktopId: desktop.id, capabilities: ['tasks:read', 'tasks:write'] });
  return key;
}

/** A desktop, its agent and a person's key whose names are the payload, as far as a name may be it: control
    characters are refused. */
export async function named(payload) {
  const text = cut(payload.replace(/\p{Cc}/gu, ''), 80).trim();
  const desktop = await Desktop.create(`${mark('desktop')} ${text}`.trim());
  desktop.key = await agentNamed(`${mark('agent')} ${text}`.trim(), desktop);
  const decider = await call('POST', KEYS, { name: `${mark('key')} ${text}`.trim(), kind: 'human' });
  return { desktop, decider: decider.key };
}

/** The files of an attempt that writes `payload` into each part of them. */
function filesOf(payload, n) {
  const short = cut(payload, 180);
  const rows = payload.split('\n').slice(0, 300).map((line) => cut(line, 3_000));
  const shown = rows.map((line) => `+${line}`);
  return [
    {
      path: `${mark('path')}/${n}/${cut(payload, 900)}`, oldPath: `${mark('old')}/${n}/${cut(payload, 900)}`, change: 'renamed',
      mode: '100755', oldMode: '100644',
      diff: `--- a/${short}\n+++ b/${short}\n@@ -1 +1,${shown.length + 1} @@ ${mark('hunk')} ${cut(rows[0], 200)}\n-${rows[0]}x\n+${mark('row')}\n${shown.join('\n')}\n`,
    },
    // the payload where a diff has its headers
    { path: `header ${n}`, diff: `diff --git ${mark('header')}\n${rows.join('\n')}\n--- a/${short}\n+++ b/${short}\n@@ -0,0 +1 @@\n+${mark('row')}\n` },
    { path: `content ${n}`, change: 'added', content: payload.slice(0, 100_000) },
  ];
}

/** A task whose own fields are `payload`, and whose logs and files are those of all of `group`, up to its
    review. */
export async function attack(desktop, payload, group = [payload]) {
  const short = cut(payload, 180);
  const task = await desktop.create({ title: `${mark('title')} ${short}`, content: `${mark('content')} ${cut(payload, 90_000)}` }, { key: desktop.key });
  await call('POST', `/api/mission-control/tasks/${task.id}/run`, {});
  const attempt = await desktop.claim();
  assert.equal(attempt.task.id, task.id);
  for (const each of group) {
    await attempt.log(...['stdout', 'stderr', 'agent'].map((stream) => ({ stream, data: `${mark(stream)} ${each}\n` })));
  }
  await attempt.files(group.flatMap(filesOf));
  const output = `${mark('output')} ${group.join('\n')}`.slice(0, 900_000);
  return attempt.complete({ output, error: `${mark('error')} ${cut(payload, 9_000)}` }).catch((error) => {
    // a longer error than the API takes is refused, not cut
    assert.match(error.message, /: 422 /);
    return attempt.complete({ output, error: `${mark('error')} ${short}` });
  });
}

/** What a payload managed to do to the page; empty when it did nothing. */
const harm = (page) => page.evaluate(() => {
  const found = [];
  for (const element of document.querySelectorAll('[data-evil], hx-partial')) found.push(`element ${element.outerHTML.slice(0, 120)}`);
  if (window.evil !== undefined) found.push('its script ran');
  // the blank characters that Unicode calls letters, marks or symbols are no better than the rest
  const unseen = /(?![\n\t ])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Z}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/u;
  const look = (text, where) => {
    const [hit] = unseen.exec(text) ?? [];
    if (hit) found.push(`raw U+${hit.codePointAt(0).toString(16).toUpperCase()} in ${where}`);
  };
  // what a person edits is the text as it is: a field cannot draw what it would then send
  const isEdited = (node) => Boolean(node.closest?.('textarea, input[name=title]'));
  const walk = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_COMMENT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.nodeType !== Node.ELEMENT_NODE) {
        if (!isEdited(node.parentElement ?? document.body)) look(node.data, `text of ${node.parentElement?.outerHTML.slice(0, 80)}`);
        continue;
      }
      for (const { name, value } of node.attributes) {
        if (!isEdited(node)) look(value, `attribute ${name}`);
        if (/^(on|hx-on|style$)/.test(name)) found.push(`attribute ${name}="${value.slice(0, 60)}"`);
      }
      if (node.localName === 'template') walk(node.content);
    }
  };
  walk(document.documentElement);
  look(document.title, 'the title of the tab');
  return [...new Set(found)];
});

export async function assertHarmless(page, where) {
  assert.deepEqual(await harm(page), [], where);
}

/** The elements of the page, one a line, by name and names of attributes. Where text of an agent stands,
    only what we make of it ourselves is left out: stretches with a class of ours. Rows of a diff, and marks
    that depend on the text, are no part of it. */
export const skeleton = (page) => page.evaluate(() => {
  const quoting = 'bdi, pre, td.code, blockquote, option, q, textarea';
  const depends = 'body > svg, .callout.warn, p.gap, #log-box > pre:not(#log), .tag, table.diff tbody, .lines';
  // what our own script changes while a page is open
  const changing = /^(class|style|hidden|tabindex|aria-.*|data-htmx-powered)$/;
  const ours = /^(esc|mark|mixed|cut|sign|chunk|c-(stdout|stderr|agent)|a-(bold|dim|italic|underline|inverse|strike)|a-[fb]g-\d+)$/;
  const isOurs = (element) => element.localName === 'span' && [...element.classList].every((name) => ours.test(name))
    && [...element.attributes].every(({ name }) => name === 'class' || (name === 'title' && element.classList.contains('chunk')));
  const lines = [];
  const walk = (element, depth) => {
    for (const child of element.children) {
      if (child.closest(quoting) && isOurs(child)) { walk(child, depth); continue; }
      if (child.matches(depends)) continue;
      const attributes = [...child.attributes].map(({ name }) => name).filter((name) => !changing.test(name)).sort();
      lines.push(`${'  '.repeat(depth)}${child.localName} ${attributes.join(' ')}`.trimEnd());
      walk(child, depth + 1);
    }
  };
  walk(document.body, 0);
  return lines;
});

/** Fails with the first element that one has and the other has not. */
export function assertSameElements(found, wanted, where) {
  const at = wanted.findIndex((line, n) => line !== found[n]);
  const [here, there] = at < 0 ? [found[wanted.length], undefined] : [found[at], wanted[at]];
  assert.equal(here, there, `${where} is made of other elements than a harmless page`);
}

export const open = (page, address) => page.goto(address, { waitUntil: 'domcontentloaded' });
export const inBar = (page) => page.getByRole('region', { name: 'Decision' });

/** Lines that a diff adds and removes within its hunks, as anybody would count them. */
function countLines(diff) {
  const count = { added: 0, removed: 0 };
  let [old, fresh] = [0, 0];
  for (const line of diff.split('\n')) {
    const header = old + fresh > 0 ? null : /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (header) [old, fresh] = [Number(header[1] ?? 1), Number(header[2] ?? 1)];
    else if (old + fresh > 0) {
      if (line[0] === '+') { count.added += 1; fresh -= 1; }
      else if (line[0] === '-') { count.removed += 1; old -= 1; }
      else if (line[0] === ' ') { old -= 1; fresh -= 1; }
    }
  }
  return count;
}

/** The changed files of an attempt, page by page. */
async function filesIn(id) {
  const files = [];
  let path = `/api/mission-control/tasks/${id}/files`;
  while (path) {
    const answer = await fetch(site.url + path, { headers: { 'x-api-key': site.key } });
    files.push(...await answer.json());
    [, path] = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '') ?? [];
  }
  return files;
}

/** What the server says about an attempt by the other door: its sealed manifest, and the lines of the diffs
    that are listed in it. */
export async function factsOf(id) {
  const { evidenceSha256 } = await getTask(id);
  const manifest = await call('GET', `/api/mission-control/tasks/${id}/evidence`);
  const files = await filesIn(id);
  assert.deepEqual(files.map(({ path }) => path), manifest.files.map(({ path }) => path));
  const counts = files.filter(({ diff }) => diff).map(({ diff }) => countLines(diff));
  const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
  return { exitCode: String(manifest.exitCode), evidenceSha256, changed: `${files.length} files +${sum('added')} −${sum('removed')}` };
}

/** What the page says about it. */
export const factsIn = (root) => root.evaluate((element) => {
  const fact = (name) => [...element.querySelectorAll('dl.facts > div')]
    .find((each) => each.querySelector('dt').textContent.startsWith(name)).querySelector('dd').innerText.trim();
  return {
    exitCode: fact('Exit code'), evidenceSha256: /[0-9a-f]{64}/.exec(fact('Evidence'))[0],
    changed: fact('Changed').replaceAll(',', '').replace(/\s+/g, ' '),
  };
});

/** The fields of the agent that a text quotes. */
export const quoted = (text) => [...new Set(text.match(/zq[a-z]+/g))];
