// One sound at a time: whatever plays next stops what played before, whichever part of the page plays it.

const sounding = new Set();

/** Gives back the audio element, which from now on plays alone. */
export function alone(media) {
  media.addEventListener('play', () => {
    hush(media);
    sounding.add(media);
  });
  for (const over of ['pause', 'ended', 'emptied']) media.addEventListener(over, () => sounding.delete(media));
  return media;
}

/** Stops whatever plays, but for one. */
export function hush(except = null) {
  for (const media of sounding) if (media !== except) media.pause();
}
