// The Timeline tab: the river, what sounds now, and the whole track's genres, which are also the legend.

import {TimeChart, resetView} from './chart.js';
import {button, make, setText} from './dom.js';
import {follow} from './player.js';
import {anyHidden, isHidden, onToggle, showAll, toggle, withoutHidden} from './river.js';
import {showTrack, strongest} from './track_now.js';
import {clock, percent} from './wording.js';

const NOW_ROWS = 4, SPOKEN_EVERY_MS = 4000, AUDIBLE = 0.1;
const HINT = 'Click or drag to move through the track. ← → move 5 s (with Shift 1 s), Space plays, + − 0 zoom; '
  + 'the tools in the corner zoom too and save the picture.';

export function timeline(host) {
  const heading = make('div', 'fb-heading', host);
  const title = make('h2', '', heading), subtitle = make('p', 'fb-quiet', heading);
  const notes = make('ul', 'fb-notes', host);
  const chart = new TimeChart(host, 'Position in the track, on the timeline of genres', width => (width < 560 ? 300 : 380), withoutHidden);
  make('p', 'fb-hint', host, HINT);
  const columns = make('div', 'fb-columns', host);
  const now = nowSection(columns), legend = legendSection(columns);
  let key = null;

  return view => {
    host.hidden = !view;
    showTrack(view);
    now.show(view);
    if (!view) { key = null; return; }
    if (view.key !== key) resetView();
    key = view.key;
    setText(title, view.file);
    setText(subtitle, [clock(view.duration_s), view.tempo, `heard by ${view.model}`].filter(Boolean).join('  ·  '));
    notes.replaceChildren(...view.notes.map(note => make('li', '', null, note)));
    legend(view.genres);
    chart.draw(view.figure, view.duration_s, view.file);
  };
}

function nowSection(host) {
  const section = make('section', 'fb-now', host);
  const title = make('h3', '', section, 'Now sounding');
  const rows = Array.from({length: NOW_ROWS}, () => meter(make('div', 'fb-meter', section)));
  const spoken = make('p', 'fb-spoken', section);
  spoken.setAttribute('aria-live', 'polite');
  const speak = everySoOften(words => setText(spoken, words));
  let view = null, shownAt = -1;

  follow(at => {
    if (!view || Math.abs(at - shownAt) < 0.1 || !section.offsetParent) return;
    shownAt = at;
    const top = strongest(view, at, NOW_ROWS);
    setText(title, `Now sounding, at ${clock(at)}`);
    rows.forEach((row, index) => row(top[index]));
    const {sure} = view.moments, segment = sure.find(one => at < one.until_s) ?? sure.at(-1);
    speak(segment?.words ?? '');
  });
  return {show(next) { view = next; shownAt = -1; }};
}

/** Says the latest words, at once or when the last ones are `SPOKEN_EVERY_MS` old. */
function everySoOften(say) {
  let latest = '', due = 0, announcedAt = -Infinity;
  return words => {
    latest = words;
    due ||= setTimeout(() => {
      due = 0;
      announcedAt = performance.now();
      say(latest);
    }, Math.max(0, announcedAt + SPOKEN_EVERY_MS - performance.now()));
  };
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

function legendSection(host) {
  const section = make('section', 'fb-legend', host);
  const top = make('div', 'fb-legend-top', section);
  make('h3', '', top, 'The whole track');
  const all = button('fb-link', top, 'Show all', showAll);
  const list = make('div', 'fb-chips', section);
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Genres shown');
  const hint = make('p', 'fb-hint', section);
  const refresh = () => {
    all.style.visibility = anyHidden() ? 'visible' : 'hidden';
    for (const chip of list.children) chip.setAttribute('aria-pressed', String(!isHidden(chip.dataset.label)));
  };
  onToggle(refresh);
  return genres => {
    list.replaceChildren(...genres.map(genreChip));
    const bold = genres.some(genre => genre.active) ? 'Bold genres are clearly present.' : 'No genre is clearly present.';
    setText(hint, `${bold} Click a genre to hide or show it.`);
    refresh();
  };
}

function genreChip(genre) {
  const chip = button('fb-chip', null, '', () => toggle(genre.label));
  chip.dataset.label = genre.label;
  chip.classList.toggle('fb-active', genre.active);
  make('span', 'fb-swatch', chip).style.background = genre.colour;
  make('span', 'fb-chip-name', chip, genre.label);
  make('span', 'fb-chip-number', chip, genre.percent);
  if (genre.active) make('span', 'fb-spoken', chip, ', clearly present');
  return chip;
}
