// A Plotly figure over time, with the playhead above it. All charts of the page show the same part of the track.

import {make} from './dom.js';
import {coverAxes, plotly} from './plotly.js';
import {follow, position, seek, togglePlay} from './player.js';
import {onThemeChange, painted} from './theme.js';
import {clock, secondOf, spokenTime, START_MS, timeLabels} from './wording.js';

const charts = new Set();
const SHORTEST_VIEW_S = 2, STEP_S = 5, FINE_STEP_S = 1, ZOOM = 1.6, TOUCH_SLOP_PX = 8;
let view = null;      // [from, to] in seconds; null: the whole track
let lastAt = 0;

export function resetView() { showView(null); }

export function redrawAll() { for (const chart of charts) chart.render(); }

function showView(wanted) {
  const duration = Math.max(0, ...[...charts].map(chart => chart.duration));
  if (wanted) {
    const span = Math.min(duration, Math.max(SHORTEST_VIEW_S, wanted[1] - wanted[0]));
    const from = Math.min(Math.max(0, wanted[0]), duration - span);
    wanted = span < duration - 0.01 ? [from, from + span] : null;
  }
  view = wanted;
  for (const chart of charts) chart.showView();
}

function zoom(factor, around) {
  const chart = [...charts].find(one => one.visible);
  if (!chart) return;
  const [from, to] = chart.range;
  showView([around - (around - from) * factor, around + (to - around) * factor]);
}

follow((at, isPlaying) => {
  if (view && lastAt >= view[0] && lastAt <= view[1] && (at < view[0] || at > view[1])) {
    const span = view[1] - view[0];
    showView(isPlaying && at > view[1] ? [at - span * 0.05, at + span * 0.95] : [at - span / 2, at + span / 2]);
  }
  lastAt = at;
  for (const chart of charts) chart.moveTo(at);
});
onThemeChange(redrawAll);

