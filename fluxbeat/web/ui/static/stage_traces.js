// Fills the stage's traces with what is in view: river, loudness in the colour of the leading genre, tempo and beats.

import {drawnHeight, leading, lowerBound, valuesAt} from './stage_curves.js';
import {ridingNames} from './stage_names.js';
import {START_MS, wholeBpm} from './wording.js';

const POINT_PX = 3, MOST_POINTS = 500, LEAST_POINTS = 200, BAR_PX = 3, TEMPO_PX = 2;
const BEAT_PX = 6, BAR_OF_BEATS = 4, BEAT_HEIGHT = 0.16, DOWNBEAT_HEIGHT = 0.3, BEATS_AT = 0.04;
const TEMPO_FROM = 0.42, TEMPO_TO = 0.9, LEAST_BPM_SPAN = 24, SAME_BPM = 1.02, LABEL_PX = 74, NO_BEAT_PX = 130, NAME_PX = 122;
const LAYERS = [['waveform', 'yaxis2', 0.13], ['river', 'yaxis', 0.46], ['tempo', 'yaxis3', 0.14], ['spectrogram', 'yaxis4', 0.27]];
const OF_ROLE = {ground: 'river', area: 'river', loudness: 'waveform', tempo: 'tempo', beats: 'tempo', downbeats: 'tempo', spectrogram: 'spectrogram'};

const ms = second => START_MS + second * 1000;

/** Where each layer that is switched on lies, from the top: {name: [bottom, top]} in shares of the height. */
export function placed(isOn) {
  const on = LAYERS.filter(([name]) => isOn(name)), all = on.reduce((sum, [, , share]) => sum + share, 0) || 1;
  const places = {};
  let top = 1;
  for (const [name, , share] of on) {
    places[name] = [Math.max(0, top - share / all), top];
    top -= share / all;
  }
  return places;
}

/**
 * data, layout: of the figure that plots.py made. scene: {view, from, to, inner, height, places, isHidden, ink, text}
 * with the seconds from, to and the pixels inner (width), height.
 */
export function fill(data, layout, scene) {
  const {view, places, ink} = scene;
  layout.annotations = [];
  layout.shapes = [];
  layout.plot_bgcolor = 'rgba(0, 0, 0, 0)';      // the axes of layers that are off lie over the others
  for (const [name, axis] of LAYERS) {
    const place = places[name];
    if (!place) continue;
    Object.assign(layout[axis], {domain: place});
    if (name === 'tempo') layout.yaxis5.domain = place;
    if (place[1] < 1) layout.shapes.push({type: 'line', xref: 'paper', yref: 'paper', x0: 0, x1: 1, y0: place[1], y1: place[1],
      line: {color: ink.grid, width: 1}});
  }
  for (const trace of data) trace.visible = Boolean(places[OF_ROLE[trace.meta.role]]);
  const shown = view.moments.labels.map(label => !scene.isHidden(label));
  if (places.river) river(data, layout, scene, shown);
  if (places.waveform) loudness(data, scene, shown);
  if (places.tempo) tempo(data, layout, scene);
  return data;
}

/** Height of the fullest moment: the river keeps its scale while one zooms. */
function fullest({moments}, shown) {
  const sums = moments.probability.map(row => row.reduce((sum, share, label) => sum + (shown[label] ? drawnHeight(share) : 0), 0));
  return Math.max(1, ...sums) * 1.04;
}

function river(data, layout, scene, shown) {
  const {view, from, to, inner, height, places} = scene, {labels} = view.moments;
  const points = Math.min(MOST_POINTS, Math.max(LEAST_POINTS, Math.round(inner / POINT_PX)));
  const times = Array.from({length: points}, (_, at) => from + (to - from) * at / (points - 1));
  const x = times.map(ms), rise = fullest(view, shown);
  const heights = times.map(at => valuesAt(view.moments, at).map((share, label) => (shown[label] ? drawnHeight(share) : 0)));
  const ground = heights.map(row => Math.max(0, rise - row.reduce((sum, one) => sum + one, 0)) / 2);
  layout.yaxis.range = [0, rise];
  let low = ground;
  const streams = [];
  for (const trace of data) {
    if (trace.meta.role === 'ground') Object.assign(trace, {x, y: ground});
    if (trace.meta.role !== 'area') continue;
    const label = labels.indexOf(trace.meta.label), y = heights.map(row => row[label]);
    trace.visible = shown[label];
    Object.assign(trace, {x, y});
    if (!shown[label]) continue;
    const under = low, high = under.map((one, at) => one + y[at]);
    streams.push({label: trace.meta.label, low: under, high, ink: inkOf(view, trace.meta.label)});
    low = high;
  }
  const scale = (places.river[1] - places.river[0]) * height / rise;
  layout.annotations.push(...ridingNames(streams, {x, inner, scale, rise}));
  scene.streams = {times, streams};
}

const inkOf = (view, label) => view.genres.find(genre => genre.label === label)?.ink ?? '#ffffff';

