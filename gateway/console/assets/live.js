// Keeps the page what the gateway is: the stream says when to fetch it again, and its changes are put into place. What could
// not be fetched for 4.5 seconds is shown as old, so that a frozen page looks frozen. Links lead to other pages in the same
// way, so that neither the stream nor the leave to sound is lost by a tap.
'use strict';
(() => {
  const lostAfter = 4500; // ms
  const root = document.documentElement;
  const lost = document.getElementById('lost');
  const lostAge = document.getElementById('lost-age');
  let ahead = 0; // of the gateway's clock before ours, ms
  let confirmed = performance.now(); // when what is shown was last fetched
  let confirmedAt = Date.now(); // the same by the clock, which goes on while a machine sleeps
  let heard = performance.now(); // when the stream last said something
  let ended = 0; // when it was last fetched, or could not be
  let next = 0; // before this the page is not fetched again
  let fetching = false;
  let news = 0; // the number of the last event in the journal, as the stream told it
  let again = false; // something happened while the page was fetched
  let waiting = null;
  let stream = null;

  // ago says an age like moment.go does.
  function ago(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const words = document.body.dataset;
    if (s < 60) return words.s.replace('#', s);
    if (s < 3600) return words.min.replace('#', Math.floor(s / 60));
    if (s < 86400) return words.h.replace('#', Math.floor(s / 3600));
    return words.d.replace('#', Math.floor(s / 86400));
  }

  function age(iso) {
    return ago(Date.now() + ahead - Date.parse(iso));
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  // morph makes one element like another, and keeps what need not change: focus, scroll, the button under a finger.
  // Elements with an id are found again by it, so that a button never turns into another.
  function morph(have, want) {
    for (const a of [...have.attributes]) {
      if (!want.hasAttribute(a.name) && a.name !== 'open' && a.name !== 'data-keep') have.removeAttribute(a.name); // what a person unfolded or filled in stays
    }
    for (const a of want.attributes) if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
    if (have.hasAttribute('data-age') || have.hasAttribute('data-keep')) return; // what is in it is a script's, or a person's
    const wanted = new Map([...want.children].filter(idOf).map((c) => [idOf(c), c]));
    for (const c of [...have.children]) if (idOf(c) && !wanted.has(idOf(c))) c.remove();
    const known = new Map([...have.children].filter(idOf).map((c) => [idOf(c), c]));
    let at = have.firstChild;
    for (const child of [...want.childNodes]) {
      const id = idOf(child);
      if (id) while (at && !idOf(at) && known.has(id)) at = drop(at); // so that it need not be moved
      const match = id ? known.get(id) : at;
      if (!match || idOf(match) !== id || match.nodeName !== child.nodeName) {
        have.insertBefore(document.importNode(child, true), at);
        continue;
      }
      if (match === at) at = at.nextSibling;
      else have.insertBefore(match, at);
      if (child.nodeType === Node.ELEMENT_NODE) morph(match, child);
      else if (match.data !== child.data) match.data = child.data;
    }
    while (at) at = drop(at);
  }

  // idOf is the id of an element; the property of a form would be a field of that name.
  function idOf(node) {
    return node.getAttribute ? node.getAttribute('id') || '' : '';
  }

  // drop removes a node and is the one after it.
  function drop(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  // load is the page at an address as a document, or null where it must be loaded as a whole.
  async function load(address) {
    const abort = new AbortController();
    const timeout = setTimeout(() => abort.abort(), 4000);
    const began = Date.now();
    try {
      const answer = await fetch(address, { signal: abort.signal, cache: 'no-store', headers: { Accept: 'text/html' } });
      const html = (answer.headers.get('Content-Type') || '').startsWith('text/html');
      if (!html && !answer.ok) throw new Error(answer.status);
      if (answer.redirected || !html) return null;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (Date.now() - began > lostAfter) throw new Error('it was fetched before the page was put aside');
      const same = fresh.documentElement.dataset.version === root.dataset.version && fresh.documentElement.lang === root.lang &&
        fresh.body.className === document.body.className && fresh.getElementById('live');
      return same ? fresh : null; // else the gateway was updated, or it is another sort of page
    } finally {
      clearTimeout(timeout);
    }
  }

  // show puts a page into place.
  function show(fresh) {
    const live = document.getElementById('live');
    const had = document.activeElement || document.body;
    const around = [];
    for (let e = had; live.contains(e) && e !== live; e = e.parentElement) around.push(e);
    announce(live.dataset.open, fresh);
    morph(live, fresh.getElementById('live'));
    if (!had.isConnected) near(around).focus({ preventScroll: true });
    document.title = fresh.title;
    confirmed = performance.now();
    confirmedAt = Date.now();
    tick();
    document.dispatchEvent(new Event('refreshed'));
  }

  // near is where the focus goes when what had it is gone: a link beside it, which does nothing by itself.
  function near(around) {
    const place = around.find((e) => e.isConnected && e.querySelector('a[href]'));
    return place ? place.querySelector('a[href]') : document.getElementById('live');
  }

  // announce reads out what is new among the open alarms; nothing else on the page interrupts whoever listens.
  function announce(before, fresh) {
    const known = before.split(' ');
    const added = fresh.getElementById('live').dataset.open.split(' ').filter((id) => id && !known.includes(id));
    if (added.length > 0) put(document.getElementById('news'), fresh.title);
  }

  async function refresh() {
    clearTimeout(waiting);
    if (fetching) return;
    const began = performance.now();
    if (began < next) {
      waiting = setTimeout(refresh, next - began);
      return;
    }
    fetching = true;
    again = false;
    const address = location.href;
    try {
      const fresh = await load(address);
      if (address !== location.href) return; // somebody went on meanwhile
      if (fresh) show(fresh);
      else location.reload();
    } catch {
      // not confirmed: tick shows it
    } finally {
      fetching = false;
      const took = performance.now() - began;
      ended = performance.now();
      next = ended + (again ? 250 : Math.min(2000, Math.max(250, 4 * took))); // a slow tablet gets its rest
    }
    if (again) refresh();
  }

  // go shows another page; where that fails, the browser loads it, and says why it cannot.
  async function go(address, remember) {
    try {
      const fresh = await load(address);
      if (!fresh) throw new Error('another sort of page');
      if (remember) history.pushState(null, '', address);
      const live = document.getElementById('live');
      announce(live.dataset.open, fresh);
      live.replaceChildren();
      if (document.getElementById('nav')) morph(document.getElementById('nav'), fresh.getElementById('nav'));
      show(fresh);
      document.dispatchEvent(new Event('arrived'));
      scrollTo(0, 0);
      live.focus({ preventScroll: true });
    } catch {
      location.href = address;
    }
  }

  document.addEventListener('click', (e) => {
    const link = e.target.closest('a[href]');
    if (!link || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || link.target || link.hasAttribute('download')) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || to.hash || to.searchParams.has('lang') || /^\/(api|assets|metrics)/.test(to.pathname)) return;
    e.preventDefault();
    go(to.href, true);
  });
  addEventListener('popstate', () => go(location.href, false));

  const more = document.getElementById('more');
  if (more) {
    more.hidden = false;
    more.addEventListener('click', () => fold(more.getAttribute('aria-expanded') === 'false'));
    document.addEventListener('arrived', () => fold(false));
    document.addEventListener('keydown', (e) => { if (e.key === 'Escape') fold(false); });
  }

  // fold shows or hides the rest of the navigation of a phone; the focus goes in with it, and comes out.
  function fold(open) {
    const nav = document.getElementById('nav');
    const inside = document.activeElement && document.activeElement.closest('#nav .rest');
    more.setAttribute('aria-expanded', open);
    nav.classList.toggle('open', open);
    if (open) nav.querySelector('.rest a').focus();
    else if (inside && more.checkVisibility()) more.focus();
  }

  function listen() {
    if (stream) stream.close();
    heard = performance.now();
    stream = new EventSource('/api/v1/stream?events=beat');
    stream.addEventListener('error', refresh); // whoever was logged out meanwhile is led to the door
    stream.addEventListener('beat', (e) => {
      heard = performance.now();
      const beat = JSON.parse(e.data);
      ahead = Date.parse(beat.now) - Date.now();
      if (beat.seq !== news) { // an alarm waits for no rest
        news = beat.seq;
        again = true;
        next = Math.min(next, ended + 250);
      }
      refresh();
    });
  }

  // tick shows how old everything is.
  function tick() {
    const now = performance.now();
    const silent = Math.max(now - confirmed, Date.now() - confirmedAt) > lostAfter;
    root.classList.toggle('lost', silent);
    lost.hidden = !silent;
    if (silent) {
      put(lostAge, age(document.getElementById('live').dataset.time));
      document.title = lost.querySelector('strong').textContent;
    }
    for (const t of document.querySelectorAll('[data-age]')) put(t, age(t.dateTime));
  }

  // hark opens the stream again where it says nothing.
  function hark() {
    const quiet = performance.now() - heard;
    const broken = stream.readyState === EventSource.CLOSED && quiet > 3000;
    if (broken || quiet > 10000) listen();
  }

  // doubt shows what is on the page as old: a browser is about to put it aside, and may show it again before any script runs.
  function doubt() {
    confirmed = -Infinity;
    tick();
  }

  function back() {
    next = 0;
    listen();
    tick();
    refresh();
  }

  if (navigator.serviceWorker) navigator.serviceWorker.register('/sw.js').catch(() => {}); // without it the browser says that there is no connection
  listen();
  setInterval(tick, 500);
  setInterval(hark, 500);
  document.addEventListener('changed', () => { next = 0; refresh(); }); // somebody acted here
  document.addEventListener('visibilitychange', () => { if (!document.hidden) back(); });
  document.addEventListener('freeze', doubt);
  document.addEventListener('resume', back);
  addEventListener('pagehide', (e) => { if (e.persisted) doubt(); stream.close(); }); // a browser keeps a page that was left, and its stream, for a minute
  addEventListener('pageshow', (e) => { if (e.persisted) back(); });
})();
