// Says plainly that there is no connection where a page cannot be loaded. It keeps no page and no value: what is old is never
// shown as if it were new.
'use strict';
const shell = 'embergate-VERSION';
const kept = ['/offline', 'console.css', 'offline.js', 'theme.js', 'icon.svg'];

self.addEventListener('install', (e) => {
  self.skipWaiting();
  e.waitUntil(caches.open(shell).then((c) => c.addAll(kept)));
});

self.addEventListener('activate', (e) => {
  e.waitUntil(caches.keys().then((names) => Promise.all(names.filter((n) => n !== shell).map((n) => caches.delete(n)))).then(() => self.clients.claim()));
});

self.addEventListener('fetch', (e) => {
  const path = new URL(e.request.url).pathname;
  if (e.request.mode === 'navigate') e.respondWith(fetch(e.request).catch(() => caches.match('/offline')));
  else if (kept.includes(path)) e.respondWith(fetch(e.request).catch(() => caches.match(path)));
});
