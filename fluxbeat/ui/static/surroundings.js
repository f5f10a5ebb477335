// What stands around the charts: the masthead, notices, progress, examples, and files dropped anywhere.

import {button, make, setText} from './dom.js';
import {takeMany} from './library.js';
import {isDark, onThemeChange, restoreTheme, toggleTheme} from './theme.js';

export function masthead(host) {
  restoreTheme();
  const words = make('div', '', host);
  make('h1', '', words, 'FluxBeat');
  make('p', 'fb-quiet', words, 'Drop in a song and see how genre and tempo flow through it.');
  const lamp = button('fb-button', host, '', toggleTheme);
  const name = () => setText(lamp, isDark() ? 'Light' : 'Dark');
  lamp.setAttribute('aria-label', 'Switch between light and dark');
  onThemeChange(name);
  name();
  return () => {};
}

export function notice(host) {
  host.setAttribute('role', 'alert');
  const text = make('p', '', host);
  const close = button('fb-link', host, 'Close', () => { host.hidden = true; });
  return view => {
    host.hidden = !view;
    close.hidden = !view;
    setText(text, view?.text ?? '');
  };
}

// Gradio writes "queue: 3/5" into its progress while others go first; a listener reads it in words.
export function status(host) {
  const words = make('p', 'fb-quiet fb-waiting', host);
  words.setAttribute('role', 'status');
  const around = host.closest('#status');
  const say = () => setText(words, waitingWords(around.querySelector('.progress-text')?.textContent ?? ''));
  new MutationObserver(say).observe(around, {childList: true, subtree: true, characterData: true});
  return () => {};
}

function waitingWords(text) {
  const place = text.match(/queue: (\d+)\//);
  if (!place) return '';
  const before = Number(place[1]) - 1;
  if (!before) return 'Waiting: you are next.';
  return `Waiting: ${before} ${before === 1 ? 'other' : 'others'} before you.`;
}

export function examples(host, trigger) {
  return (shelf = []) => {
    host.replaceChildren(...(shelf ?? []).map((example, index) => exampleCard(example, () => trigger('chosen', {index}))));
  };
}

function exampleCard(example, choose) {
  const card = make('div', 'fb-example');
  const open = button('fb-example-open', card, '', choose);
  make('span', 'fb-example-title', open, example.title);
  make('span', 'fb-quiet', open, [example.artist, example.genre].filter(Boolean).join('  ·  '));
  const terms = make('span', 'fb-example-terms', card);
  link(terms, example.licence, example.licence_url);
  make('span', '', terms, ', excerpt').title = example.origin;
  return card;
}

function link(parent, text, address) {
  const safe = /^https?:\/\//.test(address);
  const element = make(safe ? 'a' : 'span', '', parent, text);
  if (safe) Object.assign(element, {href: address, target: '_blank', rel: 'noopener noreferrer'});
}

// Gradio's player turns away what the browser does not call audio (MP4, WebM), and only takes a file while it is
// empty. Everything else goes to the button that takes any file, which feeds the same player.
const isAudio = file => file.type.startsWith('audio/');

export function hand(file) {
  let input = document.querySelector('#any-file');
  while (input && !input.matches('input[type=file]')) input = input.previousElementSibling;
  if (!input) return;
  const one = new DataTransfer();
  one.items.add(file);
  input.files = one.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
}

document.addEventListener('dragover', event => {
  if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
}, true);

document.addEventListener('drop', event => {
  if (takeMany(event)) return;
  const file = event.dataTransfer?.files[0];
  const playerTakesIt = file && isAudio(file) && event.target.closest?.('#player')?.querySelector('input[type=file]');
  if (!file || playerTakesIt) return;
  event.preventDefault();
  event.stopPropagation();
  hand(file);
}, true);

document.addEventListener('change', event => {
  const file = event.target.files?.[0];
  if (!file || isAudio(file) || !event.target.closest('#player')) return;
  event.stopPropagation();
  hand(file);
}, true);
