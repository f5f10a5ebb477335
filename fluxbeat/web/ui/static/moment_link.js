// A link to the moment: `#t=83.5` is gone to when the page opens, and follows where a listener goes.

import {audio, position, seek} from './player.js';

const REST_MS = 600;
let timer = 0, held = false;

const wanted = () => Number(/^#t=(\d+(?:\.\d+)?)$/.exec(location.hash)?.[1] ?? NaN);

function go() {
  const second = wanted();
  if (Number.isFinite(second)) seek(second);
}

function write(second) {
  const hash = second === null ? '' : `#t=${Math.round(second * 10) / 10}`;
  if (hash !== location.hash) history.replaceState(history.state, '', `${location.pathname}${location.search}${hash}`);
}

/** A new track is in the player: the page's first one begins where the address says, any other at its beginning. */
export function momentOfAddress(first) {
  clearTimeout(timer);
  if (!first) { write(null); return; }
  held = true; // until the player is there the address stays as it is
  audio().addEventListener('loadedmetadata', () => { go(); held = false; }, {once: true});
}

audio().addEventListener('seeked', () => {
  if (held) return;
  clearTimeout(timer);
  timer = setTimeout(() => { if (audio().currentSrc) write(position() < 0.05 ? null : position()); }, REST_MS);
});
window.addEventListener('hashchange', go);
