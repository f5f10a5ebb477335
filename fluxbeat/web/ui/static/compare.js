// The Compare tab: one river per model on one axis, and where the models differ.

import {TimeChart} from './chart.js';
import {make, setText} from './dom.js';
import {withoutHidden} from './river.js';

export function compare(host) {
  const empty = make('p', 'fb-empty', host);
  const rows = make('div', 'fb-rows', host);
  const apart = make('section', 'fb-apart', host);
  make('h3', '', apart, 'Where they differ');
  const words = make('p', 'fb-quiet', apart);
  const differences = new TimeChart(apart, 'Position in the track, on the line of differences', () => 96);
  const drawn = new Map();

  return view => {
    host.hidden = !view;
    if (!view) return;
    const names = view.rows.map(row => row.model);
    for (const [name, row] of drawn) if (!names.includes(name)) { row.remove(); drawn.delete(name); }
    for (const row of view.rows) {
      if (!drawn.has(row.model)) drawn.set(row.model, modelRow(row.model, row.title));
      rows.append(drawn.get(row.model).element);
      drawn.get(row.model).draw(row, view.duration_s);
    }
    empty.hidden = !view.waiting.length && names.length > 0;
    setText(empty, view.waiting.length ? `Still listening: ${view.waiting.join(' and ')} …` : 'Switch on a model to see how it hears the track.');
    apart.hidden = !view.difference;
    if (!view.difference) return;
    setText(words, view.difference.words);
    differences.frame.hidden = !view.difference.figure;
    if (view.difference.figure) differences.draw(view.difference.figure, view.duration_s, 'differences');
  };
}

function modelRow(model, title) {
  const element = make('section', 'fb-row');
  element.dataset.model = model;
  const top = make('div', 'fb-row-top', element);
  make('h3', '', top, title);
  const genres = make('span', 'fb-row-genres', top), facts = make('span', 'fb-quiet', top);
  const chart = new TimeChart(element, `Position in the track, as ${title} hears it`, width => (width < 560 ? 104 : 130), withoutHidden);
  return {
    element,
    draw(row, duration) {
      genres.replaceChildren(...row.genres.map(genre => {
        const item = make('span', 'fb-row-genre');
        make('span', 'fb-swatch', item).style.background = genre.colour;
        make('span', '', item, `${genre.label} ${genre.percent}`);
        return item;
      }));
      setText(facts, `${row.tempo}  ·  took ${row.took}`);
      chart.draw(row.figure, duration, `${title}`);
    },
    remove() { chart.remove(); element.remove(); },
  };
}
