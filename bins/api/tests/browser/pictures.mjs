// Takes the pictures of the dashboard for the README, by hand, when its looks have changed:
//
//   node pictures.mjs
//
// It wants a server with an empty account and the same variables as the tests: SITE_URL, SITE_KEY,
// SITE_PASSWORD (of ada@example.org), SITE_PROGRAM and DATABASE_URL. CHROMIUM names the browser
// unless it is at its usual place. The pictures go to docs/images.

import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

import { dialog, signIn } from './browser.mjs';
import { site } from './site.mjs';
import { tell } from './story.mjs';

const FOLDER = fileURLToPath(new URL('../../../../docs/images/', import.meta.url));
/** All pictures together, so that a clone stays small. */
const MOST_BYTES = 1_200_000;

const DESK = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

await mkdir(FOLDER, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'],
});
const tasks = await tell();
let bytes = 0;

/** Opens the pages one after the other and takes a picture of what is in the window. */
async function take(options, pictures) {
  const context = await browser.newContext({ baseURL: site.url, deviceScaleFactor: 1, ...options });
  const page = await context.newPage();
  await signIn(page);
  for (const [name, address, prepare = () => {}] of pictures) {
    await page.goto(address);
    await prepare(page);
    // neither a caret nor a pointer that happens to be somewhere
    await page.mouse.move(0, 0);
    const path = `${FOLDER}${name}.png`;
    await page.screenshot({ path, animations: 'disabled', caret: 'hide' });
    const { size } = await stat(path);
    bytes += size;
    console.log(`${path} ${size}`);
  }
  await context.close();
}

const task = `/tasks/${tasks.review}?tab=files`;
const toTheDiff = (page) => page.locator('details', { hasText: 'src/rates/cache.ts' }).first()
  .evaluate((file) => file.scrollIntoView());

try {
  await take({ ...DESK, colorScheme: 'light' }, [
    ['board', '/board'],
    ['approvals', '/approvals'],
    ['task', task],
    ['decide', task, async (page) => {
      await page.getByRole('button', { name: 'Approve', exact: true }).click();
      await dialog(page).getByLabel('Note (optional)').fill('Both limits are tested now. Thank you!');
    }],
  ]);
  await take({ ...DESK, colorScheme: 'dark' }, [['task-dark', task, toTheDiff]]);
  await take({ ...PHONE, colorScheme: 'light' }, [['phone', `/tasks/${tasks.review}`]]);
  await take({ ...PHONE, colorScheme: 'dark' }, [['phone-dark', '/approvals']]);
} finally {
  tasks.end();
  await browser.close();
}
if (bytes > MOST_BYTES) throw new Error(`${bytes} bytes are too many`);
