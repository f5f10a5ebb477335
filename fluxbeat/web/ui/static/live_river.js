// The last minute as a river on a canvas: what sounds now comes in at the right and flows to the left.

import {make} from './dom.js';
import {onThemeChange} from './theme.js';

const SPAN_S = 60, KEPT_EVERY_S = 0.1, EASING_S = 0.15, FRAME_MS = 33, CALM_FRAME_MS = 500;
const FOOT = 22, TICK_S = 10, NAMED_PX = 20, NAME_INSET_PX = 10, LEAST_RISE = 1.2, RISE_EASING = 0.04;

export class LiveRiver {
  constructor(host, name) {
    this.frame = make('div', 'fb-live-river', host);
    this.canvas = make('canvas', '', this.frame);
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', name);
    this.brush = this.canvas.getContext('2d');
    this.genres = [];
    this.clear();
    new ResizeObserver(() => this.draw()).observe(this.frame);
    onThemeChange(() => this.draw());
  }

  clear() {
    this.target = this.genres.map(() => 0);
    this.shown = [...this.target];
    this.kept = [];
    this.rise = LEAST_RISE;
  }

  /** genres: [{label, colour, ink}], from the top of the river to its bottom. */
  setGenres(genres) {
    this.genres = genres;
    this.clear();
    this.draw();
  }

  /** What the river flows towards from now on: probability per label, or null for nothing. */
  aim(probability) { this.target = this.genres.map(genre => probability?.[genre.label] ?? 0); }

  start() {
    this.clear();
    this.began = this.keptAt = performance.now();
    this.drawnAt = 0;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const every = now => {
      this.turn = requestAnimationFrame(every);
      this.advance(now);
      if (now - this.drawnAt < (calm ? CALM_FRAME_MS : FRAME_MS)) return;
      this.drawnAt = now;
      this.draw();
    };
    this.turn = requestAnimationFrame(every);
  }

  stop() {
    cancelAnimationFrame(this.turn);
    this.turn = 0;
  }

  advance(now) {
    const passed = (now - this.keptAt) / 1000;
    if (passed < KEPT_EVERY_S) return;
    const near = 1 - Math.exp(-passed / EASING_S);
    this.shown = this.shown.map((value, index) => value + (this.target[index] - value) * near);
    this.kept.push({at: now, values: this.shown});
    this.keptAt = now;
    while (this.kept.length && now - this.kept[0].at > (SPAN_S + 1) * 1000) this.kept.shift();
    const most = Math.max(LEAST_RISE, ...this.kept.map(({values}) => sum(values)));
    this.rise += (most - this.rise) * RISE_EASING;
  }

  draw() {
    const width = this.frame.clientWidth, height = this.frame.clientHeight;
    if (!width || !height) return;
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    if (this.canvas.width !== Math.round(width * sharp) || this.canvas.height !== Math.round(height * sharp)) {
      this.canvas.width = Math.round(width * sharp);
      this.canvas.height = Math.round(height * sharp);
    }
    this.brush.setTransform(sharp, 0, 0, sharp, 0, 0);
    this.brush.clearRect(0, 0, width, height);
    this.drawAxis(width, height);
    if (this.kept.length > 1) this.drawAreas(width, height - FOOT);
  }

  drawAreas(width, height) {
    const now = this.turn ? performance.now() : this.kept.at(-1).at;
    const scale = height / Math.max(this.rise, ...this.kept.map(({values}) => sum(values)));
    const across = this.kept.map(({at}) => width * (1 - (now - at) / SPAN_S / 1000));
    across[across.length - 1] = width;      // the newest reaches up to now
    const style = getComputedStyle(this.frame);
    Object.assign(this.brush, {strokeStyle: style.backgroundColor, lineWidth: 0.8, font: `13px ${style.fontFamily}`});
    Object.assign(this.brush, {textAlign: 'right', textBaseline: 'middle'});
    const names = [];
    let edge = this.kept.map(({values}) => (height - sum(values) * scale) / 2);
    for (const [index, genre] of this.genres.entries()) {
      const next = edge.map((y, place) => y + this.kept[place].values[index] * scale);
      this.brush.beginPath();
      edge.forEach((y, place) => this.brush.lineTo(across[place], y));
      for (let place = next.length - 1; place >= 0; place--) this.brush.lineTo(across[place], next[place]);
      this.brush.closePath();
      this.brush.fillStyle = genre.colour;
      this.brush.fill();
      this.brush.stroke();
      const top = edge.at(-1), thickness = next.at(-1) - top;
      if (thickness >= NAMED_PX) names.push({...genre, middle: top + thickness / 2});
      edge = next;
    }
    for (const {label, ink, middle} of names) {
      this.brush.fillStyle = ink;
      this.brush.fillText(label, width - NAME_INSET_PX, middle);
    }
  }

  drawAxis(width, height) {
    const style = getComputedStyle(this.frame);
    Object.assign(this.brush, {fillStyle: style.color, font: `12px ${style.fontFamily}`, textBaseline: 'bottom'});
    const step = width < 480 ? 2 * TICK_S : TICK_S;
    for (let ago = 0; ago < SPAN_S; ago += step) {
      this.brush.textAlign = ago ? 'center' : 'right';
      this.brush.fillText(ago ? `${ago} s ago` : 'now', width * (1 - ago / SPAN_S) - (ago ? 0 : 4), height - 2);
    }
  }
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