function loudness(data, scene, shown) {
  const {view, from, to, inner} = scene, {step_s: step, peak} = view.waveform;
  const count = Math.max(1, Math.min(Math.round(inner / BAR_PX), Math.ceil((to - from) / step)));
  const paths = new Map(data.filter(trace => trace.meta.role === 'loudness').map(trace => [trace.meta.label ?? null, {trace, x: [], y: []}]));
  for (let bar = 0; bar < count; bar++) {
    const begin = from + (to - from) * bar / count, end = from + (to - from) * (bar + 1) / count, middle = (begin + end) / 2;
    let most = 0;
    for (let at = Math.floor(begin / step); at < Math.max(Math.floor(begin / step) + 1, Math.ceil(end / step)) && at < peak.length; at++)
      most = Math.max(most, peak[at] ?? 0);
    const leader = leading(valuesAt(view.moments, middle), shown);
    const path = paths.get(leader < 0 ? null : view.moments.labels[leader]) ?? paths.get(null);
    const tall = Math.max(0.015, most * 0.9);
    path.x.push(ms(middle), ms(middle), null);
    path.y.push(-tall, tall, null);
  }
  const width = Math.max(1, Math.min(6, inner / count * 0.68));
  for (const {trace, x, y} of paths.values()) Object.assign(trace, {x, y, line: {...trace.line, width}});
}

function tempo(data, layout, scene) {
  const {view, from, to, inner} = scene, {centre_s: centres, bpm} = view.moments;
  const found = bpm.filter(one => one !== null);
  let least = Math.min(...found), most = Math.max(...found);
  const room = Math.max(0, LEAST_BPM_SPAN - (most - least)) / 2;
  least -= room;
  most += room;
  const level = one => TEMPO_FROM + (TEMPO_TO - TEMPO_FROM) * 0.5 * (found.length ? 2 * (one - least) / (most - least) : 1);
  const hop = view.moments.hop_s || 1, half = hop / 2;
  const first = Math.max(0, lowerBound(centres, from) - 1), end = Math.min(centres.length, lowerBound(centres, to) + 1);
  const stride = Math.max(1, Math.floor((end - first) * TEMPO_PX / inner));
  const x = [], y = [], runs = [];
  for (let at = first; at < end; at += stride) {
    const group = bpm.slice(at, at + stride).filter(one => one !== null).sort((one, other) => one - other);
    const value = group.length * 2 > Math.min(stride, end - at) - 1 && group.length ? group[group.length >> 1] : null;
    const begins = at === 0 ? 0 : centres[at] - half, ends = at + stride >= centres.length ? view.duration_s : centres[Math.min(at + stride, centres.length) - 1] + half;
    const last = runs.at(-1);
    if (last && (value === null ? last.bpm === null : last.bpm !== null && ratio(last.bpm, value) < SAME_BPM)) last.end = ends;
    else runs.push({begin: begins, end: ends, bpm: value});
    if (value !== null && (at === 0 || x.length && y.at(-1) === null || !x.length)) { x.push(ms(begins)); y.push(level(value)); }
    x.push(ms((begins + ends) / 2));
    y.push(value === null ? null : level(value));
    if (value !== null) { x.push(ms(ends)); y.push(level(value)); }
  }
  Object.assign(data.find(trace => trace.meta.role === 'tempo'), {x, y});
  layout.annotations.push(...tempoWords(runs, scene, level));
  beats(data, scene);
}

const ratio = (one, other) => Math.max(one / other, other / one);

/** The number where a tempo begins and there is room for it; that there is no beat, in the middle of such a part. */
function tempoWords(runs, {view, from, to, inner, ink}, level) {
  const px = second => (second - from) / (to - from) * inner, words = [];
  let free = -Infinity;
  for (const run of runs) {
    const begin = Math.max(from, run.begin), end = Math.min(to, run.end), wide = px(end) - px(begin);
    const shared = {xref: 'x', yref: 'y3', showarrow: false, font: {size: 12, color: run.bpm === null ? ink.quiet : ink.text}};
    if (run.bpm === null) {
      if (wide >= NO_BEAT_PX && !view.so_far) words.push({...shared, x: ms((begin + end) / 2), y: 0.5, text: 'no steady beat'});
    } else {
      const at = Math.max(px(begin) + 4, NAME_PX);      // beside the name of the layer
      if (at < free || wide < LABEL_PX / 3 || at > px(end) || at + LABEL_PX > inner) continue;
      const shift = level(run.bpm) > 0.72 ? -11 : 11;
      words.push({...shared, x: ms(begin), xshift: at - px(begin), y: level(run.bpm), yshift: shift, xanchor: 'left', text: `${wholeBpm(run.bpm)} BPM`});
      free = at + LABEL_PX;
    }
  }
  return words;
}

/** Beats where each has room; from further away every bar, or every second, fourth ... of them. */
function beats(data, {view, from, to, inner}) {
  const inView = all => all.slice(lowerBound(all, from), lowerBound(all, to));
  const dense = (count, every = 1) => inner * every / Math.max(1, count) < BEAT_PX;
  const strokes = (moments, tall) => ({x: moments.flatMap(at => [ms(at), ms(at), null]), y: moments.flatMap(() => [BEATS_AT, BEATS_AT + tall, null])});
  const thinned = all => {
    const seen = inView(all), firstPlace = lowerBound(all, from);
    let every = 1;
    while (dense(seen.length, every)) every *= 2;
    return seen.filter((_, at) => (firstPlace + at) % every === 0);
  };
  const bars = view.downbeats_s.length > 0, all = inView(view.beats_s);
  const each = dense(all.length) ? (bars ? [] : thinned(view.beats_s.filter((_, at) => at % BAR_OF_BEATS === 0))) : all;
  Object.assign(data.find(trace => trace.meta.role === 'beats'), strokes(each, BEAT_HEIGHT));
  Object.assign(data.find(trace => trace.meta.role === 'downbeats'), strokes(bars ? thinned(view.downbeats_s) : [], DOWNBEAT_HEIGHT));
}
