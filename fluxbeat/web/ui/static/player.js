// The page's one player: where it is, moving it, and telling whoever follows it, once per frame.

import {alone} from './sound_now.js';

const element = alone(document.createElement('audio'));
element.preload = 'auto';

const followers = new Set();

/** The audio element, which the bar takes into the page. */
export const audio = () => element;

export const position = () => element.currentTime;
export const playing = () => !element.paused && !element.ended;

export function seek(seconds, duration) {
  const end = Number.isFinite(element.duration) ? element.duration : duration;
  element.currentTime = Math.min(Math.max(0, seconds), Math.max(0, (end ?? 0) - 0.05));
}

export function togglePlay() {
  if (!element.currentSrc) return;
  if (element.paused) element.play().catch(() => {});
  else element.pause();
}

export function follow(follower) {
  followers.add(follower);
  return () => followers.delete(follower);
}

(function everyFrame() {
  const at = position(), isPlaying = playing();
  for (const follower of followers) follower(at, isPlaying);
  requestAnimationFrame(everyFrame);
})();
