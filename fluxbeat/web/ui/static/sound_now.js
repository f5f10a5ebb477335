// One sound at a time: whatever plays next stops what played before, whichever part of the page plays it.

const sounding = new Set();

/** Called by what begins to sound; it has a method `pause`. */
export function begins(one) {
  hush(one);
  sounding.add(one);
}

/** Called by what sounds no longer. */
export function ends(one) { sounding.delete(one); }

/** Gives back the audio element, which from now on plays alone. */
export function alone(media) {
  media.addEventListener('play', () => begins(media));
  for (const over of ['pause', 'ended', 'emptied']) media.addEventListener(over, () => ends(media));
  return media;
}

/** Stops whatever plays, but for one. */
export function hush(except = null) {
  for (const one of sounding) if (one !== except) one.pause();
}
