// The Explain tab: what in a window speaks for a genre, for each model: seen, read and played.

import {redrawAll, TimeChart} from './chart.js';
import {button, make, setText} from './dom.js';
import {coverAxes, plotly} from './plotly.js';
import {audio, follow, position, seek} from './player.js';
import {alone} from './sound_now.js';
import {isDark, onThemeChange, painted} from './theme.js';
import {clock} from './wording.js';

const START_MS = 24 * 3600 * 1000;      // as in plots.py
const STEP_S = 2, HEAT = '255,122,20', FULL = 255;
const PARTS = [['window', 'The window'], ['attended', 'Only what counts'], ['rest', 'Only the rest']];
const HINT = 'Orange marks what speaks for it, on one scale for all pictures: what is weak stays pale. '
  + 'Click a picture to go there; point at it to read it.';

let opacity = 0.85;
const players = {sound: null, ticket: 0, startS: 0, says: () => {}};

export function explain(host, trigger) {
  const error = make('p', 'fb-notice', host);
  error.setAttribute('role', 'alert');
  const controls = make('div', 'fb-explain-controls', host);
  const about = choice(controls, 'What speaks for');
  const models = make('div', 'fb-explain-models', controls);
  const strip = new TimeChart(host, 'Window to explain, on the timeline of genres', () => 84);
  const where = make('div', 'fb-explain-where', host);
  const words = make('span', 'fb-quiet', where);
  const rows = make('div', 'fb-explain-rows', host);
  make('p', 'fb-hint', host, HINT);
  const drawn = new Map();
  let view = null, opening = null, startS = 0, asked = null, chosen = false, shown = false;
  const off = new Set();

  const step = by => { startS += by; ask(); };
  button('fb-button', where, 'Earlier', () => step(-STEP_S));
  button('fb-button', where, 'Later', () => step(STEP_S));
  button('fb-button', where, 'Where the player is', () => { startS = position() - opening.window_s / 2; ask(); });
  strength(where, () => { for (const row of drawn.values()) row.draw(); });
  about.addEventListener('change', () => { chosen = true; ask(); });
  strip.frame.addEventListener('pointerdown', event => {
    if (!opening || event.button !== 0 || event.target.closest('.modebar')) return;
    window.addEventListener('pointerup', ended => {
      startS = strip.timeAt(ended) - opening.window_s / 2;
      ask();
    }, {once: true});
  }, true);
  new ResizeObserver(() => {
    const seen = Boolean(host.offsetParent);
    if (seen && !shown && opening) come();
    shown = seen;
  }).observe(host);

  /** The tab is opened: explain what the player is at, unless that is what is shown. */
  function come() {
    const at = position();
    if (asked === opening.key && at >= startS && at <= startS + opening.window_s) return;
    startS = at - opening.window_s / 2;
    ask();
  }

  function ask() {
    if (!opening) return;
    asked = opening.key;
    startS = Math.min(Math.max(0, startS), Math.max(0, opening.duration_s - opening.window_s));
    host.setAttribute('aria-busy', 'true');
    const names = opening.models.map(one => one.name).filter(name => !off.has(name));
    place();
    trigger('asked', {about: chosen ? about.value : '', start_s: startS, models: names});
  }

  function open(next) {
    opening = next;
    view = null;
    chosen = false;
    offer(next.choices, next.first);
    models.replaceChildren(...next.models.map(one => switchFor(one)));
    for (const row of drawn.values()) row.remove();
    drawn.clear();
    startS = 0;
    place();
    if (host.offsetParent) come();
  }

  function switchFor(one) {
    const chip = button('fb-chip', null, '', () => {
      if (off.has(one.name)) off.delete(one.name); else off.add(one.name);
      chip.setAttribute('aria-pressed', String(!off.has(one.name)));
      ask();
    });
    make('span', 'fb-chip-name', chip, one.title);
    chip.setAttribute('aria-pressed', String(!off.has(one.name)));
    return chip;
  }

  function offer(choices, chosen) {
    const options = choices.map(one => option(one.label, one.percent ? `${one.label}  ${one.percent}` : one.label));
    about.replaceChildren(...options, option('tempo', 'its tempo'));
    about.value = chosen;
  }

  function place() {
    const end = startS + opening.window_s, ms = second => START_MS + second * 1000;
    setText(words, `${clock(startS)} to ${clock(end)}`);
    const figure = structuredClone(opening.river);
    figure.layout.shapes = [{type: 'rect', xref: 'x', yref: 'paper', x0: ms(startS), x1: ms(end), y0: 0, y1: 1,
      line: {color: `rgb(${HEAT})`, width: 2}, fillcolor: `rgba(${HEAT},.12)`}];
    strip.draw(figure, opening.duration_s, opening.file);
  }

  return next => {
    host.removeAttribute('aria-busy');
    host.hidden = !next;
    if (!next) { opening = view = asked = null; return; }
    error.hidden = !next.error;
    setText(error, next.error ?? '');
    if (next.river && next.key !== opening?.key) open(next);
    if (!opening || !next.rows?.length) return;
    view = next;
    startS = next.start_s ?? startS;
    offer(next.choices, next.about ?? about.value);
    place();
    const names = next.rows.map(row => row.model);
    for (const [name, row] of drawn) if (!names.includes(name)) { row.remove(); drawn.delete(name); }
    for (const row of next.rows) {
      if (!drawn.has(row.model)) drawn.set(row.model, modelRow(rows, trigger));
      const shown = drawn.get(row.model);
      rows.append(shown.element);
      shown.show(row, view);
    }
  };
}

