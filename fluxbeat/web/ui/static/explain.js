// The Explain tab: what in a window speaks for a genre, for each model: seen, read and played.

import {redrawAll, TimeChart} from './chart.js';
import {button, make, setText} from './dom.js';
import {openTab} from './gradio_page.js';
import {coverAxes, plotly} from './plotly.js';
import {follow, position, seek} from './player.js';
import {loopOf, PARTS} from './sound_loop.js';
import {isDark, onThemeChange, painted} from './theme.js';
import {clock, START_MS, timeLabels} from './wording.js';

const STEP_S = 2, HEAT = '255,122,20', FULL = 255;
const STRENGTHS = [[0.6, 'strongly'], [0.3, 'clearly'], [0.1, 'a little']];
const HINT = 'Orange marks what speaks for it, on one scale for all pictures: what is weak stays pale. '
  + 'Click a picture to go there; point at it to read it.';

let opacity = 0.85;
let ticket = 0, asking = null;      // of the sound that was asked for, and the row that waits for it
let wanted = null, answerWanted = () => {};

/** Open the tab and explain what made this moment `about`, or else its strongest genre. */
export function explainAt(seconds, about = '') {
  wanted = {seconds, about};
  openTab('explain');
  answerWanted();
}

export function explain(host, trigger) {
  const error = make('p', 'fb-notice', host);
  error.setAttribute('role', 'alert');
  const controls = make('div', 'fb-explain-controls', host);
  const about = choice(controls, 'What speaks for');
  const models = make('div', 'fb-explain-models', controls);
  const strip = new TimeChart(host, 'Window to explain, on the timeline of genres', () => 84);
  const where = make('div', 'fb-explain-where', host);
  const words = make('span', 'fb-quiet', where);
  const waiting = make('div', 'fb-explain-busy', host);
  const doing = make('span', '', waiting);
  doing.setAttribute('role', 'status');
  const bar = make('progress', '', waiting);
  bar.max = 1;
  bar.setAttribute('aria-label', 'How far the explanation is');
  const stop = button('fb-button', waiting, 'Stop', () => { stop.disabled = true; trigger('stopped', {}); });
  waiting.hidden = true;
  const absent = make('p', 'fb-quiet fb-absent', host);
  absent.setAttribute('role', 'status');
  const rows = make('div', 'fb-explain-rows', host);
  make('p', 'fb-hint', host, HINT);
  const drawn = new Map();
  let view = null, opening = null, startS = 0, asked = null, chosen = '', shown = false;
  const off = new Set();

  const step = by => { startS += by; ask(); };
  button('fb-button', where, 'Earlier', () => step(-STEP_S));
  button('fb-button', where, 'Later', () => step(STEP_S));
  button('fb-button', where, 'Where the player is', () => { startS = position() - opening.window_s / 2; ask(); });
  strength(where, () => { for (const row of drawn.values()) row.draw(); });
  about.addEventListener('change', () => { chosen = about.value; ask(false); });
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

  answerWanted = () => {
    if (!wanted || !opening || !host.offsetParent) return false;
    chosen = wanted.about;
    startS = wanted.seconds - opening.window_s / 2;
    wanted = null;
    shown = true;     // else it would ask once more, for where the player is, as soon as it is seen
    ask(false);
    return true;
  };

  /** The tab is opened: explain what the player is at, unless that is what is shown. */
  function come() {
    if (answerWanted()) return;
    const at = position();
    if (asked === opening.key && at >= startS && at <= startS + opening.window_s) return;
    startS = at - opening.window_s / 2;
    ask();
  }

  /** A genre that was chosen at another moment follows to where it is present only. */
  function ask(moved = true) {
    if (!opening) return;
    asked = opening.key;
    startS = Math.min(Math.max(0, startS), Math.max(0, opening.duration_s - opening.window_s));
    host.setAttribute('aria-busy', 'true');
    const names = opening.models.map(one => one.name).filter(name => !off.has(name));
    place();
    trigger('asked', {about: chosen, moved, start_s: startS, models: names});
  }

  function open(next) {
    opening = next;
    view = null;
    chosen = '';
    setText(absent, '');
    offer(next.choices, next.choices[0].label);
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
      ask(false);
    });
    make('span', 'fb-chip-name', chip, one.title);
    chip.setAttribute('aria-pressed', String(!off.has(one.name)));
    return chip;
  }

  function offer(choices, value) {
    const word = one => (one.presence && one.presence !== 'none' ? `${one.label}, ${one.presence}` : one.label);
    about.replaceChildren(...choices.map(one => option(one.label, word(one))), option('tempo', 'its tempo'));
    about.value = value;
  }

  function place() {
    const end = startS + opening.window_s, ms = second => START_MS + second * 1000;
    setText(words, `${clock(startS)} to ${clock(end)}`);
    const figure = structuredClone(opening.river);
    figure.layout.shapes = [{type: 'rect', xref: 'x', yref: 'paper', x0: ms(startS), x1: ms(end), y0: 0, y1: 1,
      line: {color: `rgb(${HEAT})`, width: 2}, fillcolor: `rgba(${HEAT},.12)`}];
    strip.draw(figure, opening.duration_s, opening.file);
  }

  /** How far the server is with an explanation that takes long; nothing where none is asked for. */
  function tell(busy) {
    waiting.hidden = !busy;
    if (!busy) { stop.disabled = false; return; }
    setText(doing, `${busy.words} …`);
    bar.value = busy.share;
  }

  return next => {
    tell(next?.busy);
    if (next?.busy) return;
    host.removeAttribute('aria-busy');
    if (next?.stopped) { asked = null; return; }
    host.hidden = !next;
    if (!next) { opening = view = asked = null; return; }
    error.hidden = !next.error;
    setText(error, next.error ?? '');
    if (next.river && next.key !== opening?.key) open(next);
    if (!next.rows?.length || next.key !== opening?.key) return; // or it is of the track before
    view = next;
    startS = next.start_s ?? startS;
    offer(next.choices, next.about ?? about.value);
    if (next.absent) chosen = '';
    setText(absent, next.absent ? `No ${next.absent} here: this is about ${next.about}, the strongest of this moment.` : '');
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
  const title = make('h3', '', top), share = make('span', '', top);
  const image = new WindowImage(element);
  const readout = make('p', 'fb-hint fb-readout', element);
  const badge = make('p', 'fb-trust', element);
  const why = make('p', 'fb-quiet fb-measured', element);
  const list = make('ol', 'fb-regions', element);
  const listen = make('div', 'fb-listen', element);
  listen.setAttribute('role', 'group');
  make('span', 'fb-quiet', listen, 'Listen to');
  let row = null, view = null, loop = null;
  const parts = Object.entries(PARTS).map(([part, {words}]) => {
    const one = button('fb-button', listen, words, () => choose(part));
    one.dataset.part = part;
    return one;
  });
  const stopper = button('fb-button fb-listen-stop', listen, 'Stop', () => stop());
  const message = make('span', 'fb-quiet', listen);
  message.setAttribute('role', 'status');
  image.onRead = text => setText(readout, text);
  image.soundsAt = () => (loop?.sounding ? view.start_s + loop.at : null);

  function tell(words = '') {
    const sounding = loop?.sounding ? loop.part : null;
    for (const one of parts) one.setAttribute('aria-pressed', String(one.dataset.part === sounding));
    stopper.hidden = !sounding;
    setText(message, words);
  }

  function stop() {
    if (asking === sounded) asking = null;
    loop?.stop();
    tell();
  }

  /** Begins the loop with this part, or changes to it where the loop is. */
  function choose(part) {
    if (loop?.sounding) { loop.choose(part); tell(message.textContent); return; }
    if (loop) { play(part); return; }
    asking?.(null);
    tell('One moment …');
    asking = sounded;
    sounded.part = part;
    trigger('played', {model: row.model, about: view.about, start_s: view.start_s, ticket: ++ticket});
  }

  /** The server's answer to the question for the parts; null: another row asked. */
  async function sounded(answer) {
    if (!answer || answer.error) { tell(answer?.error ?? ''); return; }
    const mine = ticket;
    try {
      const made = await loopOf(answer.urls, () => tell());
      if (mine !== ticket || asking !== sounded) return;
      asking = null;
      loop = made;
      play(sounded.part);
    } catch {
      tell('The browser would not play it.');
    }
  }

  function play(part) {
    loop.start(part);
    tell(`${clock(view.start_s)} to ${clock(view.start_s + view.window_s)}, in a loop`);
  }

  return {
    element,
    draw() { image.draw(); },
    remove() { stop(); image.remove(); element.remove(); },
    show(next, of) {
      const same = row && view && row.model === next.model && view.about === of.about && view.start_s === next.window?.start_s;
      if (!same) { stop(); loop = null; }
      row = next;
      view = {...of, ...next.window};
      element.dataset.model = row.model;
      setText(title, row.title);
      for (const part of [share, why, list, listen, image.frame]) part.hidden = Boolean(row.missing);
      badge.hidden = !row.badge;
      if (row.missing) {
        setText(readout, row.missing);
        return;
      }
      setText(share, row.presence ? `${row.about}: ${row.presence === 'none' ? 'absent' : row.presence}` : row.about);
      share.title = row.percent;
      setText(badge, row.badge ? `Measured: ${row.badge}` : '');
      setText(why, row.why);
      why.hidden = !row.why;
      setText(readout, row.speaks ? 'Point at the picture to read it.' : '');
      list.replaceChildren(...row.regions.map(region => {
        const item = make('li');
        button('fb-link', item, region.words, () => seek(region.start_s, view.duration_s)).title = region.exactly;
        make('span', 'fb-quiet', item, `  ${region.part}`).title = region.share;
        return item;
      }));
      list.hidden = !row.regions.length;
      listen.hidden = view.about === 'tempo' || !row.speaks;
      listen.setAttribute('aria-label', `Listen to what made it ${row.about}, as ${row.title} hears it`);
      if (!same) tell();
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
    this.soundsAt = () => null;
    this.unfollow = follow(at => this.moveTo(this.soundsAt() ?? at));
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
      width: this.width, height: this.width < 480 ? 200 : 240, margin: {l: 70, r: 12, t: 8, b: 26}, dragmode: false, hovermode: 'closest',
      xaxis: {type: 'date', fixedrange: true, showgrid: false,
        ...timeLabels(view.start_s, view.start_s + view.window_s, Math.max(3, Math.floor(this.width / 110)))},
      yaxis: {tickvals: view.places.map(place => place[0]), ticktext: view.places.map(place => place[1]), fixedrange: true, showgrid: false},
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
    const hz = view.band_hz[band], [, register] = view.registers.find(([below]) => below === null || hz < below);
    const share = this.map[band][frame] / FULL, [, how] = STRENGTHS.find(([least]) => share >= least) ?? [0, 'not'];
    const at = (view.start_s + frame / view.frame_rate_hz).toFixed(1);
    this.onRead(`${register} (${hz.toLocaleString('en')} Hz) at ${at} s: ${how === 'not' ? 'does not speak' : `speaks ${how}`} for it`);
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

/** The parts of a window's sound, for the row that asked for them. */
export function sound() {
  return view => {
    if (view?.ticket === ticket) asking?.(view);
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
    button('fb-link', item, region.words, () => seek(region.start_s, duration)).title = region.exactly;
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
