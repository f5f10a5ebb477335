// The bar that never leaves the foot of the screen: play, time, what sounds now, and the tempo with all that settles it.

import {BeatClicks} from './clicks.js';
import {button, make, setText} from './dom.js';
import {openTab, openedTab} from './gradio_page.js';
import {momentOfAddress} from './moment_link.js';
import {audio, follow, playing, position, togglePlay} from './player.js';
import {showButton} from './show.js';
import {TapTempo} from './tapping.js';
import {chooseTempo, onTempo} from './tempo_now.js';
import {bpmAt, onTrack, strongest} from './track_now.js';
import {clock, presence, spokenTime, wholeBpm} from './wording.js';

const NOW_GENRES = 2, KEPT = 'fluxbeat-track', LOOK_EVERY_S = 0.1;
/** Where Space already has a meaning. */
const OWN_SPACE = 'input, textarea, select, button, a, summary, audio, video, [contenteditable=true], [role=slider], [role=tab], [role=radio]';

export function player(host) {
  const bar = make('section', 'fb-bar', host);
  bar.setAttribute('aria-label', 'Player');
  bar.append(audio());
  const play = button('fb-play', bar, '', togglePlay);
  const time = make('div', 'fb-time', bar), at = make('b', '', time, '0:00'), whole = make('span', 'fb-quiet', time);
  const now = nowSounding(bar);
  const tempo = tempoControls(bar);
  showButton(bar);
  const big = bigPlay(host);
  let shown = null;

  function drawState() {
    const isPlaying = playing(), name = isPlaying ? 'Pause' : 'Play';
    play.classList.toggle('fb-on', isPlaying);
    play.setAttribute('aria-label', name);
    play.title = `${name} (Space)`;
  }

  for (const name of ['play', 'pause', 'ended', 'emptied']) audio().addEventListener(name, drawState);
  for (const name of ['durationchange', 'emptied']) audio().addEventListener(name, () => {
    const {duration} = audio();
    setText(whole, Number.isFinite(duration) ? ` / ${clock(duration)}` : '');
    time.title = Number.isFinite(duration) ? spokenTime(duration) : '';
  });
  follow(second => setText(at, clock(second)));
  document.addEventListener('keydown', event => {
    if (event.key !== ' ' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(OWN_SPACE)) return;
    event.preventDefault();
    if (!event.repeat) togglePlay();
  });
  // what the page says of itself goes with the example that it opened with, not before that
  onTrack(track => {
    if (track && track.key === shown?.key && !shown.opening) document.body.classList.remove('fb-opening');
  });
  tellHeight(bar);
  drawState();

  return view => {
    play.disabled = !view;
    document.body.classList.toggle('fb-has-track', Boolean(view));
    if (view?.key === shown?.key) return;
    const first = shown === null;
    shown = view;
    if (first && view?.opening) document.body.classList.add('fb-opening');
    big.offer(Boolean(view) && first);
    keep(view?.token ?? '');
    if (!view) { audio().removeAttribute('src'); audio().load(); return; }
    audio().src = view.url;
    audio().title = view.name;
    momentOfAddress(first);
    now.moved();
    tempo.moved();
  };
}

export function keptTrack() {
  try { return sessionStorage.getItem(KEPT) ?? ''; } catch { return ''; }
}

/** By this the same page, and no other, gets its track again after a reload; see `arrive` in page.py. */
function keep(token) {
  try { sessionStorage.setItem(KEPT, token); } catch { /* private windows keep nothing */ }
}

/** The genres that sound now, most first, each in a word; the share is for pointing. */
function nowSounding(bar) {
  const element = make('div', 'fb-bar-now', bar);
  const rows = Array.from({length: NOW_GENRES}, () => {
    const row = make('span', 'fb-bar-genre', element), swatch = make('i', 'fb-swatch', row), name = make('span', '', row);
    return one => {
      row.hidden = !one;
      if (!one) return;
      swatch.style.background = one.colour;
      setText(name, `${one.label}, ${presence(one.share)}`);
      row.title = `${one.label}: ${Math.round(one.share * 100)} %`;
    };
  });
  const nothing = make('span', 'fb-quiet', element);
  let view = null, shownAt = null;
  onTrack(next => { view = next; shownAt = null; });
  follow(at => {
    if (shownAt !== null && Math.abs(at - shownAt) < LOOK_EVERY_S) return;
    shownAt = at;
    const top = view ? strongest(view, at, NOW_GENRES).filter(one => presence(one.share) !== 'none') : [];
    rows.forEach((row, index) => row(top[index]));
    setText(nothing, view && !top.length ? 'nothing sure' : '');
  });
  return {moved() { shownAt = null; }};
}

