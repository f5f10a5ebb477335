// The sound of a window in two parts, looped together: all of it, one part, or the other, changed in mid-loop.

import {begins, ends} from './sound_now.js';

const FADE_S = 0.015;      // a hard cut would click

/** What can be listened to, and how loud each part is then. */
export const PARTS = {
  attended: {words: 'Only what counts', gains: {attended: 1, rest: 0}},
  rest: {words: 'Everything else', gains: {attended: 0, rest: 1}},
  both: {words: 'Everything', gains: {attended: 1, rest: 1}},
};

let context = null;

/** Fetches both parts; `onEnd` is called when the loop ends, by whomever. */
export async function loopOf(urls, onEnd) {
  context ??= new AudioContext();
  const buffers = await Promise.all(Object.entries(urls).map(async ([name, url]) => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${answer.status}`);
    return [name, await context.decodeAudioData(await answer.arrayBuffer())];
  }));
  return new SoundLoop(Object.fromEntries(buffers), onEnd);
}

class SoundLoop {
  constructor(buffers, onEnd) { Object.assign(this, {buffers, onEnd, voices: null, part: null}); }

  get sounding() { return this.voices !== null; }

  /** Seconds from the window's begin. */
  get at() { return (context.currentTime - this.began) % this.buffers.attended.duration; }

  start(part) {
    this.stop();
    begins(this);
    context.resume();
    this.began = context.currentTime;
    this.voices = Object.entries(this.buffers).map(([name, buffer]) => {
      const source = new AudioBufferSourceNode(context, {buffer, loop: true}), gain = new GainNode(context, {gain: 0});
      source.connect(gain).connect(context.destination);
      source.start(this.began);
      return {name, source, gain};
    });
    this.choose(part);
  }

  choose(part) {
    this.part = part;
    for (const {name, gain} of this.voices) gain.gain.setTargetAtTime(PARTS[part].gains[name], context.currentTime, FADE_S);
  }

  pause() { this.stop(); }

  stop() {
    if (!this.sounding) return;
    ends(this);
    for (const {source} of this.voices) source.stop();
    this.voices = null;
    this.onEnd();
  }
}
