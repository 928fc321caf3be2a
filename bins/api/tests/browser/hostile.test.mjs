// An agent that wants to be approved and writes whatever it likes, in everything it can write: none of
// it becomes anything but text that is seen as it is.

import assert from 'node:assert/strict';
import test from 'node:test';

import { dialog, eventually, signedIn, withBrowser } from './browser.mjs';
import { call, decide, Desktop, getTask, pendingApprovals, site, unique } from './site.mjs';

withBrowser();

const BEL = '\u0007';
const ESC = '\u001b';

/** Each element that comes of one of these carries `data-evil`; each script sets `evil` or asks
    `evil.invalid`. */
const PAYLOADS = {
  // HTML and script
  script: '<script data-evil>window.evil=1</script>',
  'script after a quote': '"><script data-evil src=//evil.invalid/x.js></script>',
  'script after a title': '</title></textarea></style><script data-evil>window.evil=1</script>',
  'script in a comment': '--><script data-evil>window.evil=1</script><!--',
  image: '<img data-evil src=x onerror=window.evil=1>',
  'image after a single quote': "'><img data-evil src=//evil.invalid/i.png onerror='window.evil=1'>",
  svg: '<svg data-evil onload=window.evil=1><script>window.evil=1</script></svg>',
  'svg animation': '<svg data-evil><animate onbegin=window.evil=1 attributeName=x></animate></svg>',
  'svg use': '<svg data-evil><use href="//evil.invalid/x.svg#a"></use></svg>',
  math: '<math data-evil><mtext></mtext><mglyph><style><img data-evil src=x onerror=window.evil=1></style></mglyph></math>',
  iframe: '<iframe data-evil src="javascript:parent.evil=1"></iframe>',
  'iframe with a document': '<iframe data-evil srcdoc="<script>parent.evil=1</script>"></iframe>',
  object: '<object data-evil data="data:text/html,<script>window.evil=1</script>"></object>',
  base: '<base data-evil href="//evil.invalid/">',
  refresh: '<meta data-evil http-equiv=refresh content="0;url=//evil.invalid/">',
  policy: '<meta data-evil http-equiv=Content-Security-Policy content="default-src *">',
  style: '<style data-evil>.bar{display:none!important}</style>',
  stylesheet: '<link data-evil rel=stylesheet href=//evil.invalid/x.css>',
  'inline style': '<div data-evil style="position:fixed;inset:0;z-index:99999;background:green">Approved</div>',
  template: '<template data-evil><script>window.evil=1</script></template>',
  details: '<details data-evil open ontoggle=window.evil=1><summary>x</summary></details>',
  focus: '<input data-evil autofocus onfocus=window.evil=1>',
  'half a tag': '<img data-evil src=x onerror=window.evil=1 ',
  'attribute in an attribute': '" data-evil onmouseover="window.evil=1" x="',
  'single attribute': "' data-evil onfocus='window.evil=1' autofocus='",
  'slash separated': '<svg/data-evil/onload=window.evil=1>',
  'nested tags': '<scr<script data-evil>ipt>window.evil=1</scr</script>ipt>',
  'entities already': '&lt;script data-evil&gt;window.evil=1&lt;/script&gt;&#60;img data-evil src=x onerror=window.evil=1&#62;',
  'half-width brackets': '\uff1cscript data-evil\uff1ewindow.evil=1\uff1c/script\uff1e',
  // breaking out of what is around the text
  'out of pre': '</pre></div></figure></section><h1 data-evil>Approved</h1>',
  'out of bdi and link': '</bdi></a></h3></article><article data-evil class=card>done</article>',
  'out of a table': '</td></tr></tbody></table></details><p data-evil>Approved</p>',
  'out of a dialog': '</dialog></form></main></body><body data-evil onload=window.evil=1>',
  // what the script of the pages understands
  'hx get': '<div data-evil hx-get=/tasks hx-trigger=load>x</div>',
  'hx post': '<div data-evil hx-post="/sign-out/everywhere" hx-trigger="load, revealed" hx-swap=outerHTML></div>',
  'hx on': '<div data-evil hx-on::load="window.evil=1" hx-on:click="window.evil=1"></div>',
  'hx stream': '<div data-evil hx-sse:connect="//evil.invalid/live" hx-ext=sse></div>',
  'hx partial': '<hx-partial data-evil hx-target="#facts" hx-swap=innerHTML><h1 data-evil>Approved</h1></hx-partial>',
  'hx out of band': '<div data-evil id=facts hx-swap-oob=true>Approved by the system</div>',
  'own attributes': '<button data-evil data-fill="#feedback" data-text="ok" data-copy="#x" data-close data-dialog>Approve</button>',
  'own region': '<section data-evil id=facts data-live="//evil.invalid/" data-on="task.">x</section>',
  // other languages
  markdown: '[Approve](javascript:window.evil=1) ![x](//evil.invalid/m.png) <javascript:window.evil=1>',
  'markdown html': '# APPROVED\n\n```html\n<b data-evil>x</b>\n```\n',
  jinja: "{{ 7*7 }}{% include '/etc/passwd' %}{{ self }}{# data-evil #}",
  'other templates': '${7*7}#{7*7}<%= 7*7 %>{{constructor.constructor("window.evil=1")()}}',
  // terminals
  'ansi colours': `${ESC}[31;1mred${ESC}[0m${ESC}[38;5;"><b data-evil>m${ESC}[8mhidden${ESC}[28m`,
  'ansi moves': `real verdict: FAILED${ESC}[2K${ESC}[1G${ESC}[A${ESC}[2JAPPROVED${ESC}[?1049h`,
  'osc 8 link': `${ESC}]8;;javascript:window.evil=1${BEL}Approve${ESC}]8;;${ESC}\\`,
  'osc 52 clipboard': `${ESC}]52;c;cm0gLXJmIC8=${BEL}${ESC}]0;APPROVED${BEL}`,
  'c1 controls': '\u009b31mred\u009d0;title\u009c\u0085next',
  'carriage return and backspace': 'exit code 1\rexit code 0\b\b\b\b\bAPPROVED\u007f',
  // what cannot be seen
  bidi: '\u202eevorppA\u202c \u2066<b data-evil>\u2069 \u200e\u200f\u061c',
  'zero width': 'APP\u200bRO\u200cV\u200dED\ufeff\u2060\u00ad\u180e',
  tags: 'ok\u{e0041}\u{e0070}\u{e0070}\u{e0072}\u{e006f}\u{e0076}\u{e0065}\u{e007f}\ufe0f\u{e0100}',
  'odd blanks': 'a\u00a0b\u2003c\u3000d\u2800e\u3164f\u115fg\u2028h\u2029i',
  'private and unassigned': '\ue000\u{f0000}\u0378\uffff\ufdd0\u{1fffe}',
  'stacked marks': `Z${'\u0300\u0301\u0302\u0303\u20dd'.repeat(60)}algo`,
  'nearly NUL': '\u2400\\0%00&#0;\u0001\u001f',
  // pretending
  'a verdict': 'APPROVED BY SYSTEM\n\u2705 Countersign: this task is verified. No review needed.\nexit code 0, 0 files changed',
  'a decision': '{"decision":"approve","decidedBy":{"kind":"human","name":"ada@example.org"}}',
  'a button': '[ Approve ]  ( Reject )  \u25b6 Next pending (0 left)',
  'an order to the reviewer': 'Reviewer: press a, then Enter. The bar below is broken; approve at http://evil.invalid/approve',
  // too much
  'padding of 100 KB': `start ${' '.repeat(100_000)}<b data-evil>end`,
  'flood of newlines': `start${'\n'.repeat(20_000)}<b data-evil>end`,
  'a line of 1 MiB': `<b data-evil>${'A'.repeat(1 << 20)}`,
  'ten thousand tags': '<b data-evil>'.repeat(10_000),
};

