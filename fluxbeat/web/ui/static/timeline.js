// The Timeline tab: the answer as a sentence, the chapters, and the stage with its switches.

import {resetView} from './chart.js';
import {button, make, setText} from './dom.js';
import {otherLabels} from './other_labels.js';
import {anyHidden, isHidden, onToggle, showAll, toggle} from './river.js';
import {chapterRow} from './stage_chapters.js';
import {LAYERS, Stage} from './stage_chart.js';
import {isThisMachine} from './this_machine.js';
import {showTrack} from './track_now.js';
import {percent} from './wording.js';

const AUDIBLE = 0.1;
const KEYS = 'Click or drag to move through the track. ← → move 5 s (with Shift 1 s), Space plays, + − 0 zoom, '
  + 'E shows what speaks for the genre that sounds.';
let stage = null;

export function timeline(host) {
  const heading = make('div', 'fb-heading fb-answer', host);
  const answer = make('h2', '', heading), facts = make('p', 'fb-quiet fb-facts', heading);
  const chapters = chapterRow(host);
  stage = new Stage(host);
  stage.frame.setAttribute('aria-description', KEYS);
  const switches = make('div', 'fb-switches');
  stage.frame.before(switches);
  const genres = genreSwitches(switches);
  layerSwitches(switches);
  const others = otherLabels(host);
  let key = null;

  return view => {
    host.hidden = !view;
    host.dataset.file = view?.file ?? '';
    host.dataset.model = view?.model ?? '';
    showSoFar(Boolean(view?.so_far));
    if (!view?.so_far) showTrack(view); // nothing can be asked of a track that is not read to its end
    if (!view) { key = null; stage.show(null); return; }
    if (view.key !== key) resetView();
    key = view.key;
    setText(answer, view.summary);
    facts.replaceChildren(...factsOf(view));
    chapters(view);
    genres(view);
    others(view);
    stage.show(view);
  };
}

/** What is shown of a track that is not read to its end takes the place of the one before, but cannot be used yet. */
function showSoFar(wanted) {
  document.body.classList.toggle('fb-so-far', wanted);
  if (wanted) document.body.classList.remove('fb-opening'); // now, or the stage would move when the whole is there
}

/** The panel that asks the server for the spectrogram and for what speaks for a genre. */
export function layers(host, trigger) {
  host.hidden = true;
  const connect = () => {
    if (!stage) { setTimeout(connect, 50); return; }
    stage.spectrogram.ask = trigger;
    if (stage.scene) stage.spectrogram.look(stage.scene.from, stage.scene.to);
  };
  connect();
  return answer => stage?.spectrogram.take(answer);
}

/** One quiet row: what the track is called, where it stays, how far to trust the answer, and what is odd about it. */
function factsOf(view) {
  const facts = [];
  const fact = (text, className = '', title = '') => {
    const element = make('span', className, null, text);
    if (title) element.title = title;
    facts.push(element);
  };
  fact([view.title, view.artist].filter(Boolean).join(' · ') || view.file, 'fb-track-name', view.file);
  fact(`heard by ${view.model}`, 'fb-model-name');
  fact(isThisMachine ? 'nothing leaves this machine' : 'nothing leaves the server of this page', 'fb-here');
  if (view.right) fact(`such answers are ${view.right.words}`, '', view.right.why);
  if (view.unlike) fact(view.unlike, 'fb-odd');
  for (const note of view.notes) fact(note, 'fb-odd fb-note');
  return facts;
}

/** The genres that are in the track somewhere: each can be hidden, everywhere at once. */
function genreSwitches(host) {
  const list = make('div', 'fb-legend fb-genres', host);
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Genres shown');
  const all = button('fb-link', null, 'Show all', showAll);
  const refresh = () => {
    all.hidden = !anyHidden();
    for (const chip of list.querySelectorAll('.fb-chip')) chip.setAttribute('aria-pressed', String(!isHidden(chip.dataset.label)));
  };
  onToggle(refresh);
  return ({genres, moments}) => {
    const most = Object.fromEntries(moments.labels.map((label, at) => [label, Math.max(...moments.probability.map(row => row[at]))]));
    const drawn = genres.filter(genre => most[genre.label] >= AUDIBLE || isHidden(genre.label));
    list.replaceChildren(...drawn.map(genreChip), all);
    refresh();
  };
}

function genreChip(genre) {
  const chip = button('fb-chip', null, '', () => toggle(genre.label));
  chip.dataset.label = genre.label;
  chip.classList.toggle('fb-active', genre.active);
  make('span', 'fb-swatch', chip).style.background = genre.colour;
  make('span', 'fb-chip-name', chip, genre.label);
  if (genre.presence !== 'none') make('span', 'fb-chip-word', chip, genre.presence);
  chip.title = `${genre.label}: ${genre.percent} of the whole track. Click to hide or show it.`;
  return chip;
}

function layerSwitches(host) {
  const group = make('div', 'fb-layers', host);
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', 'Layers shown');
  const refresh = () => {
    for (const chip of group.children) chip.setAttribute('aria-pressed', String(stage.isOn(chip.dataset.layer)));
  };
  for (const [name, words] of Object.entries(LAYERS)) {
    const chip = button('fb-layer', group, words.replace(' and beats', ''), () => { stage.toggle(name); refresh(); });
    chip.dataset.layer = name;
  }
  refresh();
}

export function meter(row) {
  const name = make('span', 'fb-meter-name', row), bar = make('span', 'fb-meter-bar', row);
  const fill = make('span', 'fb-meter-fill', bar), number = make('span', 'fb-meter-number', row);
  return one => {
    row.style.visibility = one && one.share >= 0.005 ? 'visible' : 'hidden';
    if (!one) return;
    row.classList.toggle('fb-faint', one.share < AUDIBLE);
    setText(name, one.label);
    setText(number, percent(one.share));
    fill.style.transform = `scaleX(${one.share.toFixed(3)})`;
    fill.style.background = one.colour;
  };
}