function modelRow(host, trigger) {
  const element = make('section', 'fb-explain-row', host);
  const top = make('div', 'fb-row-top', element);
  const title = make('h3', '', top), share = make('span', '', top), trust = make('span', 'fb-trust', top);
  const image = new WindowImage(element);
  const readout = make('p', 'fb-hint fb-readout', element);
  const why = make('p', 'fb-quiet', element);
  const list = make('ol', 'fb-regions', element);
  const buttonRow = make('div', 'fb-buttons', element);
  let row = null, view = null;
  const buttons = PARTS.map(([part, text]) => button('fb-button', buttonRow, text, () => play(part)));
  const message = make('span', 'fb-quiet', buttonRow);
  message.setAttribute('role', 'status');
  image.onRead = text => setText(readout, text);

  function play(part) {
    if (players.sound) { players.sound.pause(); players.sound = null; }
    audio()?.pause();
    players.says = text => setText(message, text);
    players.says('One moment …');
    trigger('played', {part, model: row.model, about: view.about, start_s: view.start_s, ticket: ++players.ticket});
  }

  return {
    element,
    draw() { image.draw(); },
    remove() { image.remove(); element.remove(); },
    show(next, of) {
      row = next;
      view = {...of, ...next.window};
      element.dataset.model = row.model;
      setText(title, row.title);
      for (const part of [share, why, list, buttonRow, image.frame]) part.hidden = Boolean(row.missing);
      if (row.missing) {
        trust.hidden = true;
        setText(readout, row.missing);
        return;
      }
      setText(share, `${row.about} ${row.percent}`);
      setText(trust, row.trust ? `This picture is ${row.trust.words}` : '');
      trust.hidden = !row.trust;
      setText(why, row.trust?.why ?? '');
      setText(readout, row.most > 0 ? 'Point at the picture to read it.' : `Nothing in this window speaks for ${row.about}.`);
      setText(message, '');
      list.replaceChildren(...row.regions.map(region => {
        const item = make('li');
        button('fb-link', item, region.words, () => seek(region.start_s, view.duration_s));
        make('span', 'fb-quiet', item, `  ${region.share} of what speaks for it`);
        return item;
      }));
      for (const one of buttons) one.hidden = view.about === 'tempo';
      for (const one of buttons.slice(1)) one.disabled = !(row.most > 0);
      image.show(row, view);
    },
  };
}

