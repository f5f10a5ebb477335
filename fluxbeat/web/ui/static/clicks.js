// A click on every beat over the music that plays: whether the beats are right is told by ear.

import {button} from './dom.js';
import {audio, follow} from './player.js';

const AHEAD_S = 0.12, CLICK_S = 0.03, BEAT_HZ = 1000, BAR_HZ = 1500, LEVEL = 0.35;

export class BeatClicks {
  constructor(host) {
    Object.assign(this, {on: false, beats_s: [], bars: new Set(), next_s: null, context: null});
    this.button = button('fb-key', host, 'click', () => this.toggle());
    this.button.setAttribute('aria-pressed', 'false');
    this.button.setAttribute('aria-label', 'Click on the beats');
    this.button.title = 'A click on every beat, to hear whether the tempo is right';
    follow((at, isPlaying) => this.go(at, isPlaying));
  }

  beats(beats_s, downbeats_s) {
    this.beats_s = beats_s;
    this.bars = new Set(downbeats_s);
    this.next_s = null;
    this.button.disabled = !beats_s.length;
  }

  toggle() {
    this.on = !this.on;
    this.button.setAttribute('aria-pressed', String(this.on));
    this.context ??= new AudioContext();
    this.context.resume();
    if (this.on && audio().paused) audio().play().catch(() => {});
  }

  // Beats soon to come are given to the sound card with their time: a frame may be late, a click must not.
  go(at, isPlaying) {
    if (!this.on || !isPlaying) { this.next_s = null; return; }
    const speed = audio().playbackRate || 1, until = at + AHEAD_S * speed;
    if (this.next_s === null || Math.abs(this.next_s - at) > 1) this.next_s = at;
    for (const beat_s of between(this.beats_s, this.next_s, until)) this.click((beat_s - at) / speed, this.bars.has(beat_s));
    this.next_s = Math.max(this.next_s, until);
  }

  click(in_s, isBar) {
    const tone = this.context.createOscillator(), loud = this.context.createGain();
    const begin = this.context.currentTime + Math.max(0, in_s);
    tone.frequency.value = isBar ? BAR_HZ : BEAT_HZ;
    loud.gain.setValueAtTime(LEVEL, begin);
    loud.gain.exponentialRampToValueAtTime(0.001, begin + CLICK_S);
    tone.connect(loud).connect(this.context.destination);
    tone.start(begin);
    tone.stop(begin + CLICK_S);
    this.clicked = (this.clicked ?? 0) + 1;
    this.button.dataset.clicked = this.clicked;
  }
}

function between(rising, from, until) {
  let low = 0, high = rising.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] < from) low = middle + 1;
    else high = middle;
  }
  const found = [];
  for (; low < rising.length && rising[low] < until; low++) found.push(rising[low]);
  return found;
}
