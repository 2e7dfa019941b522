// What people do: acts on an alarm, by a dialog (one tap asks, the second does it, in the name that was given once), and forms,
// which are sent as JSON. page.go says how a page writes them.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const offline = () => $('act-error').dataset.offline;

  // remembered is the name of whoever acts here: the one who is logged in, else the one given last.
  function remembered(name) {
    try {
      if (name !== undefined) localStorage.setItem('name', name);
      return document.body.dataset.who || localStorage.getItem('name') || '';
    } catch {
      return document.body.dataset.who || ''; // the browser keeps nothing
    }
  }

  // send sends an object and is the answer, or throws what it says against it.
  async function send(path, method, body) {
    let answer;
    try {
      answer = await fetch(path + '?lang=' + document.documentElement.lang.slice(0, 2), { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    } catch {
      throw new Error(offline());
    }
    const text = await answer.text();
    const said = text && (answer.headers.get('Content-Type') || '').includes('json') ? JSON.parse(text) : {};
    if (!answer.ok) throw new Error(said.detail || String(answer.status));
    document.dispatchEvent(new Event('changed'));
    return said;
  }

  // Times are sent with their zone.
  const ahead = (minutes) => new Date(Date.now() + minutes * 60000).toISOString();

  const dialog = $('act');
  if (dialog) acts(dialog);

  function acts() {
    const [by, note, error, confirm] = [$('act-by'), $('act-note'), $('act-error'), $('act-do')];
    let asked = null; // {act, id}

    document.addEventListener('click', (e) => {
      const button = e.target.closest('[data-act]');
      if (!button) return;
      const means = $('act-means');
      asked = { act: button.dataset.act, id: button.dataset.id };
      $('act-title').textContent = means.dataset[asked.act + 'Title'];
      $('act-what').textContent = button.dataset.what;
      means.textContent = means.dataset[asked.act];
      for (const part of dialog.querySelectorAll('[data-for]')) part.hidden = part.dataset.for !== asked.act;
      const label = $('act-note-label');
      note.required = asked.act === 'shelve';
      label.textContent = note.required ? label.dataset.must : label.dataset.may;
      by.value = remembered();
      $('act-by-part').hidden = Boolean(document.body.dataset.who);
      note.value = '';
      $('act-second').value = '';
      if ($('act-password')) $('act-password').value = '';
      error.textContent = '';
      confirm.disabled = false;
      dialog.showModal();
      (by.value ? confirm : by).focus();
    });

    $('act-cancel').addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => { // the focus goes back to the button, or where it was
      const alarm = $('alarm-' + asked.id);
      if (document.activeElement === document.body) (alarm && alarm.querySelector('a') || $('live')).focus({ preventScroll: true });
    });

    dialog.querySelector('form').addEventListener('submit', async (e) => {
      e.preventDefault();
      confirm.disabled = true;
      error.textContent = '';
      const body = { by: by.value.trim(), note: note.value.trim() };
      if (asked.act === 'shelve') {
        body.until = ahead(Number($('act-until').value));
        body.second = $('act-second').value.trim();
        if ($('act-password')) body.second_password = $('act-password').value;
      }
      if (asked.act === 'verdict') body.verdict = $('act-verdict').value;
      try {
        await send('/api/v1/alarms/' + encodeURIComponent(asked.id) + '/' + asked.act, 'POST', body);
        remembered(body.by);
        dialog.close();
      } catch (refused) {
        error.textContent = refused.message;
      }
      confirm.disabled = false;
    });
  }

  // fields are the named fields of a form as an object; empty ones are left out.
  function fields(form) {
    const body = {};
    for (const f of form.elements) {
      if (!f.name || f.disabled || f.type === 'radio' && !f.checked) continue;
      if (f.type === 'checkbox') body[f.name] = f.checked;
      else if (f.value.trim() === '') continue;
      else if ('minutes' in f.dataset) body[f.name] = ahead(Number(f.value));
      else if (f.type === 'number' || 'number' in f.dataset) body[f.name] = Number(f.value);
      else if (f.type === 'datetime-local') body[f.name] = new Date(f.value).toISOString();
      else body[f.name] = f.type === 'password' ? f.value : f.value.trim();
    }
    return body;
  }

  document.addEventListener('submit', async (e) => {
    const form = e.target;
    if (!('post' in form.dataset)) return;
    e.preventDefault();
    const said = alertIn(form);
    form.dataset.keep = ''; // what is said in it stays
    said.textContent = '';
    const button = e.submitter;
    if (button && button.dataset.confirm && !('sure' in button.dataset)) {
      button.dataset.sure = button.textContent;
      button.textContent = button.dataset.confirm;
      setTimeout(() => calm(button), 5000);
      return;
    }
    if (button) button.disabled = true;
    const body = fields(form);
    const to = form.querySelector('[data-to]'); // it names what is acted on
    const path = button && button.dataset.post || (to ? form.dataset.postTo.replace('{}', encodeURIComponent(to.value)) : form.dataset.post);
    try {
      const answer = await send(path, form.dataset.method || 'POST', body);
      if (body.by) remembered(body.by);
      for (const field of form.querySelectorAll('[data-field]')) field.textContent = answer[field.dataset.field] ?? '';
      const table = form.querySelector('[data-rows]');
      if (table && answer[table.dataset.rows]) rows(table, answer);
      if (button && button.dataset.follow) follow(button.dataset.follow.replace('{}', encodeURIComponent(answer.id)));
      if (form.dataset.then) location.href = form.dataset.then;
      else if (!form.querySelector('[data-field]') && !table) {
        form.reset();
        delete form.dataset.keep;
        names();
      }
    } catch (refused) {
      said.textContent = refused.message;
    }
    if (button) {
      button.disabled = false;
      calm(button);
    }
  });

  // follow goes to a page as soon as there is one: the gateway may be reading its configuration anew.
  async function follow(path) {
    for (let tries = 0; tries < 60; tries++) {
      await new Promise((done) => setTimeout(done, 1000));
      try {
        if ((await fetch(path, { cache: 'no-store' })).ok) {
          location.href = path;
          return;
        }
      } catch {
        // not yet
      }
    }
  }

  // rows shows the list in an answer.
  function rows(table, answer) {
    table.hidden = false;
    table.tBodies[0].replaceChildren(...answer[table.dataset.rows].map((item) => {
      const row = document.createElement('tr');
      for (const column of table.dataset.columns.split(' ')) row.insertCell().textContent = item[column] ?? '';
      return row;
    }));
  }

  // A picture is made small enough here, for the radio of a telephone, and sent as it is: the gateway takes out what else it says.
  document.addEventListener('change', async (e) => {
    const input = e.target;
    if (!input.dataset || !('picture' in input.dataset) || !input.files[0]) return;
    const form = input.form;
    const said = alertIn(form);
    form.dataset.keep = '';
    said.textContent = '';
    try {
      const by = form.elements.by.value.trim();
      const query = new URLSearchParams({ by, note: form.elements.note.value.trim() });
      const picture = await smaller(input.files[0]);
      const answer = await fetch(input.dataset.picture + '?' + query, { method: 'POST', headers: { 'Content-Type': picture.type }, body: picture });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      remembered(by);
      delete form.dataset.keep;
      document.dispatchEvent(new Event('changed'));
    } catch (refused) {
      said.textContent = refused instanceof TypeError ? offline() : refused.message;
    }
    input.value = '';
  });

  async function smaller(file) {
    const most = 1600; // pixels
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, most / Math.max(picture.width, picture.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(picture.width * scale);
    canvas.height = Math.round(picture.height * scale);
    canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.8));
  }

  // alertIn is where a form says what went wrong.
  function alertIn(form) {
    let said = form.querySelector('[role=alert]');
    if (!said) {
      said = document.createElement('p');
      said.setAttribute('role', 'alert');
      said.className = 'error';
      form.append(said);
    }
    return said;
  }

  // calm takes back the question of a button.
  function calm(button) {
    if (!('sure' in button.dataset)) return;
    button.textContent = button.dataset.sure;
    delete button.dataset.sure;
  }

  // names fills in who acts.
  function names() {
    for (const f of document.querySelectorAll('form[data-post] [name=by]')) {
      if (!f.value) f.value = remembered();
      if (document.body.dataset.who) f.closest('label').hidden = true;
    }
  }

  document.addEventListener('refreshed', names);
  names();
})();
