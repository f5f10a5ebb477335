// Of a model with hundreds of labels: a field to search those that are not drawn, and where each is strongest.

import {button, make, setText} from './dom.js';
import {seek} from './player.js';

const MOST_LISTED = 30;

export function otherLabels(host) {
  const fold = make('details', 'fb-others', host);
  const title = make('summary', '', fold);
  const label = make('label', 'fb-quiet', fold, 'Search them');
  const field = make('input', '', label);
  Object.assign(field, {type: 'search', autocomplete: 'off', spellcheck: false, placeholder: 'part of a name'});
  const count = make('p', 'fb-quiet', fold), list = make('ul', 'fb-others-list', fold);
  count.setAttribute('role', 'status');
  let others = [];

  function draw() {
    const word = field.value.trim().toLowerCase();
    const found = others.filter(one => one.label.toLowerCase().includes(word)), listed = found.slice(0, MOST_LISTED);
    list.replaceChildren(...listed.map(one => {
      const item = make('li');
      make('span', '', item, one.label);
      make('span', 'fb-quiet', item, `at most ${one.percent}`);
      button('fb-link', item, one.clock, () => seek(one.at_s)).title = 'Play where it is strongest';
      return item;
    }));
    setText(count, listed.length < found.length ? `${found.length} labels; the ${listed.length} strongest are listed.`
      : found.length ? '' : 'No such label.');
  }

  field.addEventListener('input', draw);
  return view => {
    others = view.others ?? [];
    fold.hidden = !others.length;
    setText(title, `${others.length} more labels that this model knows`);
    draw();
  };
}
