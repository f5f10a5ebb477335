// Plays a passage of the track in the page's one player, and stops it at the passage's end.

import {follow, playing, seek, togglePlay} from './player.js';

const SLACK_S = 0.3;      // a player may begin a little before where it was moved to

/** Of all passages of the page one plays at a time. */
let now = null;

function over(rest) {
  const {button} = now;
  now = null;
  button.tell(false);
  if (rest && playing()) togglePlay();
}

follow((at, isPlaying) => {
  if (!now) return;
  if (at >= now.end_s) over(true);
  else if (!isPlaying || at < now.start_s - SLACK_S) over(false);      // paused, or moved by the listener
});

/** Gives toggle(button, passage, duration) and stop(); each button has a method tell(playing). */
export function passagePlayer() {
  return {
    toggle(button, {start_s, end_s}, duration) {
      const same = now?.button === button;
      if (now) over(same);
      if (same) return;
      seek(start_s, duration);
      if (!playing()) togglePlay();
      now = {button, start_s, end_s};
      button.tell(true);
    },
    stop() { if (now) over(true); },
  };
}
