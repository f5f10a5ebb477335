// Show mode: the whole screen for the river and its names, for a party or a talk.

import {button} from './dom.js';
import {openTab} from './gradio_page.js';

const KEY = 'f', TYPING = 'input, textarea, select, [contenteditable=true]';
const shown = () => document.body.classList.contains('fb-show');

function set(on) {
  if (on === shown()) return;
  if (on) openTab('timeline');
  document.body.classList.toggle('fb-show', on);
  if (on) document.documentElement.requestFullscreen?.().catch(() => {}); // without it the window itself is filled
  else if (document.fullscreenElement) document.exitFullscreen();
  window.dispatchEvent(new Event('resize'));
}

export function showButton(host) {
  const one = button('fb-key fb-show-button', host, 'show', () => set(!shown()));
  one.setAttribute('aria-label', 'Show mode: the river alone, on the whole screen');
  one.title = 'The river alone, on the whole screen (F); Esc leaves';
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPING)) return;
  if (event.key === 'Escape' && shown()) set(false);
  else if (event.key.toLowerCase() === KEY && !event.repeat && !event.shiftKey) { event.preventDefault(); set(!shown()); }
});
document.addEventListener('fullscreenchange', () => { if (!document.fullscreenElement) set(false); });
