// An agent whose text wants to pass for a statement of ours, or to push ours out of sight: the bar with the
// decision and the facts stand where they stand for anybody, and say what was sealed.
//
// `cargo xtask torture render` does the same with 200 texts in five windows.

import assert from 'node:assert/strict';
import test from 'node:test';

import { factsIn, factsOf, inBar, mark, open, quoted } from './attack.mjs';
import { signedIn, withBrowser } from './browser.mjs';
import { cut, lies } from './payloads.mjs';
import { Desktop, rounds, unique } from './site.mjs';

withBrowser();

const TRIED = Math.min(rounds(12), 200);
const WINDOWS = [[390, 844], [1280, 800], [768, 1024], [1920, 1080], [1280, 360]];
/** All of them when there is time. */
const VIEWPORTS = TRIED > 12 ? WINDOWS : WINDOWS.slice(0, 2);

/** What is ours and stands in the same place whatever an agent writes. */
const OURS = ['Where', 'Exit code', 'Duration', 'Changed', 'Why gated', 'Attempt', 'Completed', 'Log', 'Evidence'];

/** A task in review with this text in every field, three files, and a line of log in each stream. */
function told(desktop, text) {
  const line = cut(text.replaceAll('\n', ' '), 2_000);
  return desktop.finish({ title: `${mark('title')} ${cut(text, 190)}`.trim(), content: `${mark('content')} ${cut(text, 50_000)}` }, {
    logs: ['stdout', 'stderr', 'agent'].map((stream) => ({ stream, data: `${mark(stream)} ${text}\n` })),
    files: ['a', 'b', 'c'].map((name) => ({
      path: `${mark('path')}/${name}/${cut(text, 900)}`, diff: `@@ -0,0 +1 @@ ${cut(line, 200)}\n+${mark('row')} ${line}\n`,
    })),
    report: { output: `${mark('output')} ${text}`.slice(0, 900_000), error: `${mark('error')} ${cut(text, 9_000)}` },
  });
}

/** Where the bar and its buttons are in this window, whether a press at their middle hits them, and where
    the facts are, counted from the first of them. */
const geometry = (page, names) => page.evaluate((wanted) => {
  scrollTo(0, document.scrollingElement.scrollHeight);
  const place = (box, top = 0) => [box.x, box.y - top, box.width, box.height].map((each) => Math.round(100 * each) / 100);
  const bar = ['.bar', '#reject', '#approve'].map((selector) => {
    const element = document.querySelector(selector);
    const box = element.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return [selector, ...place(box), element.contains(hit)];
  });
  const facts = [...document.querySelectorAll('#facts dl.facts > div')]
    .map((each) => [each.querySelector('dt').textContent.split(',')[0], each]).filter(([name]) => wanted.includes(name));
  const top = facts[0][1].getBoundingClientRect().y;
  return {
    bar,
    facts: facts.map(([name, each]) => [name, ...place(each.getBoundingClientRect(), top)]),
    top: top + scrollY,
    // nothing makes the page wider than its window
    wide: document.scrollingElement.scrollWidth - innerWidth,
  };
}, names);

/** The facts of the page, each as it reads. */
const said = (page, names) => page.evaluate((wanted) => [...document.querySelectorAll('#facts dl.facts > div')]
  .map((each) => [each.querySelector('dt').textContent, each.querySelector('dd').innerText.replace(/\s+/g, ' ').trim()])
  .filter(([name]) => wanted.includes(name)), names);

/** The same in each window. */
async function inWindows(page, look) {
  const seen = [];
  for (const [width, height] of VIEWPORTS) {
    await page.setViewportSize({ width, height });
    seen.push(await look());
  }
  return seen;
}

test('no text moves the decision or the facts, or says something in their place', async () => {
  const desktop = await Desktop.create(unique('lies'));
  await signedIn({ viewport: { width: 1280, height: 800 } }, async (page) => {
    // as much text as a page has room for, of somebody who means no harm but writes with no-break spaces
    const honest = await told(desktop, `${'des mots\u00a0: ou\u00a0?\u00a0! '.repeat(40)}\n`.repeat(60));
    await open(page, `/tasks/${honest.id}`);
    const wanted = await inWindows(page, () => geometry(page, OURS));
    for (const { bar } of wanted) {
      for (const [selector, ...rest] of bar) assert.equal(rest.at(-1), true, `${selector} can be pressed`);
    }
    const theirs = ['Duration', 'Completed', 'Log', 'Evidence'];
    const constant = (await said(page, OURS)).filter(([name]) => !theirs.includes(name));
    for (const [name, text] of lies(TRIED)) {
      const { id } = await told(desktop, text);
      await open(page, `/tasks/${id}`);
      const seen = await inWindows(page, () => geometry(page, OURS));
      for (const [at, { bar, facts, top, wide }] of seen.entries()) {
        const where = `${name} in ${VIEWPORTS[at]}`;
        assert.deepEqual(bar, wanted[at].bar, `the bar: ${where}`);
        assert.deepEqual(facts, wanted[at].facts, `the facts: ${where}`);
        assert.ok(top <= wanted[at].top + 1, `the facts are pushed down from ${wanted[at].top} to ${top}: ${where}`);
        assert.ok(wide <= 0, `${wide} pixels too wide: ${where}`);
      }
      assert.deepEqual((await said(page, OURS)).filter(([fact]) => !theirs.includes(fact)), constant, name);
      assert.deepEqual(await factsIn(page.getByRole('region', { name: 'Facts' })), await factsOf(id), name);
      assert.deepEqual(quoted(await inBar(page).innerText()), [], `the bar: ${name}`);
      for (const tab of ['logs', 'files']) {
        await open(page, `/tasks/${id}?tab=${tab}`);
        for (const [at, { bar, wide }] of (await inWindows(page, () => geometry(page, OURS))).entries()) {
          assert.deepEqual(bar, wanted[at].bar, `the bar of ${tab}: ${name} in ${VIEWPORTS[at]}`);
          assert.ok(wide <= 0, `${wide} pixels too wide: ${tab} of ${name} in ${VIEWPORTS[at]}`);
        }
      }
    }
    console.log(`${TRIED} texts in ${VIEWPORTS.length} windows`);
  });
});
