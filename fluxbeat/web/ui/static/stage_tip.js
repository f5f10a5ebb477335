// What lies under the pointer, in words: the moment, every genre that is present there, most first, and the tempo.

import {make} from './dom.js';
import {bpmAt, chapterAt, strongest} from './track_now.js';
import {clock, percent, wholeBpm} from './wording.js';

const BESIDE_PX = 16, TOP_PX = 8;

export class Tip {
  constructor(frame) {
    this.frame = frame;
    this.card = make('div', 'fb-tip', frame);
    this.card.setAttribute('aria-hidden', 'true');      // the same is said of the playhead, for those who read by ear
    this.hide();
  }

  hide() { this.card.hidden = true; }

  /** under: {at, layer, label, hz} as stage_chart.js finds it. */
  show(view, under, event) {
    const all = strongest(view, under.at, Infinity), present = all.filter(one => one.presence !== 'none');
    const pointed = all.find(one => one.label === under.label);
    if (pointed && !present.includes(pointed)) present.push(pointed);
    this.card.replaceChildren(make('b', '', null, clock(under.at)), ...present.map(one => row(one, one === pointed)));
    if (!present.length) make('span', 'fb-tip-row', this.card, chapterAt(view, under.at)?.words || 'nothing sure');
    const bpm = bpmAt(view, under.at);
    make('span', 'fb-tip-row fb-tip-tempo', this.card, bpm === null ? 'no steady beat' : `${wholeBpm(bpm)} BPM`);
    if (under.hz) make('span', 'fb-tip-row fb-tip-tempo', this.card, `${under.hz.toLocaleString('en')} Hz`);
    this.card.hidden = false;
    this.place(event);
  }

  place(event) {
    const box = this.frame.getBoundingClientRect(), {offsetWidth: wide, offsetHeight: tall} = this.card;
    const x = event.clientX - box.left, right = x + BESIDE_PX + wide < box.width;
    const y = Math.max(TOP_PX, Math.min(event.clientY - box.top - tall / 2, box.height - tall - TOP_PX));
    this.card.style.transform = `translate(${Math.max(0, right ? x + BESIDE_PX : x - BESIDE_PX - wide)}px, ${y}px)`;
  }
}

function row(one, pointed) {
  const element = make('span', `fb-tip-row${pointed ? ' fb-pointed' : ''}`);
  element.dataset.label = one.label;
  make('i', 'fb-swatch', element).style.background = one.colour;
  make('span', '', element, `${one.label}, ${one.presence === 'none' ? 'barely' : one.presence}`);
  make('span', 'fb-tip-number', element, percent(one.share));
  return element;
}