/** Spectrogram and map of one window, with the playhead where it is in it. */
class WindowImage {
  constructor(host) {
    this.frame = make('div', 'fb-frame fb-window', host);
    this.plot = make('div', 'fb-plot', this.frame);
    this.overlay = make('div', 'fb-overlay', this.frame);
    this.head = make('div', 'fb-playhead', this.overlay);
    this.onRead = () => {};
    this.frame.addEventListener('click', event => this.clicked(event));
    this.watcher = new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.draw(); });
    this.watcher.observe(this.frame);
    this.unfollow = follow(at => this.moveTo(players.sound ? players.startS + players.sound.currentTime : at));
    onThemeChange(() => this.draw());
  }

  remove() {
    this.watcher.disconnect();
    this.unfollow();
    window.Plotly?.purge(this.plot);
    this.frame.remove();
    this.row = null;
  }

  show(row, view) {
    Object.assign(this, {row, view, level: rowsOf(view.level, view.frames), map: rowsOf(row.map, view.frames)});
    this.frame.setAttribute('role', 'img');
    this.frame.setAttribute('aria-label', `What speaks for ${row.about}, as ${row.title} hears it: `
      + (row.regions.map(one => one.words).join('; ') || 'nothing'));
    return this.draw();
  }

  async draw() {
    const Plotly = await plotly;
    if (!this.row || !this.frame.clientWidth) return;
    this.width = this.frame.clientWidth;
    const {view, row} = this, x = Array.from({length: view.frames}, (_, at) => START_MS + (view.start_s + at / view.frame_rate_hz) * 1000);
    const grey = isDark() ? [[0, '#10131a'], [1, '#e8e6e0']] : [[0, '#ffffff'], [1, '#23262d']];
    const shared = {type: 'heatmap', x, zmin: 0, zmax: FULL, showscale: false};
    const data = [
      {...shared, z: this.level, colorscale: grey, hoverinfo: 'skip'},
      {...shared, z: this.map, colorscale: [[0, `rgba(${HEAT},0)`], [1, `rgba(${HEAT},1)`]], opacity, hoverinfo: 'none'},
    ];
    const layout = {
      width: this.width, height: this.width < 480 ? 200 : 240, margin: {l: 52, r: 12, t: 8, b: 26}, dragmode: false, hovermode: 'closest',
      xaxis: {type: 'date', tickformat: '%-M:%S', fixedrange: true, showgrid: false, nticks: Math.max(3, Math.floor(this.width / 110))},
      yaxis: {tickvals: view.ticks.map(tick => tick[0]), ticktext: view.ticks.map(tick => tick[1]), fixedrange: true, showgrid: false,
        title: {text: 'Hz', standoff: 4, font: {size: 11}}},
    };
    const shown = painted({data, layout});
    this.frame.style.height = `${layout.height}px`;
    await Plotly.react(this.plot, shown.data, shown.layout, {
      displaylogo: false, responsive: false, doubleClick: false, displayModeBar: true, modeBarButtons: [['toImage']],
      toImageButtonOptions: {filename: `FluxBeat why ${row.about} ${row.model}`.replace(/[\\/:*?"<>|]/g, '_'), scale: 2},
    });
    if (!this.following) {
      this.following = true;
      this.plot.on('plotly_hover', event => this.read(event.points[0]));
    }
    this.margin = coverAxes(this.plot, this.overlay);
    this.moveTo(position());
  }

  read(point) {
    const [band, frame] = point.pointIndex ?? point.pointNumber, {view} = this;
    const at = view.start_s + frame / view.frame_rate_hz;
    this.onRead(`${at.toFixed(1)} s, ${view.band_hz[band].toLocaleString('en')} Hz: speaks for it `
      + `${Math.round(this.map[band][frame] / FULL * 100)} of 100, level ${Math.round(this.level[band][frame] / FULL * 100)} of 100`);
  }

  clicked(event) {
    if (!this.margin || event.target.closest('.modebar')) return;
    const box = this.frame.getBoundingClientRect(), {l, r} = this.margin;
    const share = (event.clientX - box.left - l) / (this.width - l - r);
    if (share >= 0 && share <= 1) seek(this.view.start_s + share * this.view.window_s, this.view.duration_s);
  }

  moveTo(at) {
    if (!this.margin || !this.view) return;
    const share = (at - this.view.start_s) / this.view.window_s;
    this.head.style.visibility = share >= 0 && share <= 1 ? 'visible' : 'hidden';
    this.head.style.transform = `translateX(${(share * (this.width - this.margin.l - this.margin.r)).toFixed(2)}px)`;
  }
}

/** Plays what the server made; it sounds beside the page's one player, which rests meanwhile. */
export function sound() {
  return view => {
    if (!view || (view.ticket !== undefined && view.ticket !== players.ticket)) return;
    if (view.error) { players.says(view.error); return; }
    const sound = alone(new Audio(view.url));
    Object.assign(players, {sound, startS: view.start_s});
    const over = () => { if (players.sound === sound) { players.sound = null; players.says(''); } };
    sound.addEventListener('ended', over);
    sound.addEventListener('pause', over);
    sound.play().then(() => players.says('Playing …'), () => players.says('The browser would not play it.'));
  };
}

/** What carried each segment of the whole track. */
export function whole(host, trigger) {
  const top = make('div', 'fb-row-top', host);
  make('h3', '', top, 'The whole track');
  const ask = button('fb-button', top, 'Show what carried each segment', () => {
    ask.disabled = true;
    setText(message, 'Looking at the whole track …');
    trigger('asked', {});
  });
  const message = make('p', 'fb-quiet', host);
  message.setAttribute('role', 'status');
  const chart = new TimeChart(host, 'Position in the track, on the picture of what carried each segment', width => (width < 560 ? 180 : 230));
  const list = make('ul', 'fb-segments', host);
  return view => {
    ask.disabled = false;
    setText(message, view?.error ?? (view?.model ? `As ${view.model} hears it: higher is higher in frequency, stronger colour speaks more for the genre.` : ''));
    chart.frame.hidden = list.hidden = !view?.figure;
    if (!view?.figure) return;
    list.replaceChildren(...view.segments.map(segment => segmentItem(segment, view.duration_s)));
    chart.draw(view.figure, view.duration_s, 'what carried it');
    redrawAll();
  };
}

function segmentItem(segment, duration) {
  const item = make('li');
  make('span', 'fb-swatch', item).style.background = segment.colour;
  make('b', '', item, ` ${segment.when}: ${segment.label}${segment.sure ? '' : ' (not sure)'} `);
  if (!segment.regions.length) make('span', 'fb-quiet', item, 'nothing speaks for it clearly');
  segment.regions.forEach((region, number) => {
    if (number) item.append('; ');
    button('fb-link', item, region.words, () => seek(region.start_s, duration));
  });
  return item;
}

function choice(host, text) {
  const label = make('label', 'fb-choice', host, `${text} `);
  return make('select', '', label);
}

function option(value, text) {
  const one = make('option', '', null, text);
  one.value = value;
  return one;
}

function strength(host, changed) {
  const label = make('label', 'fb-choice', host, 'Strength of the marks ');
  const slider = make('input', '', label);
  Object.assign(slider, {type: 'range', min: 0, max: 100, value: opacity * 100});
  slider.addEventListener('input', () => { opacity = slider.value / 100; changed(); });
}

function rowsOf(base64, width) {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  return Array.from({length: bytes.length / width}, (_, row) => Array.from(bytes.subarray(row * width, (row + 1) * width)));
}
