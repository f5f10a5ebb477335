// The track that the page shows, and what of it sounds at a moment: for the stage, the player and whatever follows them.

import {isHidden} from './river.js';
import {lowerBound, valuesAt} from './stage_curves.js';
import {presence} from './wording.js';

let shown = null;
const listeners = new Set();

export const shownTrack = () => shown;

/** Calls `listener(view)` now and with every track, or model's view of it, that is shown from then on; null: none. */
export function onTrack(listener) {
  listeners.add(listener);
  listener(shown);
}

/** `view` is what `timeline_view` in timeline_tab.py gives, or null. */
export function showTrack(view) {
  shown = view;
  for (const listener of listeners) listener(view);
}

/** The `count` most present genres at a moment, as the river shows them, without those that a listener hid. */
export function strongest({moments, genres}, at, count) {
  const known = Object.fromEntries(genres.map(genre => [genre.label, genre])), values = valuesAt(moments, at);
  return moments.labels
    .map((label, index) => ({label, colour: known[label].colour, share: values[index], presence: presence(values[index])}))
    .filter(one => !isHidden(one.label))
    .sort((one, other) => other.share - one.share)
    .slice(0, count);
}

/** The tempo of the window nearest to a moment; null where there is no beat. */
export function bpmAt({moments: {centre_s: centres, bpm}}, at) {
  const right = Math.min(lowerBound(centres, at), centres.length - 1), left = Math.max(0, right - 1);
  return bpm[at - centres[left] < centres[right] - at ? left : right];
}

/** The chapter that a moment lies in. */
export function chapterAt({chapters}, at) {
  return chapters.find(chapter => at < chapter.end_s) ?? chapters.at(-1);
}

/** The genre that leads at a moment among those that are not hidden; null where none is even a trace. */
export function leadingAt(view, at) {
  const [first] = strongest(view, at, 1);
  return first && first.presence !== 'none' ? first.label : null;
}
