// The stage: all layers of a track on one axis under one playhead, drawn by one Plotly figure.

import {TimeChart} from './chart.js';
import {make} from './dom.js';
import {position} from './player.js';
import {isHidden} from './river.js';
import {setSpan} from './stage_curves.js';
import {Spectrogram} from './stage_spectrogram.js';
import {Tip} from './stage_tip.js';
import {fill, placed} from './stage_traces.js';
import {leadingAt} from './track_now.js';

export const LAYERS = {waveform: 'Waveform', river: 'Genres', tempo: 'Tempo and beats', spectrogram: 'Spectrogram'};
const LEAST_HEIGHT_PX = 380, BELOW_PX = 10, DWELL_MS = 600, KEPT = 'fluxbeat-layers';

export class Stage extends TimeChart {
  constructor(host) {
    super(host, 'Position in the track, on the stage of its layers', () => this.room(), (data, layout, ink) => this.fill(data, layout, ink));
    this.frame.classList.add('fb-stage');
    this.view = null;
    this.scene = null;
    this.off = new Set(kept());
    this.names = Object.fromEntries(Object.entries(LAYERS).map(([name, words]) => [name, make('span', 'fb-layer-name', this.overlay, words)]));
    this.why = make('p', 'fb-why', this.overlay);
    this.why.setAttribute('role', 'status');
    this.spectrogram = new Spectrogram(() => this.render(), text => { this.why.textContent = text; });
    this.tip = new Tip(this.frame);
    this.frame.addEventListener('pointermove', event => this.pointed(event));
    this.frame.addEventListener('pointerleave', () => this.left());
    this.frame.addEventListener('click', event => this.explain(this.under(event)));
    window.addEventListener('resize', () => this.later());
    // what stands above may grow or shrink, and the room changes with it
    new ResizeObserver(() => { if (this.scene && this.visible && this.room() !== this.frame.clientHeight) this.later(); }).observe(document.body);
  }

  /** In show mode the river is alone. */
  isOn(name) { return document.body.classList.contains('fb-show') ? name === 'river' : !this.off.has(name); }

  /** Switch a layer on or off; one always stays. */
  toggle(name) {
    if (!this.off.delete(name) && this.off.size < Object.keys(LAYERS).length - 1) this.off.add(name);
    try { localStorage.setItem(KEPT, JSON.stringify([...this.off])); } catch { /* private windows keep nothing */ }
    this.render();
  }

  show(view) {
    this.view = view;
    this.scene = null;
    this.tip.hide();
    this.spectrogram.show(view?.so_far ? null : view);
    return view ? this.draw(view.figure, view.duration_s, view.title || view.file) : undefined;
  }

  /** What is left of the window between whatever stands above and the player's bar. */
  room() {
    const top = this.frame.getBoundingClientRect().top + window.scrollY;
    const bar = Number.parseFloat(getComputedStyle(this.frame).getPropertyValue('--fb-bar-height')) || 0;
    return Math.max(LEAST_HEIGHT_PX, Math.floor(window.innerHeight - bar - top - BELOW_PX));
  }

  fill(data, layout, ink) {
    const [from, to] = this.range, {margin} = layout;
    setSpan(to - from);
    const places = placed(name => this.isOn(name));
    this.scene = {
      view: this.view, from, to, places, isHidden, ink,
      inner: layout.width - margin.l - margin.r, height: layout.height - margin.t - margin.b,
    };
    fill(data, layout, this.scene);
    if (places.spectrogram) {
      layout.images = this.spectrogram.images(from, to);
      this.spectrogram.look(from, to);
    }
    for (const [name, element] of Object.entries(this.names)) {
      element.hidden = !places[name];
      if (places[name]) element.style.top = `${(100 * (1 - places[name][1])).toFixed(2)}%`;
    }
    this.why.hidden = !places.spectrogram;
    return data;
  }

  showView() { this.later(); }

  /** Draw anew with the next frame, however often it is asked for until then. */
  later() {
    if (!this.visible) { this.width = 0; return; }
    this.due ??= requestAnimationFrame(() => { this.due = null; this.render(); });
  }

  /** {at, layer, label, hz}: what lies under the pointer; null outside the axes. */
  under(event) {
    if (!this.scene || !this.margin || event.target.closest?.('.modebar')) return null;
    const box = this.overlay.getBoundingClientRect(), up = 1 - (event.clientY - box.top) / box.height;
    if (up < 0 || up > 1 || event.clientX < box.left || event.clientX > box.right) return null;
    const at = this.timeAt(event), found = Object.entries(this.scene.places).find(([, [bottom, top]]) => up >= bottom && up <= top);
    if (!found) return null;
    const [layer, [bottom, top]] = found, within = (up - bottom) / (top - bottom);
    return {at, layer, label: layer === 'river' ? this.streamAt(at, within) : leadingAt(this.view, at),
      hz: layer === 'spectrogram' ? this.spectrogram.hz(within) : null};
  }

  /** The genre whose stream lies at a height of the river, 0 its bottom; null beside the river. */
  streamAt(at, within) {
    const {times, streams} = this.scene.streams, {from, to} = this.scene;
    const place = Math.round((at - from) / (to - from) * (times.length - 1));
    const height = within * this.plot._fullLayout.yaxis.range[1];
    const thick = stream => stream.high[place] - stream.low[place] > 1e-3;
    return streams.find(stream => height >= stream.low[place] && height < stream.high[place] && thick(stream))?.label ?? null;
  }

  pointed(event) {
    if (event.pointerType === 'touch' || !this.view) return;
    const under = this.under(event);
    clearTimeout(this.dwelling);
    if (!under) { this.tip.hide(); return; }
    this.tip.show(this.view, under, event);
    if (under.layer === 'river' || under.layer === 'spectrogram')
      this.dwelling = setTimeout(() => this.explain(under), DWELL_MS);
  }

  left() {
    clearTimeout(this.dwelling);
    this.tip.hide();
  }

  /** Show in the spectrogram what speaks for the genre of a place. */
  explain(under) {
    if (under?.label && this.isOn('spectrogram')) this.spectrogram.point(under.label, under.at);
  }

  key(event) {
    if (event.key === 'e' && !event.ctrlKey && !event.altKey && !event.metaKey && this.view)
      this.explain({at: position(), label: leadingAt(this.view, position())});
    else super.key(event);
  }
}

function kept() {
  try {
    const names = JSON.parse(localStorage.getItem(KEPT) ?? '[]').filter(name => name in LAYERS);
    return names.length < Object.keys(LAYERS).length ? names : [];
  } catch { return []; }
}
