// The header: the name, the model, the examples, one button that opens anything, one that records, light and dark.

import {button, make, setText} from './dom.js';
import {chooseModel, onModels, openTab} from './gradio_page.js';
import {onMicrophone} from './microphone.js';
import {keptTrack} from './player_bar.js';
import {handAll, lock} from './surroundings.js';
import {isThisMachine} from './this_machine.js';
import {isDark, onThemeChange, restoreTheme, toggleTheme} from './theme.js';

const NARROW = '(max-width: 760px)';
let examplesPanel = null;

export function masthead(host) {
  restoreTheme();
  if (!keptTrack()) document.body.classList.add('fb-opening'); // the example that comes has a line above it
  make('h1', '', host, 'FluxBeat');
  const tools = make('div', 'fb-tools', host);
  const model = modelChoice(tools);
  const examplesButton = button('fb-button fb-examples-button', tools, 'Examples', () => examplesPanel?.toggle(examplesButton));
  examplesButton.setAttribute('aria-expanded', 'false');
  opener(tools);
  recorder(tools);
  const lamp = lightSwitch(tools);
  const about = make('p', 'fb-about', host);
  new ResizeObserver(() => {
    document.body.style.setProperty('--fb-about-height', `${about.offsetHeight}px`);
    window.dispatchEvent(new Event('fluxbeat-bar')); // there is more or less room for what is sized by the rest
  }).observe(about);
  // a phone's header has no room for these two
  const narrow = matchMedia(NARROW);
  const place = () => {
    if (!narrow.matches) { tools.prepend(model); tools.append(lamp); }
    else examplesPanel?.foot.append(model, lamp);
  };
  narrow.addEventListener('change', place);
  onExamples = place;
  place();
  return view => {
    if (!view) return;
    const where = isThisMachine ? 'this machine' : 'the machine that runs it';
    setText(about, 'Drop in a song and see its genres and tempo flow. '
      + `Nothing leaves ${where}. It knows ${view.labels.slice(0, -1).join(', ')} and ${view.labels.at(-1)}.`);
  };
}

let onExamples = () => {};

function modelChoice(tools) {
  const label = make('label', 'fb-model-choice', tools), words = make('span', 'fb-spoken', label, 'Heard by');
  words.id = 'model-words';
  const select = make('select', '', label);
  select.title = 'The model whose answer is shown';
  select.addEventListener('change', () => chooseModel(select.value));
  onModels(models => {
    const shown = models.map(one => `${one.name}\n${one.title}`).join();
    if (select.dataset.shown !== shown) {
      select.dataset.shown = shown;
      select.replaceChildren(...models.map(one => {
        const option = make('option', '', null, one.title);
        option.value = one.name;
        return option;
      }));
    }
    select.value = models.find(one => one.chosen)?.name ?? select.value;
  });
  return label;
}

/** Takes anything: one file is a track, several are a library. */
function opener(tools) {
  const files = make('input', '', tools);
  Object.assign(files, {type: 'file', multiple: true, hidden: true, id: 'open-files'});
  const open = button('fb-button fb-open', tools, '', () => files.click());
  make('span', 'fb-long', open, 'Drop or open a song');
  make('span', 'fb-short', open, 'Open');
  open.title = 'One song, or several for the library; dropping them anywhere on the page does the same';
  files.addEventListener('change', () => {
    handAll([...files.files]);
    files.value = '';
  });
}

/** The one microphone is Live's: this starts it there. While it is open, the sign on every tab says so and stops it. */
function recorder(tools) {
  const record = button('fb-button fb-record', tools, '', async () => {
    openTab('live');
    const start = await element('.fb-live-start');
    start.focus();
    start.click();
  });
  make('span', '', record, 'Record');
  record.setAttribute('aria-label', 'Record with the microphone');
  onMicrophone(isOpen => { record.style.visibility = isOpen ? 'hidden' : ''; });
}

async function element(selector) {
  for (;;) {
    const found = document.querySelector(selector);
    if (found) return found;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

function lightSwitch(tools) {
  const lamp = button('fb-button fb-lamp', tools, '', toggleTheme);
  const name = () => setText(lamp, isDark() ? '☀' : '☾');
  lamp.setAttribute('aria-label', 'Switch between light and dark');
  lamp.title = 'Light or dark';
  onThemeChange(name);
  name();
  return lamp;
}

/** The examples, which open below the header; the button that opened them keeps the focus. */
export function examples(host, trigger) {
  let opener = null;
  const list = make('div', 'fb-examples-list', host);
  const foot = make('div', 'fb-examples-foot', host);
  host.hidden = true;

  function open(wanted) {
    host.hidden = !wanted;
    opener?.setAttribute('aria-expanded', String(wanted));
    if (wanted) list.querySelector('button')?.focus();
    else if (host.contains(document.activeElement) || document.activeElement === document.body) opener?.focus();
  }

  host.addEventListener('keydown', event => { if (event.key === 'Escape') open(false); });
  document.addEventListener('pointerdown', event => {
    if (!host.hidden && !host.contains(event.target) && !opener?.contains(event.target)) open(false);
  });
  examplesPanel = {foot, toggle(by) { opener = by; open(host.hidden); }};
  onExamples();
  return tracks => list.replaceChildren(...(tracks ?? []).map((example, index) => exampleCard(example, () => {
    opener?.focus();
    open(false);
    openTab('timeline');
    lock(example.title);
    trigger('chosen', {index});
  })));
}

function exampleCard(example, choose) {
  const card = make('div', 'fb-example');
  const open = button('fb-example-open', card, '', choose);
  make('span', 'fb-example-title', open, example.title);
  make('span', 'fb-quiet', open, [example.artist, example.genre_hint].filter(Boolean).join('  ·  '));
  const terms = make('span', 'fb-example-terms', card);
  link(terms, example.licence, example.licence_url);
  make('span', '', terms, ', excerpt').title = `${example.source}\n${example.changes}`;
  return card;
}

function link(parent, text, address) {
  const safe = /^https?:\/\//.test(address);
  const element = make(safe ? 'a' : 'span', '', parent, text);
  if (safe) Object.assign(element, {href: address, target: '_blank', rel: 'noopener noreferrer'});
}
