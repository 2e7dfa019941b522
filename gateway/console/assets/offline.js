// Tries again until the gateway answers, and counts how long it has not.
'use strict';
(() => {
  const since = Date.now();
  const out = document.getElementById('tried');
  const words = document.body.dataset;

  function count() {
    const s = Math.floor((Date.now() - since) / 1000);
    out.textContent = s < 60 ? words.s.replace('#', s) : words.min.replace('#', Math.floor(s / 60));
  }

  async function again() {
    try {
      const answer = await fetch('/healthz', { cache: 'no-store' });
      if (answer.ok && location.pathname !== '/offline') location.reload();
    } catch {
      // still gone
    }
  }

  count();
  setInterval(count, 1000);
  setInterval(again, 3000);
})();