/** Half, the number, double, tap, and a click on the beats. */
function tempoControls(bar) {
  const element = make('div', 'fb-bar-tempo', bar);
  element.setAttribute('role', 'group');
  element.setAttribute('aria-label', 'Tempo');
  let now = null, view = null;
  const key = (text, name, choose) => {
    const one = button('fb-key', element, text, choose);
    one.setAttribute('aria-label', name);
    one.title = name;
    return one;
  };
  const halve = key('½', 'Halve the tempo', () => chooseTempo(now.bpm / 2));
  const form = make('form', 'fb-bar-bpm', element), field = make('input', '', form);
  Object.assign(field, {type: 'text', inputMode: 'decimal', autocomplete: 'off', size: 4});
  field.setAttribute('aria-label', 'Tempo in beats per minute: type your own');
  const unit = make('span', '', form, 'BPM');
  const double = key('×2', 'Double the tempo', () => chooseTempo(now.bpm * 2));
  const back = key('↺', 'Back to the tempo that was found', () => chooseTempo(null));
  back.classList.add('fb-back');
  const tap = new TapTempo(element, chooseTempo);
  const clicks = new BeatClicks(element);

  function show() {
    const bpm = now?.bpm ?? null, ownOrSteady = now && (now.own || now.stable);
    const here = bpm === null || ownOrSteady || !view ? bpm : bpmAt(view, position()) ?? bpm;
    const text = bpm === null ? '–' : wholeBpm(here);
    if (document.activeElement !== field && field.value !== text) field.value = text;
    setText(unit, bpm !== null && !ownOrSteady ? 'BPM now' : 'BPM');
  }

  form.addEventListener('submit', event => {
    event.preventDefault();
    const typed = Number(field.value.replace(',', '.'));
    field.blur();
    if (typed) chooseTempo(typed);
    show();
  });
  field.addEventListener('focus', () => field.select());
  field.addEventListener('blur', show);
  field.addEventListener('keydown', event => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    field.value = '';
    field.blur();
  });
  onTrack(next => { view = next; show(); });
  onTempo(next => {
    now = next;
    const beat = now && now.bpm !== null;
    halve.disabled = !beat || now.bpm / 2 < now.range[0];
    double.disabled = !beat || now.bpm * 2 > now.range[1];
    field.disabled = tap.disabled = !now;
    back.hidden = !now?.own;
    element.classList.toggle('fb-own', Boolean(now?.own));
    element.title = now?.own ? `Your choice; ${now.found === null ? 'no steady beat' : wholeBpm(now.found)} was found` : '';
    clicks.beats(now?.beats_s ?? [], now?.downbeats_s ?? []);
    show();
  });
  follow(() => { if (now && !now.own && !now.stable) show(); });
  return {moved() { tap.forget(); }};
}

/** Of the stage's height. */
const RIVER_MIDDLE = 0.35;

/** What a page opens with is one click away from sounding. */
function bigPlay(host) {
  const big = button('fb-big-play', host, '', () => { big.hidden = true; openTab('timeline'); audio().play().catch(() => {}); });
  big.setAttribute('aria-label', 'Play the example');
  big.hidden = true;
  let offered = false;
  // on the river, wherever the page has scrolled to
  const show = () => {
    const stage = document.querySelector('#timeline .fb-stage'), box = stage?.getBoundingClientRect();
    big.hidden = !offered || openedTab() !== 'timeline' || !box?.width;
    if (!big.hidden) Object.assign(big.style, {left: `${box.left + box.width / 2}px`, top: `${box.top + box.height * RIVER_MIDDLE}px`});
  };
  audio().addEventListener('play', () => { offered = false; show(); });
  follow(() => { if (offered) show(); });
  for (const moved of ['scroll', 'resize']) window.addEventListener(moved, () => { if (offered) show(); }, {passive: true});
  return {offer(wanted) { offered = wanted && audio().paused; show(); }};
}

/** How much of the screen the bar takes, for what is sized by the rest: --fb-bar-height. */
function tellHeight(bar) {
  new ResizeObserver(() => {
    document.documentElement.style.setProperty('--fb-bar-height', `${bar.offsetHeight}px`);
    window.dispatchEvent(new Event('fluxbeat-bar'));
  }).observe(bar);
}
