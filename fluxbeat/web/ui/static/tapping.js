// Tap tempo: by the button, with a finger or a mouse, or by the key T wherever no text is typed.

import {button, setText} from './dom.js';

const FEWEST = 4, MOST = 16, FORGOTTEN_MS = 2500, KEY = 't';
const NAME = 'tap';

export class TapTempo {
  constructor(host, choose) {
    this.taps_ms = [];
    this.choose = choose;
    this.pad = button('fb-key fb-tap', host, NAME, () => {});
    this.pad.title = 'Tap along with the music (T)';
    // not a click: that comes when the finger is lifted
    this.pad.addEventListener('pointerdown', event => { event.preventDefault(); this.tap(event.timeStamp); });
    this.take = button('fb-key fb-take', host, '', () => { this.choose(this.bpm); this.forget(); });
    this.forget();
    document.addEventListener('keydown', event => {
      if (event.key.toLowerCase() !== KEY || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.pad.disabled || !this.pad.offsetParent) return;
      if (event.target.closest?.('input, textarea, select, [contenteditable=true]')) return;
      event.preventDefault();
      this.tap(event.timeStamp);
    });
    this.pad.addEventListener('keydown', event => {
      if ((event.key === ' ' || event.key === 'Enter') && !event.repeat) { event.preventDefault(); this.tap(event.timeStamp); }
    });
  }

  set disabled(off) {
    this.pad.disabled = off;
    if (off) this.forget();
  }

  tap(at_ms) {
    if (at_ms - this.taps_ms.at(-1) > FORGOTTEN_MS) this.taps_ms = [];
    this.taps_ms = [...this.taps_ms, at_ms].slice(-MOST);
    const enough = this.taps_ms.length >= FEWEST;
    this.setWords(enough ? `${this.bpm.toFixed(1)} tapped` : `${FEWEST - this.taps_ms.length} more`);
    this.take.hidden = !enough;
    if (enough) setText(this.take, `Set ${this.bpm.toFixed(1)}`);
    clearTimeout(this.timer);
    if (!enough) this.timer = setTimeout(() => this.forget(), FORGOTTEN_MS);
  }

  setWords(words) {
    setText(this.pad, words);
    this.pad.setAttribute('aria-label', words === NAME ? 'Tap along with the music' : `Tap along: ${words}`);
  }

  // The slope of a straight line through the taps: one early tap moves it little.
  get bpm() {
    const count = this.taps_ms.length, middle = (count - 1) / 2;
    const mean = this.taps_ms.reduce((sum, one) => sum + one, 0) / count;
    let up = 0, across = 0;
    this.taps_ms.forEach((one, number) => { up += (number - middle) * (one - mean); across += (number - middle) ** 2; });
    return Math.round((60_000 / (up / across)) * 10) / 10;
  }

  forget() {
    clearTimeout(this.timer);
    this.taps_ms = [];
    this.take.hidden = true;
    this.setWords(NAME);
  }
}
