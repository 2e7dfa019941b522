// Sets what must be there before the page is painted: light or dark, where somebody chose, and that scripts run.
'use strict';
(() => {
  const root = document.documentElement;
  const choices = ['auto', 'light', 'dark'];
  let choice = 'auto';
  try {
    choice = localStorage.getItem('theme') || 'auto';
  } catch {
    // the browser keeps nothing
  }

  function apply() {
    if (choice === 'auto') delete root.dataset.theme;
    else root.dataset.theme = choice;
    const button = document.getElementById('theme');
    if (!button) return;
    button.hidden = false;
    button.title = button.dataset[choice];
    button.querySelector('span').textContent = button.dataset[choice];
  }

  root.classList.add('js');
  apply();
  document.addEventListener('DOMContentLoaded', apply);
  document.addEventListener('click', (e) => {
    if (!e.target.closest('#theme')) return;
    choice = choices[(choices.indexOf(choice) + 1) % choices.length];
    try {
      localStorage.setItem('theme', choice);
    } catch {
      // it holds until the page is left
    }
    apply();
  });
})();
