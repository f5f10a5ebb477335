// The Models tab: a card for each model, and the field that fetches weights from the Hub.

import {button, make, setText} from './dom.js';
import {openTab} from './gradio_page.js';

const ANSWER_MS = 15_000;      // of the server's first word

export function models(host, trigger) {
  const top = make('div', 'fb-models-top', host);
  const measure = button('fb-button', top, 'Measure the speed on this machine', () => {
    busy(true);
    trigger('asked', {});
  });
  button('fb-button', top, 'Teach it genres of your own …', () => openTab('teach'));
  const doing = make('span', 'fb-quiet', top);
  doing.setAttribute('role', 'status');
  const list = make('div', 'fb-models-list', host);
  const drawn = new Map();

  function busy(measuring) {
    measure.disabled = measuring;
    setText(doing, measuring ? 'Measuring …' : '');
  }

  return view => {
    host.hidden = !view;
    if (!view) return;
    busy(view.measuring);
    const names = view.cards.map(card => card.name);
    for (const [name, card] of drawn) if (!names.includes(name)) { card.element.remove(); drawn.delete(name); }
    for (const card of view.cards) {
      if (!drawn.has(card.name)) {
        drawn.set(card.name, modelCard(card));
        list.append(drawn.get(card.name).element);
      }
      drawn.get(card.name).tell(card);
    }
  };
}

function modelCard(card) {
  const element = make('article', 'fb-model');
  element.dataset.model = card.name;
  make('h3', '', element, card.title);
  make('p', 'fb-quiet', element, card.family);
  const facts = make('dl', 'fb-model-facts', element);
  for (const [name, value] of card.facts) fact(facts, name, value);
  const speed = fact(facts, 'Speed here', 'not measured yet');
  headlines(element, card.headlines);
  make('h4', '', element, card.labels.length === 1 ? 'The genre it knows' : `The ${card.labels.length} genres it knows`);
  make('p', '', element, card.labels.join(', '));
  if (card.trouble) make('p', 'fb-model-trouble', element, card.trouble);
  if (card.card.length) drawBlocks(fold(element, 'Model card: what it was trained on, and its limits'), card.card);
  return {
    element,
    tell(now) { setText(speed, now.speed ?? 'not measured yet'); },
  };
}

function fact(list, name, value) {
  make('dt', 'fb-quiet', list, name);
  return make('dd', '', list, value);
}

function headlines(element, measured) {
  make('h4', '', element, 'How good it is');
  if (!measured) {
    make('p', '', element, 'Not measured: its checkpoint names no results.');
    return;
  }
  const list = make('ul', 'fb-model-headlines', element);
  for (const row of measured.rows) {
    const item = make('li', '', list, `${row.measure} `);
    make('strong', '', item, row.share).title = row.exactly;
  }
  make('p', 'fb-hint', element, measured.on);
}

function fold(parent, title) {
  const details = make('details', 'fb-model-more', parent);
  make('summary', '', details, title);
  return make('div', '', details);
}

function table(parent, rows) {
  const frame = make('div', 'fb-model-table', parent);
  frame.tabIndex = 0;
  frame.setAttribute('role', 'region');
  frame.setAttribute('aria-label', 'Table, can be scrolled');
  const grid = make('table', '', frame);
  rows.forEach((row, index) => {
    const tableRow = make('tr', '', grid);
    for (const cell of row) make(index ? 'td' : 'th', '', tableRow, cell);
  });
}

function drawBlocks(parent, blocks) {
  for (const block of blocks) {
    if (block.kind === 'heading') make('h4', '', parent, block.text);
    else if (block.kind === 'items') {
      const list = make('ul', '', parent);
      for (const item of block.items) make('li', '', list, item);
    } else if (block.kind === 'table') table(parent, block.rows);
    else make('p', '', parent, block.text);
  }
}

export function hub(host, trigger) {
  let waiting = 0;
  make('h3', '', host, 'Weights from the Hugging Face Hub');
  const chosen = make('p', 'fb-quiet', host), trouble = make('ul', 'fb-notes', host);
  const why = make('p', 'fb-quiet', host);
  const form = make('form', 'fb-hub-form', host);
  const label = make('label', 'fb-quiet', form, 'Repository of a FluxBeat model or of any audio classifier, and the commit, tag or branch to take');
  const field = make('input', '', form);
  Object.assign(field, {
    type: 'text', id: 'hub-address', placeholder: 'owner/repo@revision', autocomplete: 'off', spellcheck: false, maxLength: 1000,
  });
  field.setAttribute('autocapitalize', 'off');
  label.htmlFor = field.id;
  const send = make('button', 'fb-button', form, 'Fetch and use');
  send.type = 'submit';
  const stop = button('fb-button', form, 'Stop', () => { stop.disabled = true; trigger('stopped', {}); });
  const bar = make('progress', '', host), message = make('p', 'fb-hub-message', host), size = make('p', 'fb-quiet', host);
  bar.max = 1;
  bar.setAttribute('aria-label', 'Fetched');
  message.setAttribute('role', 'status');
  make('p', 'fb-hint', host,
    'Add /folder after the repository for one of several models. Only numbers are read, never programs; checksums are ' +
    'verified. On this page alone, until it is reloaded; FLUXBEAT_HUB_REPO chooses for the whole server.');

  form.addEventListener('submit', event => {
    event.preventDefault();
    if (send.disabled || !field.value.trim()) return;
    tell({busy: {share: 0, words: 'Asking the Hub'}});
    clearTimeout(waiting);
    waiting = setTimeout(() => tell({error: 'The server did not answer: try again.'}), ANSWER_MS);
    trigger('wanted', {address: field.value.trim()});
  });

  function tell({busy, error, done}) {
    send.disabled = Boolean(busy);
    send.hidden = Boolean(busy);
    stop.hidden = !busy;
    if (!busy) stop.disabled = false;
    setText(size, busy?.size ? `${busy.size}.` : '');
    size.hidden = !busy?.size;
    bar.hidden = !busy;
    bar.value = busy?.share ?? 0;
    message.classList.toggle('fb-failed', Boolean(error));
    message.classList.toggle('fb-done', Boolean(done));
    const ready = done && `Ready: ${done.names.join(', ')}. Choose ${done.names.length === 1 ? 'it' : 'them'} under “Heard by” and in Compare. From ${done.sources.join(', ')}`;
    setText(message, error || ready || (busy ? `${busy.words} …` : ''));
  }

  return view => {
    clearTimeout(waiting);
    host.hidden = !view;
    if (!view) return;
    chosen.hidden = !view.chosen;
    setText(chosen, view.chosen ? `This server takes its weights from ${view.chosen.repo} (FLUXBEAT_HUB_REPO).` : '');
    trouble.replaceChildren(...(view.chosen?.failures ?? []).map(one => make('li', '', null, `${one}.`)));
    form.hidden = !view.allowed;
    host.lastElementChild.hidden = !view.allowed;
    setText(why, view.why);
    why.hidden = view.allowed;
    tell(view);
  };
}
