// The stage's lowest layer: the spectrogram of what is in view in the ink of the theme, and over it, in orange, what
// speaks for one genre. The server is asked for what is not here yet; one whole track and one close part are kept.

import {isDark} from './theme.js';
import {START_MS} from './wording.js';

const SETTLED_MS = 250, CLOSER = 3, AROUND = 0.5, WORTH_S = 4;
const HEAT = [255, 122, 20], INK = {light: [35, 38, 45], dark: [214, 222, 236]}, LEVEL_POWER = 1.2, HEAT_POWER = 1.6;      // what is weak stays pale

export class Spectrogram {
  /** changed: called when there is something new to draw; says(text): what is going on, for the listener. */
  constructor(changed, says) {
    Object.assign(this, {changed, says, ask: () => {}, key: null, model: null, duration: 0, label: null, ticket: 0});
    this.clear();
  }

  clear() {
    Object.assign(this, {whole: null, close: null, heat: null, asked: null, label: null});
    clearTimeout(this.waiting);
  }

  /** Another track or another model's view of it. */
  show(view) {
    const same = view && view.key === this.key && view.model === this.model;
    if (!same) this.clear();
    Object.assign(this, {key: view?.key ?? null, model: view?.model ?? null, duration: view?.duration_s ?? 0});
  }

  /** What is in view: asked for when it rests. */
  look(from, to) {
    if (!this.key) return;
    clearTimeout(this.waiting);
    if (!this.whole) { this.request(0, this.duration); return; }
    const span = to - from;
    if (span * CLOSER > this.duration || this.duration - span < WORTH_S) return;
    const fine = this.close && this.close.from_s <= from + 0.05 && this.close.to_s >= to - 0.05
      && this.close.to_s - this.close.from_s <= span * CLOSER;
    if (fine) return;
    this.waiting = setTimeout(() => this.request(Math.max(0, from - span * AROUND), Math.min(this.duration, to + span * AROUND)), SETTLED_MS);
  }

  request(from_s, to_s) {
    const asked = `${this.key} ${this.model} ${from_s.toFixed(2)} ${to_s.toFixed(2)}`;
    if (asked === this.asked) return;
    this.asked = asked;
    this.ask('looked', {from_s, to_s});
  }

  /** Show what speaks for a genre, from `at` on; null: for none. */
  point(label, at) {
    if (label === this.label) return;
    this.label = label;
    this.heat = null;
    this.ticket++;
    this.says(label ? `Looking for what speaks for ${label} …` : '');
    if (label) this.ask('pointed', {label, at_s: at, ticket: this.ticket});
    this.changed();
  }

  take(answer) {
    if (!answer) return;
    if (answer.error) {
      if (answer.ticket === this.ticket) this.says(answer.error);
      this.asked = null;
      return;
    }
    if (answer.key !== this.key) return;
    const image = {...answer, bytes: Uint8Array.from(atob(answer.level), letter => letter.charCodeAt(0))};
    if (answer.kind === 'spectrogram') {
      if (answer.from_s <= 0 && answer.to_s >= this.duration - 0.5) this.whole = image;
      else this.close = image;
    } else if (answer.ticket === this.ticket && answer.label === this.label) {
      this.heat = image;
      this.says(answer.most ? `Orange speaks for ${answer.label}${answer.whole ? '' : ' …'}` : answer.whole
        ? `Nothing here speaks for ${answer.label}.` : `Looking for what speaks for ${answer.label} …`);
    }
    this.changed();
  }

  /** Images for a layout, those that are nearest on top. */
  images(from, to) {
    const ink = INK[isDark() ? 'dark' : 'light'];
    const images = [];
    const covers = this.close && this.close.from_s < to && this.close.to_s > from;
    if (this.whole) images.push(placedImage(this.whole, ink, LEVEL_POWER));
    if (covers && this.close.from_s <= from + 0.05 && this.close.to_s >= to - 0.05) images.splice(0, 1, placedImage(this.close, ink, LEVEL_POWER));
    // of two images at one place Plotly draws one
    if (this.heat?.most) images.push(placedImage(this.heat, HEAT, HEAT_POWER, 1));
    return images;
  }

  /** The frequency at a height of the picture, 0 the lowest, in Hz; null while there is none. */
  hz(share) {
    const bands = this.whole?.band_hz;
    return bands ? bands[Math.min(bands.length - 1, Math.max(0, Math.floor(share * bands.length)))] : null;
  }
}

function placedImage(image, ink, power, laterMs = 0) {
  const name = ink.join();
  if (image.drawn?.name !== name) image.drawn = {name, source: tinted(image, ink, power)};
  return {
    source: image.drawn.source, xref: 'x', yref: 'y4', x: START_MS + image.from_s * 1000 + laterMs, y: 1, xanchor: 'left', yanchor: 'top',
    sizex: (image.to_s - image.from_s) * 1000, sizey: 1, sizing: 'stretch', layer: 'below',
  };
}

/** Bytes as the opacity of one colour: an image in a data URI, low frequencies at the bottom. */
function tinted({bytes, rows, columns}, [red, green, blue], power) {
  const opacity = Array.from({length: 256}, (_, level) => Math.round(255 * (level / 255) ** power));
  const canvas = Object.assign(document.createElement('canvas'), {width: columns, height: rows});
  const brush = canvas.getContext('2d'), pixels = brush.createImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const place = 4 * ((rows - 1 - row) * columns + column), level = bytes[row * columns + column];
      pixels.data[place] = red;
      pixels.data[place + 1] = green;
      pixels.data[place + 2] = blue;
      pixels.data[place + 3] = opacity[level];
    }
  }
  brush.putImageData(pixels, 0, 0);
  return canvas.toDataURL('image/png');
}