export class TimeChart {
  /** `height` is a function of the width in pixels; `shape(data, layout, ink)` may change what is drawn before it is. */
  constructor(host, name, height, shape = data => data) {
    Object.assign(this, {height, shape, figure: null, duration: 0, width: 0, drawing: 0});
    this.frame = make('div', 'fb-frame', host);
    this.frame.tabIndex = 0;
    for (const [key, value] of Object.entries({role: 'slider', 'aria-label': name, 'aria-valuemin': 0}))
      this.frame.setAttribute(key, value);
    this.plot = make('div', 'fb-plot', this.frame);
    this.overlay = make('div', 'fb-overlay', this.frame);
    this.head = make('div', 'fb-playhead', this.overlay);
    this.frame.addEventListener('pointerdown', event => this.scrub(event), true);
    this.frame.addEventListener('keydown', event => this.key(event));
    this.frame.addEventListener('wheel', event => this.wheel(event), {passive: false});
    this.watcher = new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.render(); });
    this.watcher.observe(this.frame);
    charts.add(this);
  }

  remove() {
    charts.delete(this);
    this.watcher.disconnect();
    window.Plotly?.purge(this.plot);
    this.frame.remove();
  }

  get visible() { return this.frame.clientWidth > 0; }
  get range() { return view ?? [0, this.duration]; }

  draw(figure, duration, title) {
    Object.assign(this, {figure, duration, title});
    this.frame.setAttribute('aria-valuemax', Math.round(duration));
    this.spoken = null;
    return this.render();
  }

  async render() {
    const turn = ++this.drawing, Plotly = await plotly;
    if (!this.visible) this.width = 0;      // so that it is drawn when it comes to be seen
    if (turn !== this.drawing || !this.figure || !this.visible) return;
    this.width = this.frame.clientWidth;
    const {data, layout, ink} = painted(this.figure);
    Object.assign(layout, {width: this.width, height: this.height(this.width)});
    Object.assign(layout.xaxis, {range: this.range.map(second => START_MS + second * 1000), ...this.labels()});
    this.frame.style.height = `${layout.height}px`;
    await Plotly.react(this.plot, this.shape(data, layout, ink), layout, this.config(Plotly));
    if (!this.following) {
      this.following = true;
      this.plot.on('plotly_relayout', change => this.boxZoomed(change));
      this.plot.on('plotly_afterplot', () => this.place());
    }
    this.place();
  }

  labels() { return timeLabels(...this.range, Math.max(3, Math.floor(this.width / 90))); }

  place() {
    this.margin = coverAxes(this.plot, this.overlay);
    this.moveTo(position());
  }

  config(Plotly) {
    const icons = Plotly.Icons, middle = () => (this.range[0] + this.range[1]) / 2;
    const around = () => { const at = position(), [from, to] = this.range; return at >= from && at <= to ? at : middle(); };
    const tool = (name, title, icon, click) => ({name, title, icon, click});
    return {
      displaylogo: false, responsive: false, doubleClick: false, scrollZoom: false, displayModeBar: true,
      toImageButtonOptions: {filename: `FluxBeat ${this.title ?? ''}`.trim().replace(/[\\/:*?"<>|]/g, '_'), scale: 2},
      modeBarButtons: [[
        tool('box', 'Zoom: drag over a part', icons.zoombox, () => this.toggleBox(Plotly)),
        tool('closer', 'Zoom in (+)', icons.zoom_plus, () => zoom(1 / ZOOM, around())),
        tool('wider', 'Zoom out (−)', icons.zoom_minus, () => zoom(ZOOM, around())),
        tool('whole', 'Whole track (0)', icons.home, resetView),
        'toImage',
      ]],
    };
  }

  toggleBox(Plotly) {
    const dragmode = this.plot.layout.dragmode === 'zoom' ? false : 'zoom';
    this.frame.classList.toggle('fb-boxing', Boolean(dragmode));
    Plotly.relayout(this.plot, {dragmode});
  }

  boxZoomed(change) {
    const ends = [change['xaxis.range[0]'], change['xaxis.range[1]']];
    if (ends[0] === undefined) return;
    this.toggleBox(window.Plotly);
    showView(ends.map(secondOf));
  }

  showView() {
    if (!this.width || !this.visible) { this.width = 0; return; }
    const {tickvals, ticktext} = this.labels(), range = this.range.map(second => START_MS + second * 1000);
    window.Plotly?.relayout(this.plot, {'xaxis.range': range, 'xaxis.tickvals': tickvals, 'xaxis.ticktext': ticktext});
    this.moveTo(position());
  }

  moveTo(at) {
    if (!this.width || !this.margin || !this.visible) return;
    const [from, to] = this.range, inner = this.width - this.margin.l - this.margin.r;
    const share = (at - from) / (to - from || 1), shown = share >= -0.001 && share <= 1.001;
    this.head.style.visibility = shown ? 'visible' : 'hidden';
    this.head.style.transform = `translateX(${(share * inner).toFixed(2)}px)`;
    const second = Math.round(at);
    if (second === this.spoken) return;
    this.spoken = second;
    this.frame.setAttribute('aria-valuenow', second);
    this.frame.setAttribute('aria-valuetext', `${spokenTime(at)} of ${spokenTime(this.duration)}`);
    this.head.dataset.clock = clock(at);
  }

  timeAt(event) {
    const box = this.frame.getBoundingClientRect(), [from, to] = this.range, {l, r} = this.margin;
    const share = (event.clientX - box.left - l) / (this.width - l - r);
    return from + Math.min(1, Math.max(0, share)) * (to - from);
  }

  scrub(event) {
    if (event.button !== 0 || !this.margin || event.target.closest('.modebar') || this.plot.layout?.dragmode) return;
    const touch = event.pointerType === 'touch', startX = event.clientX;
    let moving = !touch;
    const go = moved => seek(this.timeAt(moved), this.duration);
    this.frame.focus({preventScroll: true});
    if (!touch) go(event);
    const move = moved => {
      moving ||= Math.abs(moved.clientX - startX) > TOUCH_SLOP_PX;
      if (moving) go(moved);
    };
    const end = ended => {
      if (ended.type === 'pointerup') go(ended);
      for (const [name, listener] of [['pointermove', move], ['pointerup', end], ['pointercancel', end]])
        window.removeEventListener(name, listener);
    };
    for (const [name, listener] of [['pointermove', move], ['pointerup', end], ['pointercancel', end]])
      window.addEventListener(name, listener);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = position(), step = event.shiftKey ? FINE_STEP_S : STEP_S;
    const actions = {
      ArrowRight: () => seek(at + step, this.duration), ArrowLeft: () => seek(at - step, this.duration),
      Home: () => seek(0, this.duration), End: () => seek(this.duration, this.duration), ' ': togglePlay,
      '+': () => zoom(1 / ZOOM, at), '-': () => zoom(ZOOM, at), 0: resetView,
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  wheel(event) {
    if (!this.margin) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, this.timeAt(event));
    } else if (view && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const shift = event.deltaX / this.width * (view[1] - view[0]);
      showView([view[0] + shift, view[1] + shift]);
    }
  }
}
