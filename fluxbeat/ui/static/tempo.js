// The Tempo tab: the number, what the listener makes of it, its course and its rivals.

import {TimeChart} from './chart.js';
import {button, make, setText} from './dom.js';
import {plotly} from './plotly.js';
import {onThemeChange, painted} from './theme.js';

const SAME = 0.01, LEAST_BPM = 20, MOST_BPM = 600;
const shown = bpm => String(Math.round(bpm));

export function tempo(host) {
  const nothing = make('p', 'fb-empty', host);
  const card = make('div', 'fb-tempo-card', host);
  const figure = make('div', 'fb-bpm', card);
  figure.setAttribute('aria-live', 'polite');
  const number = make('span', 'fb-bpm-number', figure);
  make('span', 'fb-bpm-unit', figure, 'BPM');
  const words = make('div', 'fb-tempo-words', card);
  const said = make('p', '', words), mark = make('p', 'fb-own-choice', words);
  const buttons = make('div', 'fb-buttons', words);
  const halve = button('fb-button', buttons, 'Halve', () => choose(factor / 2));
  const double = button('fb-button', buttons, 'Double', () => choose(factor * 2));
  const back = button('fb-button fb-back', buttons, 'Back to what was heard', () => choose(1));
  const rivals = make('div', 'fb-chips', make('div', 'fb-rivals', words));
  rivals.setAttribute('role', 'group');
  rivals.setAttribute('aria-label', 'Other readings of the tempo');
  const curveTitle = make('h3', '', host, 'Tempo through the track');
  const curve = new TimeChart(host, 'Position in the track, on the tempo curve', () => 210, data => scaled(data, factor));
  const spreadTitle = make('h3', '', host, 'Which tempo it could be');
  const spread = new SpreadChart(host);
  let view = null, factor = 1;

  function choose(wanted) {
    const bpm = view.bpm * wanted;
    if (bpm < LEAST_BPM || bpm > MOST_BPM) return;
    factor = Math.abs(wanted - 1) < SAME ? 1 : wanted;
    draw();
  }

  function draw() {
    const bpm = view.bpm * factor, own = factor !== 1;
    setText(number, shown(bpm));
    setText(said, view.said);
    setText(mark, own ? `Shown is your choice, ${shown(bpm)} BPM; ${shown(view.bpm)} was heard.` : '');
    card.classList.toggle('fb-own', own);
    back.hidden = !own;
    halve.disabled = bpm / 2 < LEAST_BPM;
    double.disabled = bpm * 2 > MOST_BPM;
    rivals.replaceChildren(...view.candidates.map(candidate => rival(candidate, bpm)));
    const steady = view.curve && {...view.curve, layout: {...view.curve.layout, yaxis: {...view.curve.layout.yaxis, range: span()}}};
    curve.frame.hidden = curveTitle.hidden = !steady;
    if (steady) curve.draw(steady, view.duration_s, `${view.file} tempo`);
    spread.draw(view, own ? bpm : null);
  }

  function rival(candidate, bpm) {
    const chip = button('fb-chip', null, '', () => choose(candidate.bpm / view.bpm));
    chip.setAttribute('aria-pressed', String(Math.abs(candidate.bpm / bpm - 1) < SAME));
    make('span', 'fb-chip-name', chip, `${shown(candidate.bpm)} BPM`);
    make('span', 'fb-chip-number', chip, candidate.percent);
    return chip;
  }

  function span() {
    const [least, most] = view.span.map(bpm => bpm * factor), room = Math.max((most - least) * 0.15, 12 - (most - least) / 2, 4);
    return [least - room, most + room];
  }

  return next => {
    host.hidden = !next;
    if (!next) { view = null; return; }
    if (next.key !== view?.key) factor = 1;
    view = next;
    const beat = view.bpm !== null;
    nothing.hidden = beat;
    setText(nothing, view.why ?? '');
    card.hidden = curve.frame.hidden = curveTitle.hidden = !beat;
    spreadTitle.hidden = spread.frame.hidden = !beat;
    if (beat) draw();
  };
}

function scaled(data, factor) {
  if (factor !== 1) for (const trace of data) trace.y = trace.y.map(bpm => (bpm === null ? null : bpm * factor));
  return data;
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
    if (!this.view || !this.frame.clientWidth || this.view.bpm === null) return;
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
