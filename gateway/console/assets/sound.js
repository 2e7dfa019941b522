// Sounds while an alarm waits for somebody, and while the gateway cannot be heard. A browser allows sound only after a
// tap on the page; until then the page says that it is mute.
'use strict';
(() => {
  const button = document.getElementById('sound');
  const context = open();
  if (!context) return;
  let wanted = true;
  let last = 0;

  // open is what sounds, or null where the browser cannot; the page then says so.
  function open() {
    try {
      return new (window.AudioContext || window.webkitAudioContext)();
    } catch {
      button.hidden = false;
      button.disabled = true;
      button.querySelector('span').textContent = button.dataset.none;
      return null;
    }
  }

  function tone(frequency, from, length) {
    const oscillator = context.createOscillator();
    const volume = context.createGain();
    const start = context.currentTime + from;
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.35, start + 0.02);
    volume.gain.setValueAtTime(0.35, start + length - 0.05);
    volume.gain.linearRampToValueAtTime(0, start + length);
    oscillator.connect(volume).connect(context.destination);
    oscillator.start(start);
    oscillator.stop(start + length);
  }

  function due() {
    const live = document.getElementById('live').dataset.sound;
    if (live === 'alarm') return 'alarm';
    return document.documentElement.classList.contains('lost') ? 'fault' : live;
  }

  function play() {
    const kind = due();
    const now = performance.now();
    if (!kind || context.state !== 'running' || now - last < (kind === 'alarm' ? 950 : 9500)) return;
    last = now;
    if (kind === 'alarm') {
      tone(880, 0, 0.3);
      tone(660, 0.32, 0.3);
      if (navigator.vibrate) navigator.vibrate([300, 100, 300]); // a phone in a pocket
    } else {
      tone(440, 0, 0.25);
    }
  }

  function show() {
    const on = context.state === 'running';
    button.hidden = false;
    button.setAttribute('aria-pressed', on);
    button.querySelector('span').textContent = on ? button.dataset.heard : button.dataset.mute;
  }

  button.addEventListener('click', async () => {
    wanted = context.state !== 'running';
    if (wanted) await context.resume();
    else await context.suspend();
    if (wanted) tone(660, 0, 0.15);
  });
  document.addEventListener('pointerdown', (e) => {
    if (wanted && context.state !== 'running' && !button.contains(e.target)) context.resume();
  });
  context.addEventListener('statechange', show);
  document.addEventListener('refreshed', play);
  setInterval(play, 250);
  show();
})();
