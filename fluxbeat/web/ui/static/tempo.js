// The Tempo tab: the number, its rivals, and what else it could be; it is changed in the player's bar, or by a rival.

import {button, make, setText} from './dom.js';
import {plotly} from './plotly.js';
import {chooseTempo, onTempo} from './tempo_now.js';
import {onThemeChange, painted} from './theme.js';
import {wholeBpm as shown} from './wording.js';

const SAME = 0.01;

export function tempo(host) {
  const nothing = make('p', 'fb-empty', host);
  const card = make('div', 'fb-tempo-card', host);
  const figure = make('div', 'fb-bpm', card);
  figure.setAttribute('aria-live', 'polite');
  const number = make('span', 'fb-bpm-number', figure);
  make('span', 'fb-bpm-unit', figure, 'BPM');
  const words = make('div', 'fb-tempo-words', card);
  const sure = make('p', '', words), changes = make('p', '', words), mark = make('p', 'fb-own-choice', words);
  const rivals = make('div', 'fb-chips', make('div', 'fb-rivals', words));
  rivals.setAttribute('role', 'group');
  rivals.setAttribute('aria-label', 'Other readings of the tempo');
  const spreadTitle = make('h3', '', host, 'Which tempo it could be');
  const spread = new SpreadChart(host);
  let view = null, now = null;

  function draw() {
    if (!view || !now) return;
    const {bpm, own} = now, beat = bpm !== null;
    nothing.hidden = beat;
    setText(nothing, view.why ?? '');
    figure.hidden = !beat;
    setText(number, beat ? shown(bpm) : '');
    setText(sure, view.words ?? '');
    setText(changes, view.changes ?? '');
    const found = view.found === null ? 'no steady beat was found' : `${shown(view.found)} was found`;
    setText(mark, own ? `Shown is your choice, ${shown(bpm)} BPM; ${found}.` : '');
    card.classList.toggle('fb-own', own);
    rivals.replaceChildren(...(view.candidates ?? []).map(candidate => rival(candidate)));
    spreadTitle.hidden = spread.frame.hidden = view.found === null;
    if (view.found !== null) spread.draw(view, own ? bpm : null);
  }

  function rival(candidate) {
    const chip = button('fb-chip', null, '', () => chooseTempo(candidate.bpm));
    chip.setAttribute('aria-pressed', String(Math.abs(candidate.bpm / now.bpm - 1) < SAME));
    make('span', 'fb-chip-name', chip, `${shown(candidate.bpm)} BPM`);
    make('span', 'fb-chip-number', chip, candidate.percent);
    return chip;
  }

  onTempo(next => { now = next; draw(); });
  return next => {
    host.hidden = !next;
    view = next;
    draw();
  };
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
