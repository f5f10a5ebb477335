// The Tempo tab: the number, its rivals, and all by which a listener's ear settles it.

import {BeatClicks} from './clicks.js';
import {button, make, setText} from './dom.js';
import {plotly} from './plotly.js';
import {TapTempo} from './tapping.js';
import {onThemeChange, painted} from './theme.js';
import {wholeBpm as shown} from './wording.js';

const SAME = 0.01;

export function tempo(host, trigger) {
  const nothing = make('p', 'fb-empty', host);
  const card = make('div', 'fb-tempo-card', host);
  const figure = make('div', 'fb-bpm', card);
  figure.setAttribute('aria-live', 'polite');
  const number = make('span', 'fb-bpm-number', figure);
  make('span', 'fb-bpm-unit', figure, 'BPM');
  const words = make('div', 'fb-tempo-words', card);
  const sure = make('p', '', words), changes = make('p', '', words), mark = make('p', 'fb-own-choice', words);
  const buttons = make('div', 'fb-buttons', words);
  const halve = button('fb-button', buttons, 'Halve', () => choose(bpm / 2));
  const double = button('fb-button', buttons, 'Double', () => choose(bpm * 2));
  const clicks = new BeatClicks(buttons);
  const tap = new TapTempo(buttons, choose);
  const typed = typedTempo(buttons, choose);
  const back = button('fb-button fb-back', buttons, 'Back to what was found', () => choose(null));
  const rivals = make('div', 'fb-chips', make('div', 'fb-rivals', words));
  rivals.setAttribute('role', 'group');
  rivals.setAttribute('aria-label', 'Other readings of the tempo');
  const spreadTitle = make('h3', '', host, 'Which tempo it could be');
  const spread = new SpreadChart(host);
  let view = null, bpm = null, underway = null; // the last choice, until its answer comes
  const factor = () => (view.bpm ? bpm / view.bpm : 1);

  // Shown at once; the server has the rest of the page follow, and keeps it.
  function choose(wanted) {
    const [least, most] = view.range;
    if (wanted !== null && !(wanted >= least && wanted <= most)) return;
    const own = wanted !== null && (view.found === null || Math.abs(wanted / view.found - 1) >= SAME / 10);
    bpm = own ? wanted : view.found;
    underway = {key: view.key, bpm: own ? wanted : null};
    window.FluxBeat.chosenBpm = underway.bpm; // read when it is sent, see tempo_tab.py
    trigger('corrected', {});
    draw(own);
  }

  // An answer to an earlier choice must not undo a later one, which the next click may build on.
  function isUnderway() {
    if (underway?.key !== view.key) return false;
    if (underway.bpm === null) return view.corrected;
    return !view.corrected || Math.abs(view.bpm / underway.bpm - 1) >= SAME / 10;
  }

  function draw(own) {
    const beat = bpm !== null;
    nothing.hidden = beat;
    figure.hidden = !beat;
    setText(number, beat ? shown(bpm) : '');
    setText(sure, view.words ?? '');
    setText(changes, view.changes ?? '');
    const found = view.found === null ? 'no steady beat was found' : `${shown(view.found)} was found`;
    setText(mark, own ? `Shown is your choice, ${shown(bpm)} BPM; ${found}.` : '');
    card.classList.toggle('fb-own', own);
    back.hidden = !own;
    halve.hidden = double.hidden = !beat;
    halve.disabled = bpm / 2 < view.range[0];
    double.disabled = bpm * 2 > view.range[1];
    typed.range(view.range);
    clicks.beats(factor() === 1 ? view.beats_s : [], view.downbeats_s);
    rivals.replaceChildren(...(view.candidates ?? []).map(candidate => rival(candidate)));
    spreadTitle.hidden = spread.frame.hidden = view.found === null;
    if (view.found !== null) spread.draw(view, own ? bpm : null);
  }

  function rival(candidate) {
    const chip = button('fb-chip', null, '', () => choose(candidate.bpm));
    chip.setAttribute('aria-pressed', String(Math.abs(candidate.bpm / bpm - 1) < SAME));
    make('span', 'fb-chip-name', chip, `${shown(candidate.bpm)} BPM`);
    make('span', 'fb-chip-number', chip, candidate.percent);
    return chip;
  }

  return next => {
    host.hidden = !next;
    view = next;
    if (!view) { clicks.beats([], []); return; }
    if (!isUnderway()) underway = null;
    bpm = underway ? underway.bpm ?? view.found : view.bpm;
    setText(nothing, view.why ?? '');
    draw(underway ? underway.bpm !== null : view.corrected);
  };
}

// A number of one's own.
function typedTempo(host, choose) {
  const form = make('form', 'fb-typed-tempo', host), label = make('label', '', form, 'BPM '), field = make('input', '', label);
  Object.assign(field, {type: 'number', step: 'any', inputMode: 'decimal'});
  field.setAttribute('aria-label', 'Type the tempo in beats per minute');
  form.addEventListener('submit', event => {
    event.preventDefault();
    if (field.value) choose(Number(field.value));
    field.value = '';
  });
  const set = make('button', 'fb-button', form, 'Set');
  set.type = 'submit';
  return {range([least, most]) { Object.assign(field, {min: least, max: most}); }};
}

class SpreadChart {
  constructor(host) {
    this.frame = make('div', 'fb-frame fb-spread', host);
    this.plot = make('div', 'fb-plot', this.frame);
    this.width = 0;
    new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.render(); }).observe(this.frame);
    onThemeChange(() => this.render());
  }

  draw(view, own) {
    Object.assign(this, {view, own});
    this.render();
  }

  async render() {
    const Plotly = await plotly;
    if (!this.frame.clientWidth) this.width = 0;
    if (!this.view || !this.frame.clientWidth || this.view.found === null) return;
    this.width = this.frame.clientWidth;
    const {data, layout, ink} = painted(this.view.spread);
    const marks = this.view.candidates.slice(0, this.width < 480 ? 2 : 4).map(candidate => ({bpm: candidate.bpm, colour: ink.quiet}));
    if (this.own) marks.push({bpm: this.own, colour: ink.warm, own: true});
    layout.shapes = marks.map(mark => ({
      type: 'line', x0: mark.bpm, x1: mark.bpm, yref: 'paper', y0: 0, y1: 1,
      line: {color: mark.colour, width: mark.own ? 2 : 1, dash: mark.own ? 'solid' : 'dot'},
    }));
    layout.annotations = marks.map(mark => ({
      x: Math.log10(mark.bpm), xanchor: mark.own && mark.bpm > 120 ? 'right' : mark.own && mark.bpm < 60 ? 'left' : 'center',
      y: mark.own ? 1.16 : 1, yref: 'paper', yanchor: 'bottom', showarrow: false,
      text: mark.own ? `${shown(mark.bpm)}, your choice` : shown(mark.bpm), font: {size: 12, color: mark.own ? ink.warm : ink.text},
    }));
    if (this.own) layout.margin.t += 18;
    Object.assign(layout, {width: this.width, height: 210});
    this.frame.style.height = '210px';
    await Plotly.react(this.plot, data, layout, {
      displaylogo: false, displayModeBar: true, modeBarButtons: [['toImage']], doubleClick: false,
      toImageButtonOptions: {filename: 'FluxBeat tempo', scale: 2},
    });
  }
}
