// What stands around the charts: the masthead, notices, progress, examples, and files dropped anywhere.

import {button, make, setText} from './dom.js';
import {anyFileInput, give, isInPlayer, playerInput} from './gradio_page.js';
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

// Who waits for a turn reads how many go first.
export function status(host) {
  const words = make('p', 'fb-quiet fb-waiting', host);
  words.setAttribute('role', 'status');
  return view => setText(words, view?.waiting ?? '');
}

export function examples(host, trigger) {
  return (tracks = []) => {
    host.replaceChildren(...(tracks ?? []).map((example, index) => exampleCard(example, () => trigger('chosen', {index}))));
  };
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

// Gradio's player turns away what the browser does not call audio (MP4, WebM), and only takes a file while it is
// empty. Everything else goes to the button that takes any file, which feeds the same player.
const isAudio = file => file.type.startsWith('audio/');

export function hand(file) {
  const input = anyFileInput();
  if (input) give(input, [file]);
}

document.addEventListener('dragover', event => {
  if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
}, true);

document.addEventListener('drop', event => {
  if (takeMany(event)) return;
  const file = event.dataTransfer?.files[0];
  const playerTakesIt = file && isAudio(file) && playerInput(event.target);
  if (!file || playerTakesIt) return;
  event.preventDefault();
  event.stopPropagation();
  hand(file);
}, true);

document.addEventListener('change', event => {
  const file = event.target.files?.[0];
  if (!file || isAudio(file) || !isInPlayer(event.target)) return;
  event.stopPropagation();
  hand(file);
}, true);
