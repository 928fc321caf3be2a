// A week in the life of a team: data that looks like what people really see, on every page, with a
// task in each of its states.

import { Desktop, call, decide, diffOf } from './site.mjs';

const RUN_AND_GATE = { autoRun: true, requiresApproval: true };

/** A hunk of a diff, with its counts. */
function hunk(oldStart, newStart, lines) {
  const count = (sign) => lines.filter((line) => !line.startsWith(sign)).length;
  return [`@@ -${oldStart},${count('+')} +${newStart},${count('-')} @@`, ...lines];
}

const fileDiff = (path, ...hunks) => [
  `diff --git a/${path} b/${path}`, `--- a/${path}`, `+++ b/${path}`, ...hunks.flat(), '',
].join('\n');

const CACHE = fileDiff('src/rates/cache.ts', hunk(1, 1, [
  " import { fetchRates, type Rates } from './source';",
  "-import { sleep } from '../time';",
  "+import { now, sleep } from '../time';",
  ' ',
  '-const MAX_AGE = 60_000;',
  '+const MAX_AGE = 5 * 60_000;',
  '+/** Older than this, a rate is not shown at all: a wrong price is worse than none. */',
  '+const NEVER_OLDER = 60 * 60_000;',
  ' ',
  ' let kept: Rates | undefined;',
]), hunk(22, 24, [
  ' export async function rates(): Promise<Rates> {',
  '-  if (kept && Date.now() - kept.at < MAX_AGE) return kept;',
  '-  kept = await fetchRates();',
  '-  return kept;',
  '+  const age = kept ? now() - kept.at : Infinity;',
  '+  if (kept && age < MAX_AGE) return kept;',
  '+  try {',
  '+    kept = await fetchRates();',
  '+  } catch (error) {',
  '+    if (!kept || age > NEVER_OLDER) throw error;',
  '+    log.warn("the bank does not answer, rates are %d s old", age / 1000);',
  '+  }',
  '+  return kept;',
  ' }',
]));

const CACHE_TEST = fileDiff('test/rates.test.ts', hunk(41, 41, [
  ' ',
  '-test("rates are fetched every minute", async () => {',
  '+test("rates are fetched every five minutes", async () => {',
  '   const source = fake(rates({ USD: 1.08 }));',
  '-  await clock.pass(61_000);',
  '+  await clock.pass(301_000);',
  '   assert.equal(source.calls, 2);',
  ' });',
  '+',
  '+test("rates of half an hour ago are better than none, those of two hours ago are not", async () => {',
  '+  const source = fake(failing());',
  '+  await clock.pass(30 * 60_000);',
  '+  assert.deepEqual(await rates(), { USD: 1.08 });',
  '+  await clock.pass(90 * 60_000);',
  '+  await assert.rejects(rates());',
  '+});',
]));

const TEST_LOG = [
  '\u001b[1mRunning 214 tests\u001b[0m\n',
  ...['source', 'cache', 'round', 'format', 'api'].map((name, at) => `\u001b[32m✓\u001b[0m rates/${name} \u001b[2m(${at * 7 + 12} ms)\u001b[0m\n`),
  { stream: 'stderr', data: '\u001b[33mwarning\u001b[0m: the bank does not answer, rates are 1800 s old\n' },
  '\u001b[32m✓\u001b[0m all 214 tests passed in 8.4 s\n',
];

const PROMPT = `The price page asks the bank for exchange rates once a minute and fails when the bank does not answer.

Keep rates for five minutes, and go on with the last ones when the bank is away, but never with rates older than an hour.
Add tests for both.`;

const OUTPUT = `Rates are now kept for five minutes (MAX_AGE) and reused for up to an hour when the bank does not answer.

- src/rates/cache.ts: the old rates are returned when fetching fails, with a warning in the log
- test/rates.test.ts: two tests, one for each limit

All 214 tests pass. I did not touch the rounding of prices.
`;

