// The Compare tab: the passages in which the models disagree, to be played; below, one river per model on one axis.

import {TimeChart} from './chart.js';
import {button, make, setText} from './dom.js';
import {explainAt} from './explain.js';
import {passagePlayer} from './passage_player.js';
import {withoutHidden} from './river.js';

export function compare(host) {
  const empty = make('p', 'fb-empty', host);
  const debate = debateSection(host);
  const rows = make('section', 'fb-rows', host);
  make('h3', 'fb-rows-title', rows, 'The river of each');
  const drawn = new Map();

  return view => {
    host.hidden = !view;
    debate(view);
    if (!view) return;
    const names = view.rows.map(row => row.model);
    for (const [name, row] of drawn) if (!names.includes(name)) { row.remove(); drawn.delete(name); }
    for (const row of view.rows) {
      if (!drawn.has(row.model)) drawn.set(row.model, modelRow(row.model, row.title));
      rows.append(drawn.get(row.model).element);
      drawn.get(row.model).draw(row, view.duration_s);
    }
    rows.hidden = !names.length;
    empty.hidden = !view.waiting.length && names.length > 1;
    setText(empty, view.waiting.length ? `Still listening: ${view.waiting.join(' and ')} …`
      : names.length ? 'Switch on a second model to see where they disagree.' : 'Switch on a model to see how it hears the track.');
  };
}

function debateSection(host) {
  const section = make('section', 'fb-debate', host);
  make('h3', '', section, 'Where they disagree');
  const words = make('p', 'fb-debate-words', section);
  const list = make('ol', 'fb-passages', section);
  const notes = make('ul', 'fb-debate-notes', section);
  const player = passagePlayer();
  let drawn = '';
  return view => {
    const content = JSON.stringify([view?.key, view?.debate]);
    section.hidden = !view?.debate;
    if (content === drawn) return;
    drawn = content;
    player.stop();
    if (!view?.debate) return;
    setText(words, view.debate.words);
    const passages = view.debate.passages ?? [];
    list.replaceChildren(...passages.map(one => passageItem(one, view.duration_s, player)));
    list.hidden = !passages.length;
    notes.replaceChildren(...view.debate.notes.map(note => make('li', '', null, note)));
  };
}

function passageItem(passage, duration, player) {
  const item = make('li', 'fb-passage');
  const play = button('fb-passage-play', item, '', () => player.toggle(play, passage, duration));
  const words = {false: `Play ${passage.when}, where they disagree`, true: `Stop ${passage.when}`};
  play.tell = playing => {
    play.classList.toggle('fb-on', playing);
    play.setAttribute('aria-label', words[playing]);
    play.title = words[playing];
  };
  play.tell(false);
  make('span', 'fb-passage-when', item, passage.when);
  const statements = make('dl', 'fb-statements', item);
  for (const one of passage.statements) {
    const statement = make('div', one.consensus ? 'fb-statement fb-consensus' : 'fb-statement', statements);
    make('dt', '', statement, one.title);
    const genres = make('dd', '', statement);
    genres.append(...one.genres.map(genre => {
      const why = `Hear what made it ${genre.label}`;
      return namedGenre(genre, button('fb-named', null, '', () => explainAt((passage.start_s + passage.end_s) / 2, genre.label)), why);
    }));
    if (!one.genres.length) make('span', 'fb-quiet', genres, 'nothing sure');
    if (one.unknown) make('span', 'fb-quiet', genres, one.unknown);
  }
  return item;
}

/** A genre in its colour, with how present it is in a word; the percentage is for pointing. */
function namedGenre(genre, one = make('span', 'fb-named'), what = '') {
  one.title = [`${genre.label} ${genre.percent}`, what].filter(Boolean).join('. ');
  const name = make('span', 'fb-named-genre', one, genre.label);
  Object.assign(name.style, {background: genre.colour, color: genre.ink});
  make('span', genre.presence === 'trace' ? 'fb-quiet' : '', one, genre.presence);
  return one;
}

function modelRow(model, title) {
  const element = make('section', 'fb-row');
  element.dataset.model = model;
  const top = make('div', 'fb-row-top', element);
  make('h4', '', top, title);
  const right = make('span', 'fb-accuracy fb-quiet', top);
  const genres = make('span', 'fb-row-genres', top), tempo = make('span', 'fb-quiet', top);
  const chart = new TimeChart(element, `Position in the track, as ${title} hears it`, width => (width < 560 ? 104 : 130), withoutHidden);
  return {
    element,
    draw(row, duration) {
      setText(right, row.accuracy?.words ?? 'not measured');
      right.title = row.accuracy?.why ?? 'Its checkpoint names no results.';
      genres.replaceChildren(...row.genres.map(genre => namedGenre(genre)));
      if (!row.genres.length) make('span', 'fb-quiet', genres, 'nothing sure');
      setText(tempo, row.tempo);
      chart.draw(row.figure, duration, `${title}`);
    },
    remove() { chart.remove(); element.remove(); },
  };
}
