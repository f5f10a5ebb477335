// The track that the page shows, and what of it sounds at a moment: for the stage, the player and whatever follows them.

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

/** The `count` most present genres at a moment, read between the windows on either side of it. */
export function strongest({moments, genres}, at, count) {
  const {labels, probability} = moments, {left, right, weight} = around(moments, at);
  const colours = Object.fromEntries(genres.map(genre => [genre.label, genre.colour]));
  return labels
    .map((label, index) => ({label, colour: colours[label], share: probability[left][index] * (1 - weight) + probability[right][index] * weight}))
    .sort((one, other) => other.share - one.share)
    .slice(0, count);
}

/** The tempo of the window nearest to a moment; null where there is no beat. */
export function bpmAt({moments}, at) {
  const {left, right, weight} = around(moments, at);
  return moments.bpm[weight < 0.5 ? left : right];
}

/** The windows whose centres lie on either side of a moment, and how far it is from the left to the right one. */
function around({centre_s: centres}, at) {
  let right = centres.findIndex(centre => centre >= at);
  if (right < 0) right = centres.length - 1;
  const left = Math.max(0, right - (centres[right] > at ? 1 : 0));
  const span = centres[right] - centres[left];
  return {left, right, weight: span > 0 ? (at - centres[left]) / span : 0};
}
