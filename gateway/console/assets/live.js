// Keeps the page what the gateway is: the stream says that something changed, the page is fetched again and its changes
// are put into place. What could not be fetched for 4.5 seconds is shown as old, so that a frozen page looks frozen.
'use strict';
(() => {
  const lostAfter = 4500; // ms
  const root = document.documentElement;
  const lang = root.lang.slice(0, 2);
  const lost = document.getElementById('lost');
  const lostAge = document.getElementById('lost-age');
  let ahead = 0; // of the gateway's clock before ours, ms
  let confirmed = performance.now(); // when what is shown was last fetched
  let heard = performance.now(); // when the stream last said something
  let next = 0; // before this the page is not fetched again
  let fetching = false;
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
      if (!want.hasAttribute(a.name) && a.name !== 'open') have.removeAttribute(a.name); // what a person unfolded stays
    }
    for (const a of want.attributes) if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
    if (have.hasAttribute('data-age')) return; // its words are tick's
    const wanted = new Map([...want.children].filter((c) => c.id).map((c) => [c.id, c]));
    for (const c of [...have.children]) if (c.id && !wanted.has(c.id)) c.remove();
    const known = new Map([...have.children].filter((c) => c.id).map((c) => [c.id, c]));
    let at = have.firstChild;
    for (const child of [...want.childNodes]) {
      if (child.id) while (at && !at.id && known.has(child.id)) at = drop(at); // so that it need not be moved
      const match = child.id ? known.get(child.id) : at;
      if (!match || match.id !== child.id || match.nodeName !== child.nodeName) {
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

  // drop removes a node and is the one after it.
  function drop(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
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
    const abort = new AbortController();
    const timeout = setTimeout(() => abort.abort(), 4000);
    try {
      const answer = await fetch('/?lang=' + lang, { signal: abort.signal, cache: 'no-store' });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (fresh.documentElement.dataset.version !== root.dataset.version) {
        location.reload(); // the gateway was updated
        return;
      }
      morph(document.getElementById('live'), fresh.getElementById('live'));
      document.title = fresh.title;
      confirmed = performance.now();
      tick();
      document.dispatchEvent(new Event('refreshed'));
    } catch {
      // not confirmed: tick shows it
    } finally {
      clearTimeout(timeout);
      fetching = false;
      const took = performance.now() - began;
      next = performance.now() + Math.min(2000, Math.max(500, 4 * took)); // a slow tablet gets its rest
    }
  }

  function listen() {
    if (stream) stream.close();
    heard = performance.now();
    stream = new EventSource('/api/v1/stream?events=status&lang=' + lang);
    stream.addEventListener('status', (e) => {
      heard = performance.now();
      ahead = Date.parse(JSON.parse(e.data).now) - Date.now();
      refresh();
    });
  }

  // tick shows how old everything is.
  function tick() {
    const now = performance.now();
    const silent = now - confirmed > lostAfter;
    root.classList.toggle('lost', silent);
    lost.hidden = !silent;
    if (silent) {
      put(lostAge, age(document.getElementById('live').dataset.time));
      document.title = lost.querySelector('strong').textContent;
    }
    for (const t of document.querySelectorAll('[data-age]')) put(t, age(t.dateTime));
    const broken = stream.readyState === EventSource.CLOSED && now - heard > 3000;
    if (broken || now - heard > 10000) listen();
  }

  listen();
  setInterval(tick, 500);
  document.addEventListener('changed', () => { next = 0; refresh(); }); // somebody acted here
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { tick(); refresh(); } });
})();