/** Fills an account that is still empty. What tasks there are, by what they are good for. */
export async function tell() {
  const [builder, production, laptop] = [
    await Desktop.create('build-1'), await Desktop.create('prod-eu'), await Desktop.create("Mei's laptop"),
  ];
  const first = await builder.finish({ title: 'Bump dependencies and read their changelogs', content: 'Bump dependencies.' }, {
    files: [{ path: 'package.json', diff: diffOf('package.json', ['    "undici": "7.2.0"'], ['    "undici": "7.3.1"']) }],
    report: { output: 'Bumped undici. No breaking changes in its changelog.\n' },
  });
  await decide(first.id, { decision: 'approve', feedback: 'Good.' });
  await (await builder.start({ type: 'command', title: 'Run the linter', content: 'npm run lint' })).complete({ output: 'No problems found\n' });

  const rejected = await builder.finish({ title: 'Keep exchange rates for five minutes', content: PROMPT }, {
    logs: TEST_LOG, files: [{ path: 'src/rates/cache.ts', diff: CACHE }], report: { output: OUTPUT },
  });
  await decide(rejected.id, {
    decision: 'reject', feedback: 'Right idea. But nothing tests that rates older than an hour are refused: please add that.',
  });
  // what started by itself starts by itself again
  const { id: review } = await call('POST', `/api/mission-control/tasks/${rejected.id}/retry`, {});
  const again = await builder.claim();
  await again.log(...TEST_LOG);
  await again.files([
    { path: 'src/rates/cache.ts', diff: CACHE },
    { path: 'test/rates.test.ts', diff: CACHE_TEST },
    { path: 'scripts/rates.sh', change: 'added', mode: '100755', content: '#!/bin/sh\nexec node rates.js\n',
      diff: '--- /dev/null\n+++ b/scripts/rates.sh\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+exec node rates.js\n' },
    { path: 'docs/rates.md', oldPath: 'docs/cache.md', change: 'renamed' },
    { path: 'img/chart.png', change: 'added', content: new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0]) },
    { path: 'src/rates/old.ts', change: 'deleted', diff: '--- a/src/rates/old.ts\n+++ /dev/null\n@@ -1 +0,0 @@\n-export {};\n' },
  ]);
  const deploy = await production.create({
    type: 'command', title: 'Deploy 4.2 to production', content: './deploy.sh 4.2 --region eu', dependsOn: [review], ...RUN_AND_GATE,
  });
  await again.complete({ output: OUTPUT });

  const { id: notes } = await laptop.finish({ title: 'Write the release notes of 4.2', content: 'Write the release notes.' }, {
    files: [{ path: 'NOTES.md', change: 'added', diff: diffOf('NOTES.md', [], ['# 4.2', '', 'Prices stay up when the bank is away.']) }],
    report: { output: 'Written.\n' },
  });
  const failed = await builder.start({ type: 'command', title: 'Publish the container image', content: 'make publish' });
  await failed.log('pushing registry/app:4.2\n', { stream: 'stderr', data: 'denied: requested access to the resource is denied\n' });
  await failed.complete({ outcome: 'failed', exitCode: 1, error: 'make publish: exit status 1' });

  const cancelled = await builder.create({ title: 'Rewrite everything in another language', content: 'Rewrite it.' });
  await call('POST', `/api/mission-control/tasks/${cancelled.id}/cancel`, {});
  const { id: pending } = await builder.create({ title: 'Remove the flags of 4.1', content: 'Remove them.', requiresApproval: true });
  const running = await laptop.start({ title: 'Translate the price page to Portuguese', content: 'Translate it.' });
  await running.heartbeat();
  await running.log('reading src/pages/prices.html\n', '\u001b[36m→\u001b[0m 42 strings to translate\n');
  const heart = setInterval(() => running.heartbeat().catch(() => {}), 8_000);
  const { id: unclaimed } = await production.create({ type: 'command', title: 'Check the certificates', content: 'certs check', autoRun: true });
  return {
    done: first.id, rejected: rejected.id, review, notes, deploy: deploy.id, failed: failed.task.id,
    cancelled: cancelled.id, pending, running: running.task.id, unclaimed, desktop: builder.id,
    end: () => clearInterval(heart),
  };
}

/** The task whose only purpose is to be too long everywhere. */
export async function exaggerate() {
  const endless = 'W'.repeat(150);
  const desktop = await Desktop.create('D'.repeat(90));
  const lines = Array.from({ length: 300 }, (_, n) => `${n} ${endless}`);
  const { id } = await desktop.finish({ title: endless, content: `${endless}${endless}` }, {
    logs: [lines.join('\n')],
    files: [{ path: `${'folder/'.repeat(30)}${endless}.txt`, diff: diffOf('x', lines.slice(0, 40), lines.slice(100, 150)) }],
    report: { output: lines.join('\n'), error: endless },
  });
  await decide(id, { decision: 'reject', feedback: endless });
  const waiting = await desktop.finish({ title: `${endless}2`, content: endless }, {
    logs: [lines.join('\n')], files: [{ path: endless, diff: diffOf('x', lines.slice(0, 40), lines.slice(100, 150)) }],
    report: { output: endless, exitCode: 2_147_483_647 },
  });
  return { rejected: id, waiting: waiting.id };
}

/** Every page there is while nothing has happened yet. */
export const EMPTY = [
  '/sign-in', '/board', '/approvals', '/approvals?tab=decided', '/tasks/new', '/desktops', '/activity',
  '/activity?type=desktop.', '/settings/mission-control', '/settings/account', '/settings/api-keys',
];

/** Every page of an account in which all that happened. */
export const pagesOf = (tasks) => [
  ...EMPTY, '/sign-in?ended=1', '/board?q=nothing+like+it', '/board/older?status=done', '/nowhere', '/tasks/none',
  ...['output', 'logs', 'files', 'files&view=split', 'history'].map((tab) => `/tasks/${tasks.review}?tab=${tab}`),
  `/tasks/${tasks.review}?tab=logs&q=rates`,
  ...['done', 'rejected', 'failed', 'cancelled', 'pending', 'unclaimed', 'deploy'].map((name) => `/tasks/${tasks[name]}`),
  `/tasks/${tasks.running}?tab=logs`, `/tasks/${tasks.running}/cancel`, `/tasks/${tasks.failed}/retry`,
  `/tasks/${tasks.review}/decide?decision=approve`, `/tasks/${tasks.review}/decide?decision=reject`,
  `/tasks/${tasks.done}/decide?decision=approve`, `/desktops/${tasks.desktop}/remove`,
];

/** Every dialog: the page it is on and the button that opens it. */
export const dialogsOf = (tasks) => [
  ['/board', 'New task'], [`/tasks/${tasks.review}`, 'Approve'], [`/tasks/${tasks.review}`, 'Reject'],
  [`/tasks/${tasks.running}`, 'Cancel'], [`/tasks/${tasks.failed}`, 'Retry'], ['/desktops', 'Remove'],
  ['/settings/api-keys', 'Revoke'], ['/board', '?'],
];