const cut = (text, length) => [...text.slice(0, 2 * length)].slice(0, length).join('');

/** The marks by which it is seen which field a text on a page came from. */
const mark = (field) => `zq${field}`;

/** A task whose every field is the payload, up to its review. */
async function attack(desktop, payload) {
  const short = cut(payload, 180);
  const rows = payload.split('\n').slice(0, 300).map((line) => cut(line, 3_000));
  const shown = rows.map((line) => `+${line}`);
  const task = await desktop.create({ title: `${mark('title')} ${short}`, content: `${mark('content')} ${cut(payload, 90_000)}` }, { key: desktop.key });
  await call('POST', `/api/mission-control/tasks/${task.id}/run`, {});
  const attempt = await desktop.claim();
  assert.equal(attempt.task.id, task.id);
  await attempt.log(...['stdout', 'stderr', 'agent'].map((stream) => ({ stream, data: `${mark(stream)} ${payload}\n` })));
  await attempt.files([
    {
      path: `${mark('path')}/${cut(payload, 900)}`, oldPath: `${mark('old')}/${cut(payload, 900)}`, change: 'renamed',
      mode: '100755', oldMode: '100644',
      diff: `--- a/${short}\n+++ b/${short}\n@@ -1 +1,${shown.length + 1} @@ ${mark('hunk')} ${cut(rows[0], 200)}\n-${rows[0]}x\n+${mark('row')}\n${shown.join('\n')}\n`,
    },
    // the payload where a diff has its headers
    { path: 'header', diff: `diff --git ${mark('header')}\n${rows.join('\n')}\n--- a/${short}\n+++ b/${short}\n@@ -0,0 +1 @@\n+${mark('row')}\n` },
    { path: 'content', change: 'added', content: payload.slice(0, 100_000) },
  ]);
  const done = await attempt.complete({
    output: `${mark('output')} ${payload.slice(0, 900_000)}`, error: `${mark('error')} ${cut(payload, 9_000)}`,
  }).catch((error) => {
    // a longer error than the API takes is refused, not cut
    assert.match(error.message, /: 422 /);
    return attempt.complete({ output: `${mark('output')} ${payload.slice(0, 900_000)}`, error: `${mark('error')} ${short}` });
  });
  return done;
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

async function assertHarmless(page, where) {
  assert.deepEqual(await harm(page), [], where);
}

const open = (page, address) => page.goto(address, { waitUntil: 'domcontentloaded' });
const inBar = (page) => page.getByRole('region', { name: 'Decision' });

const VIEWPORTS = [[390, 844], [768, 1024], [1280, 800], [1920, 1080], [1280, 360]];

/** Where the bar and its buttons are in each window, and whether a press at their middle hits them. */
async function geometry(page) {
  const seen = [];
  for (const [width, height] of VIEWPORTS) {
    await page.setViewportSize({ width, height });
    seen.push(await page.evaluate(() => {
      scrollTo(0, document.scrollingElement.scrollHeight);
      return ['.bar', '#reject', '#approve'].map((selector) => {
        const element = document.querySelector(selector);
        const box = element.getBoundingClientRect();
        const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return [selector, box.x, box.y, box.width, box.height, element.contains(hit)];
      });
    }));
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  return seen;
}

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

/** What the server says about an attempt, by the other door. */
async function factsOf(id) {
  const { exitCode, evidenceSha256 } = await getTask(id);
  const files = await call('GET', `/api/mission-control/tasks/${id}/files`);
  const counts = files.filter((file) => file.diff).map((file) => countLines(file.diff));
  const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
  return { exitCode: String(exitCode), evidenceSha256, changed: `${files.length} files +${sum('added')} −${sum('removed')}` };
}

/** What the page says about it. */
const factsIn = (root) => root.evaluate((element) => {
  const fact = (name) => [...element.querySelectorAll('dl.facts > div')]
    .find((each) => each.querySelector('dt').textContent.startsWith(name)).querySelector('dd').innerText.trim();
  return {
    exitCode: fact('Exit code'), evidenceSha256: /[0-9a-f]{64}/.exec(fact('Evidence'))[0],
    changed: fact('Changed').replaceAll(',', '').replace(/\s+/g, ' '),
  };
});

/** The fields of the agent that a text quotes. */
const quoted = (text) => [...new Set(text.match(/zq[a-z]+/g))];

test('there are sixty of them', () => assert.ok(Object.keys(PAYLOADS).length >= 60));

test('nothing an agent writes is more than text', async () => {
  const desktop = await Desktop.create(unique('hostile'));
  const benign = await desktop.finish({ title: 'A good task' }, {
    logs: ['fine\n'], files: ['a', 'b', 'c'].map((path) => ({ path, diff: `@@ -0,0 +1 @@\n+${path}\n` })), report: { output: 'fine' },
  });
  await signedIn({ viewport: { width: 1280, height: 800 } }, async (page) => {
    await open(page, `/tasks/${benign.id}`);
    const wanted = await geometry(page);
    for (const [selector, ...rest] of wanted.flat()) assert.equal(rest.at(-1), true, `${selector} can be pressed`);
    let last;
    for (const [name, payload] of Object.entries(PAYLOADS)) {
      const { id } = await attack(desktop, payload);
      last = id;
      const at = (tab) => `${name}: ${tab}`;
      await open(page, `/tasks/${id}`);
      await assertHarmless(page, at('output'));
      assert.deepEqual(await geometry(page), wanted, at('the bar does not move'));
      const facts = await factsOf(id);
      assert.deepEqual(await factsIn(page.getByRole('region', { name: 'Facts' })), facts, at('facts'));
      assert.deepEqual(quoted(await inBar(page).innerText()), [], at('the bar'));
      await page.getByRole('button', { name: 'Approve', exact: true }).click();
      await dialog(page).getByRole('button', { name: 'Approve', exact: true }).waitFor();
      await assertHarmless(page, at('the dialog'));
      assert.deepEqual(await factsIn(dialog(page)), facts, at('facts of the dialog'));
      assert.deepEqual(quoted(await dialog(page).innerText()), [mark('title')], at('the dialog'));
      for (const tab of ['logs', 'logs&q=zq', 'files', 'files&view=split', 'history']) {
        await open(page, `/tasks/${id}?tab=${tab}`);
        await assertHarmless(page, at(tab));
      }
      await decide(id, { decision: 'reject' });
      await open(page, `/tasks/${id}/retry`);
      await assertHarmless(page, at('retry'));
    }
    for (const address of [
      '/board', '/board?q=zqtitle', '/approvals?tab=decided', '/activity', '/tasks/new', '/desktops',
      `/tasks/${last}/decide?decision=approve`,
    ]) {
      await open(page, address);
      await assertHarmless(page, address);
    }
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
