// Acknowledge, silence and reset: one tap asks, the second does it, in the name that was given once.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const dialog = $('act');
  const [by, note, error, confirm] = [$('act-by'), $('act-note'), $('act-error'), $('act-do')];
  let asked = null; // {act, id}

  function remembered(name) {
    try {
      if (name !== undefined) localStorage.setItem('name', name);
      return localStorage.getItem('name') || '';
    } catch {
      return ''; // the browser keeps nothing
    }
  }

  document.addEventListener('click', (e) => {
    const button = e.target.closest('[data-act]');
    if (!button) return;
    const means = $('act-means');
    asked = { act: button.dataset.act, id: button.dataset.id };
    $('act-title').textContent = means.dataset[asked.act + 'Title'];
    $('act-what').textContent = button.dataset.what;
    means.textContent = means.dataset[asked.act];
    by.value = remembered();
    note.value = '';
    error.textContent = '';
    confirm.disabled = false;
    dialog.showModal();
    (by.value ? confirm : by).focus();
  });

  $('act-cancel').addEventListener('click', () => dialog.close());

  dialog.querySelector('form').addEventListener('submit', async (e) => {
    e.preventDefault();
    confirm.disabled = true;
    error.textContent = '';
    const path = '/api/v1/alarms/' + encodeURIComponent(asked.id) + '/' + asked.act;
    try {
      const answer = await fetch(path + '?lang=' + document.documentElement.lang.slice(0, 2), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ by: by.value.trim(), note: note.value.trim() }),
      });
      if (answer.ok) {
        remembered(by.value.trim());
        dialog.close();
        document.dispatchEvent(new Event('changed'));
        return;
      }
      error.textContent = (await answer.json()).detail;
    } catch {
      error.textContent = error.dataset.offline;
    }
    confirm.disabled = false;
  });
})();
