// What pages do beyond links and forms. Everything here is an extra: without it each page works.
(() => {
  'use strict';

  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handle) => document.addEventListener(type, handle);
  const say = (text) => { const region = one('#say'); if (region) region.textContent = text; };

  // Storage may be switched off; then nothing is remembered.
  const store = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* see above */ } },
    remove(key) { try { localStorage.removeItem(key); } catch { /* see above */ } },
  };

  // --- The secret of this origin. Cookies go to every port of the host; this storage is of this port alone, and
  // every form that changes something brings what is in it.

  const SECRET = 'origin-secret';
  const FIELD = 'originSecret';

  function newSecret() {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** A secret that cannot be kept would shut its owner out: then the session goes without, as without script. */
  function isKept() {
    store.set('probe', 'kept');
    const kept = store.get('probe') === 'kept';
    store.remove('probe');
    return kept;
  }

  // it is added to what is sent, and never stands in the page
  on('formdata', (event) => {
    const form = event.target;
    const secret = store.get(SECRET);
    if (secret && form.method === 'post' && form.dataset.door !== 'in') event.formData.set(FIELD, secret);
  });

  // --- HTML comes from this server only, through one policy; nothing is ever evaluated.

  const policy = window.trustedTypes?.createPolicy('htmx', { createHTML: (html) => html })
    ?? { createHTML: (html) => html };
  function Never() { throw new Error('evaluating text is switched off'); }
  window.htmx?.registerExtension('no-eval', { init: (api) => api.initSecurity(policy, Never, Never) });
  const parse = (html) => new DOMParser().parseFromString(policy.createHTML(html), 'text/html').body;

  const fetchPart = (address, options = {}) => fetch(address, {
    credentials: 'same-origin', redirect: 'follow', ...options,
    headers: { 'HX-Request': 'true', ...options.headers },
  });

  /** Goes where an answer leads, if it does. */
  function isRedirect(response) {
    const to = response.headers.get('HX-Redirect');
    if (to) go(to);
    return Boolean(to);
  }

  /** An address that differs from this one by its fragment alone would not load anything. */
  function go(to) {
    const target = new URL(to, location.href);
    if (target.pathname + target.search === location.pathname + location.search) location.reload();
    else location.assign(target);
  }

  // --- Live regions: fetched again when something they show has changed.

  const regions = () => all('[data-live]').filter((region) => region.dataset.live);
  const stale = new Set();
  // what these offer is known not to be had any more: they are replaced wherever the focus is
  const over = new Set();
  let timer;

  /** Whether somebody points at the region, works in it, or has a dialog open that came from it. */
  function isHeld(region) {
    return region.matches(':hover') || region.contains(document.activeElement) || Boolean(one('dialog[open]'));
  }

  function concerns(region, { types, tasks }) {
    const prefixes = region.dataset.on?.split(' ') ?? [];
    const { task } = region.dataset;
    return types.some((type) => prefixes.some((prefix) => type.startsWith(prefix))
      && (!task || !/^(task|approval)\./.test(type) || tasks.includes(task)));
  }

  function refresh(region) {
    stale.add(region.id);
    // a busy account changes more often than a page needs to
    timer ??= setTimeout(() => { timer = undefined; refreshStale(); }, 300);
  }

  async function refreshStale() {
    const ids = [...stale];
    stale.clear();
    await Promise.all(ids.map((id) => fetchRegion(document.getElementById(id))));
  }

  async function fetchRegion(region) {
    if (!region) return;
    try {
      const response = await fetchPart(region.dataset.live);
      if (isRedirect(response) || !response.ok) return;
      const html = await response.text();
      // an answer that is something else, such as a page to sign in, replaces nothing
      if (region.isConnected && html.includes(`id="${region.id}"`)) show(region, html);
    } catch { /* the stream notices that the server is away, and refreshes when it is back */ }
  }

  function show(region, html) {
    const isOver = over.delete(region.id);
    if (isHeld(region) && !isOver) hold(region, html);
    else replace(region, html);
  }

  async function replace(region, html) {
    held.delete(region.id);
    const open = new Set(all('details[open]', region).map((details) => details.id).filter(Boolean));
    const before = region.dataset.headline;
    await window.htmx.swap({ text: html, target: region, swap: 'outerMorph', sourceElement: region });
    for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    countTimes();
    const headline = document.getElementById(region.id)?.dataset.headline;
    if (headline && headline !== before) say(headline);
  }

  const held = new Map();

  /** Keeps an update back and offers it: nothing moves under the pointer or the focus. */
  function hold(region, html) {
    held.set(region.id, html);
    const next = parse(html);
    const known = new Set(all('[data-item]', region).map((item) => item.dataset.item));
    const fresh = all('[data-item]', next).filter((item) => !known.has(item.dataset.item)).length;
    const bar = one('.held', region);
    if (!bar) return;
    // a decision is told at once, also to somebody whose pointer rests on the buttons
    const headline = one('[data-headline]', next)?.dataset.headline;
    const isNews = headline && headline !== region.dataset.headline;
    const text = isNews ? `${headline}: show` : fresh ? `${fresh} new` : 'Show changes';
    const button = one('button', bar);
    if (button.textContent !== text) say(text);
    button.textContent = text;
    bar.hidden = false;
  }

  function release(region) {
    const html = held.get(region.id);
    if (html && !isHeld(region)) replace(region, html);
  }

  on('click', (event) => {
    const button = event.target.closest?.('.held button');
    const region = button?.closest('[data-live]');
    if (region && held.has(region.id)) {
      const { id } = region;
      replace(region, held.get(id)).then(() => document.getElementById(id)?.focus?.());
    }
  });
  const releaseAll = () => setTimeout(() => regions().forEach(release), 0);
  on('mouseout', releaseAll);
  on('focusout', releaseAll);

  // --- The stream of the page.

  const live = one('#live');
  const offline = one('#offline');
  let lost = false;
  // a form that was sent decides where this page goes next, also when it ends the session
  let isLeaving = false;

  function setLost(isLost) {
    if (offline) offline.hidden = !isLost;
    if (lost && !isLost) regions().forEach(refresh);
    lost = isLost;
  }

  function setPending(pending) {
    for (const badge of all('[data-pending]')) {
      badge.textContent = pending;
      badge.hidden = pending === 0;
    }
    const title = document.title.replace(/^\(\d+\) /, '');
    document.title = pending > 0 ? `(${pending}) ${title}` : title;
  }

  if (live) {
    live.addEventListener('change', (event) => {
      if (!event.detail?.data) return;
      const change = JSON.parse(event.detail.data);
      setPending(change.pending);
      regions().filter((region) => concerns(region, change)).forEach(refresh);
    });
    live.addEventListener('log', (event) => appendLog(event.detail.data));
    live.addEventListener('ended', () => { if (!isLeaving) location.assign('/sign-in?ended=1'); });
    const connection = () => live._htmx?.sse;
    live.addEventListener('htmx:sse:after:connection', () => setLost(false));
    for (const failure of ['htmx:sse:error', 'htmx:sse:close']) live.addEventListener(failure, () => setLost(true));
    // the stream also ends when the tab is hidden: that is no loss
    live.addEventListener('htmx:sse:before:connection', (event) => {
      const { connection } = event.detail;
      if (connection.attempt > 1 && !document.hidden) setLost(true);
    });
    window.addEventListener('offline', () => setLost(true));
    // a stream may not notice that its network went away: it is opened again, and without waiting
    window.addEventListener('online', () => { connection()?.delayCanceller?.(); connection()?.reader?.cancel(); });
    // The extension takes up a stream again that broke, but not one that never began.
    let pause = 1000;
    const begin = () => {
      setLost(true);
      setTimeout(() => window.htmx.ajax('GET', live.getAttribute('hx-sse:connect'), { source: live, swap: 'none' }), pause);
      pause = Math.min(pause * 2, 15_000);
    };
    live.addEventListener('htmx:error', begin);
    // it may have failed before this script was there to hear of it
    setTimeout(() => { if (!connection() && !lost && !live.matches('.htmx-request')) begin(); }, 2000);
    live.addEventListener('htmx:response:error', (event) => {
      if (event.detail.ctx.response.status === 401) location.assign('/sign-in?ended=1');
      else begin();
    });
  }

  // --- The log of a running task follows its end, unless somebody reads elsewhere.

  function appendLog(html) {
    const log = one('#log');
    const box = one('#log-box');
    if (!log || !box) return;
    log.append(...parse(html).childNodes);
    if (one('#follow')?.checked) box.scrollTop = box.scrollHeight;
  }

  function startLog() {
    const box = one('#log-box');
    const follow = one('#follow');
    if (!box || !follow) return;
    box.scrollTop = box.scrollHeight;
    box.addEventListener('scroll', () => {
      follow.checked = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    });
    follow.addEventListener('change', () => { if (follow.checked) box.scrollTop = box.scrollHeight; });
  }

  // --- Dialogs: what is a page without script opens over this one.

  const dialog = one('#dialog');
  let opener;

  async function openDialog(address, from) {
    opener = from;
    try {
      const response = await fetchPart(address);
      if (isRedirect(response)) return;
      fill(await response.text());
      if (!dialog.open) dialog.showModal();
      focusFirst();
    } catch { location.assign(address); }
  }

  function fill(html) {
    dialog.replaceChildren(...parse(html).childNodes);
    restoreDrafts(dialog);
    countTimes();
  }

  function focusFirst() {
    const first = one('[autofocus], textarea, input:not([type=hidden]):not([disabled]), select, button', dialog);
    first?.focus();
  }

  dialog?.addEventListener('close', () => {
    // it told of a decision that the page behind it does not show yet
    if (one('[data-refresh]', dialog)) regions().forEach((region) => { over.add(region.id); refresh(region); });
    dialog.replaceChildren();
    if (opener?.isConnected) opener.focus();
    releaseAll();
  });

  on('submit', (event) => {
    const form = event.target;
    if (form.matches('[data-dialog]') && dialog) {
      event.preventDefault();
      const query = new URLSearchParams(new FormData(form)).toString();
      openDialog(form.getAttribute('action') + (query ? `?${query}` : ''), event.submitter);
    } else if (form.matches('[data-send]') && dialog?.contains(form)) {
      event.preventDefault();
      send(form, event.submitter);
    } else if (form.matches('[data-door]')) {
      event.preventDefault();
      passDoor(form);
    } else if (form.method === 'post') {
      isLeaving = true;
      setBusy(event.submitter);
    }
  });

  on('click', (event) => {
    const close = event.target.closest?.('[data-close]');
    if (close && dialog?.open && dialog.contains(close)) {
      event.preventDefault();
      dialog.close();
    }
    const preset = event.target.closest?.('[data-fill]');
    if (preset) {
      event.preventDefault();
      const field = one(preset.dataset.fill);
      field.value = preset.dataset.text;
      field.focus();
      field.dispatchEvent(new Event('input', { bubbles: true }));
    }
  });

  /** Sends a form of the dialog, again and again with the same key while nobody knows its outcome. */
  async function send(form, button) {
    setBusy(button);
    const body = new URLSearchParams(new FormData(form)).toString();
    for (;;) {
      let wait = 1;
      try {
        const response = await fetchPart(form.getAttribute('action'), {
          method: 'POST', body, headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        });
        if (response.status < 300) forgetDrafts(form);
        if (isRedirect(response)) return;
        if (response.status !== 503) {
          fill(await response.text());
          focusFirst();
          return;
        }
        wait = Number(response.headers.get('Retry-After')) || 1;
      } catch { /* no answer is no answer: ask again */ }
      if (!dialog.open || !form.isConnected) return;
      explainWait(form);
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }

  /** Signs in with a new secret, or out. What is kept changes only with the session itself: a wrong password costs
      another tab nothing. */
  async function passDoor(form) {
    if (isLeaving) return;
    isLeaving = true;
    const secret = form.dataset.door === 'in' && isKept() ? newSecret() : undefined;
    const body = new URLSearchParams(new FormData(form));
    if (secret) body.set(FIELD, secret);
    try {
      const response = await fetchPart(form.getAttribute('action'), { method: 'POST', body });
      if (response.headers.has('HX-Redirect')) {
        if (secret) store.set(SECRET, secret);
        else store.remove(SECRET);
        isRedirect(response);
        return;
      }
      showRefusal(await response.text());
    } catch {
      note(form, 'The server does not answer. Try again in a moment.');
    }
    isLeaving = false;
  }

  /** The form again, saying what is wrong, or a few words about it. */
  function showRefusal(html) {
    const parsed = parse(html);
    const page = one('#main', parsed);
    if (page) {
      one('#main').replaceWith(page);
      one('[autofocus], input:not([type=hidden])', page)?.focus();
    } else if (dialog) {
      fill(html);
      dialog.showModal();
      focusFirst();
    } else {
      one('.door-card').append(...parsed.childNodes);
    }
  }

  const explainWait = (form) => note(form, 'The server does not answer. Asking again until it does; nothing is done twice.');

  function note(form, text) {
    if (one('.waiting', form)) return;
    const note = document.createElement('p');
    note.className = 'callout warn waiting';
    note.setAttribute('role', 'status');
    note.textContent = text;
    form.append(note);
    say(text);
  }

  function setBusy(button) {
    if (!button?.dataset.busy) return;
    button.setAttribute('aria-disabled', 'true');
    button.setAttribute('aria-busy', 'true');
    const { busy } = button.dataset;
    // a page that is left takes its buttons along; one that stays gets them back
    button.textContent = busy;
    button.addEventListener('click', (event) => event.preventDefault());
  }

  // --- What is being typed survives updates, reloads and signing in again.

  const draftKey = (field) => `draft:${field.dataset.draft}`;

  on('input', (event) => {
    const field = event.target;
    if (field.dataset?.draft) store.set(draftKey(field), field.value);
  });

  function restoreDrafts(root) {
    for (const field of all('[data-draft]', root)) {
      const draft = store.get(draftKey(field));
      if (draft && (!field.value || field.dataset.draft.startsWith('retry-'))) field.value = draft;
    }
  }

  const forgetDrafts = (form) => all('[data-draft]', form).forEach((field) => store.remove(draftKey(field)));
  on('submit', (event) => { if (!event.target.matches('[data-send]')) forgetDrafts(event.target); });

  // --- Small things.

  on('click', async (event) => {
    const button = event.target.closest?.('[data-copy]');
    if (!button) return;
    const text = one(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      say('Copied');
      button.classList.add('is-copied');
      setTimeout(() => button.classList.remove('is-copied'), 1500);
    } catch {
      getSelection().selectAllChildren(one(button.dataset.copy));
      say('Press Ctrl and C to copy');
    }
  });

  /** The words of the server (pages/view/words.rs), counted on. */
  function relative(seconds) {
    const span = Math.abs(seconds);
    const past = seconds >= 0;
    if (span < 45) return past ? 'just now' : 'in a moment';
    let amount;
    if (span < 3570) amount = `${Math.floor((span + 30) / 60)} min`;
    else if (span < 84600) amount = `${Math.floor((span + 1800) / 3600)} h`;
    else if (span < 2592000) {
      const days = Math.floor((span + 43200) / 86400);
      amount = `${days} ${days === 1 ? 'day' : 'days'}`;
    } else return undefined;
    return past ? `${amount} ago` : `in ${amount}`;
  }

  function countTimes() {
    for (const time of all('time[data-relative]')) {
      const text = relative(Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
      if (text && text !== time.textContent) time.textContent = text;
    }
  }
  setInterval(countTimes, 30_000);

  function startTheme() {
    const choice = one('#theme');
    if (!choice) return;
    choice.value = document.documentElement.dataset.theme ?? 'system';
    choice.addEventListener('change', () => {
      if (choice.value === 'system') {
        delete document.documentElement.dataset.theme;
        store.remove('theme');
      } else {
        document.documentElement.dataset.theme = choice.value;
        store.set('theme', choice.value);
      }
    });
  }

  /** A switch of the settings needs no second press. */
  function startSwitches() {
    for (const form of all('form[data-switches]')) {
      form.addEventListener('change', () => form.requestSubmit());
    }
  }

  /** The token behind the # goes into the form, and out of the address. */
  function startSignIn() {
    const token = location.hash.slice(1);
    const link = one('#by-link');
    if (!link || !token) return;
    history.replaceState(null, '', location.pathname + location.search);
    link.open = true;
    one('#token').value = token;
    one('#token-field').hidden = true;
    one('#token-ready').hidden = false;
    one('summary', link).hidden = true;
    one('#by-password').hidden = true;
    one('button', link).focus();
  }

  // --- Keys. Never while somebody types, and only if wanted.

  const isWanted = () => store.get('shortcuts') !== 'off';
  const isTyping = (target) => target.closest?.('input, textarea, select, [contenteditable]');
  let before;

  function move(step) {
    const items = all('[data-item]').filter((item) => item.offsetParent !== null);
    if (!items.length) return;
    const at = items.findIndex((item) => item.contains(document.activeElement));
    const next = items[Math.min(Math.max(at + step, 0), items.length - 1)];
    const link = next.matches('a') ? next : one('a', next);
    (link ?? next).focus();
    next.scrollIntoView({ block: 'nearest' });
  }

  function showKeys() {
    if (!dialog || dialog.open) return;
    opener = document.activeElement;
    dialog.replaceChildren(one('#keys').content.cloneNode(true));
    dialog.showModal();
  }

  const press = (selector) => one(selector)?.click();
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    a: () => press('#approve'),
    r: () => press('#reject'),
    n: () => { if (one('#new-task')) press('#new-task'); else if (live) openDialog('/tasks/new', document.activeElement); },
    '?': showKeys,
    'g b': () => location.assign('/board'),
    'g a': () => location.assign('/approvals'),
  };

  on('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target) || dialog?.open || !isWanted()) return;
    const key = before === 'g' ? `g ${event.key}` : event.key;
    before = event.key;
    if (!Object.hasOwn(keys, key)) return;
    event.preventDefault();
    keys[key]();
  });

  function startShortcuts() {
    const choice = one('#shortcuts');
    if (!choice) return;
    choice.checked = isWanted();
    choice.addEventListener('change', () => store.set('shortcuts', choice.checked ? 'on' : 'off'));
  }

  startTheme();
  startSwitches();
  startSignIn();
  startLog();
  startShortcuts();
  restoreDrafts(document);
  countTimes();
})();
