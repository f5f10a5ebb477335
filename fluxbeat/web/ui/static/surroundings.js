// What surrounds the charts: notices, how far an analysis is, and files that are dropped anywhere.

import {button, make, setText} from './dom.js';
import {openTab} from './gradio_page.js';
import {giveMany, takeMany} from './library.js';
import {audio} from './player.js';
import {fits, putGiven, send, tooLarge} from './sending.js';
import {shownTrack} from './track_now.js';

/** What belongs to one track, and must not be used once another was given. */
const OF_TRACK = '#timeline, #tempo, #compare, #compare-models, #explain, #whole, #save';

let locked = false, lockedKey = null, tell = () => {}, say = () => {}, giveTrack = null;
let sendingTrack = null; // what ends the sending of the file that is to be shown

/** A new track was given: the one that is shown is dimmed and cannot be used until the new one is there. */
export function lock(name) {
  lockedKey = shownTrack()?.key ?? null;
  document.body.classList.remove('fb-so-far'); // what is shown of the track before, if that was not read to its end
  audio().pause();
  setLocked(true);
  tell({busy: true, locked: true, words: name ? `Opening ${name}` : 'Opening the track'});
}

function setLocked(wanted) {
  locked = wanted;
  document.body.classList.toggle('fb-locked', wanted);
  for (const element of document.querySelectorAll(OF_TRACK)) element.inert = wanted;
}

export function notice(host) {
  host.setAttribute('role', 'alert');
  const text = make('p', '', host);
  const close = button('fb-link', host, 'Close', () => { host.hidden = true; });
  say = words => {
    host.hidden = close.hidden = !words;
    setText(text, words ?? '');
  };
  return view => {
    say(view?.text);
    if (view && locked) { setLocked(false); tell({}); }
  };
}

/** How far the work is, how long it still takes, how many go first, and a way to end it; see TrackJob in jobs.py. */
export function status(host, trigger) {
  const words = make('p', 'fb-waiting', host);
  words.setAttribute('role', 'status');
  const left = make('span', 'fb-quiet fb-left', host);
  const bar = make('progress', '', host);
  bar.setAttribute('aria-label', 'Done');
  let shown = {};
  const cancel = button('fb-button fb-cancel', host, 'Cancel', () => {
    if (shown.stop) { shown.stop.abort(); return; }
    cancel.disabled = true;
    setText(words, 'Cancelling');
    setText(left, '');
    trigger('cancelled', {});
  });
  giveTrack = () => trigger('given', {});

  function draw(view) {
    shown = view;
    host.hidden = !view.busy;
    host.toggleAttribute('aria-busy', Boolean(view.busy));
    if (cancel.disabled && view.busy) return; // it ends as soon as the server is told
    setText(words, view.words ?? '');
    setText(left, view.left ?? '');
    const known = Number.isFinite(view.share);
    bar.toggleAttribute('indeterminate', !known);
    if (!known) bar.removeAttribute('value');
    else bar.value = view.share;
    cancel.hidden = view.key === undefined && !view.stop;
  }

  tell = view => { cancel.disabled = false; draw(view); };
  return next => {
    if (sendingTrack) return; // a newer file is on its way
    const view = next ?? {};
    if (locked && view.key !== undefined && (view.opening || view.key === lockedKey)) return; // of the track before
    if (!view.busy || !view.locked || !locked) setLocked(Boolean(view.locked));
    if (!view.busy) cancel.disabled = false;
    draw(view);
  };
}

/** Send files, with what is said of it meanwhile and a way to end it; those that are too large are told and left out. */
export async function sendShown(files, words, locked = false, stop = new AbortController()) {
  const taken = files.filter(fits);
  say(tooLarge(files));
  if (!taken.length) return [];
  const show = share => { if (!stop.signal.aborted) tell({busy: true, locked, words, share, stop}); };
  show(0);
  try {
    return await send(taken, show, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) say(error.message);
    return [];
  } finally {
    if (!locked) tell({});
  }
}

/** Give one file to the page, of whatever kind; the newest one counts. */
export async function hand(file) {
  if (!fits(file)) { say(tooLarge([file])); return; }
  sendingTrack?.abort();
  const stop = sendingTrack = new AbortController();
  lock(file.name);
  const sent = await sendShown([file], `Sending ${file.name}`, true, stop);
  while (sent.length && !giveTrack) await new Promise(resolve => setTimeout(resolve, 50));
  if (stop !== sendingTrack) return;
  sendingTrack = null;
  if (!sent.length) { setLocked(false); tell({}); return; }
  tell({busy: true, locked: true, words: `Opening ${file.name}`});
  putGiven('track', sent);
  giveTrack();
}

/** One file is a track, several are a library. */
export function handAll(files) {
  if (files.length > 1) giveMany(files);
  else if (files.length) { openTab('timeline'); hand(files[0]); }
}

document.addEventListener('dragover', event => {
  if (!event.dataTransfer?.types.includes('Files')) return;
  event.preventDefault();
  document.body.classList.add('fb-dragging');
}, true);
for (const over of ['drop', 'dragend', 'dragleave'])
  document.addEventListener(over, event => { if (over !== 'dragleave' || !event.relatedTarget) document.body.classList.remove('fb-dragging'); }, true);

document.addEventListener('drop', event => {
  if (takeMany(event)) return;
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  event.preventDefault();
  event.stopPropagation();
  handAll([file]);
}, true);
