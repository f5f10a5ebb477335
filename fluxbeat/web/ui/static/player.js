// The page's one player: where it is, moving it, and telling whoever follows it, once per frame.

import {audio} from './gradio_page.js';

export {audio};

const followers = new Set();

export const position = () => audio()?.currentTime ?? 0;
export const playing = () => { const player = audio(); return Boolean(player && !player.paused && !player.ended); };

export function seek(seconds, duration) {
  const player = audio();
  if (!player) return;
  const end = Number.isFinite(player.duration) ? player.duration : duration;
  player.currentTime = Math.min(Math.max(0, seconds), Math.max(0, (end ?? 0) - 0.05));
}

export function togglePlay() {
  const player = audio();
  if (!player) return;
  if (player.paused) player.play().catch(() => {});
  else player.pause();
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
