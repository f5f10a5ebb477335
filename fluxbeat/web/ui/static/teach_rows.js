// In the Library: rows are ticked and given a genre of one's own, to learn from or to mend a wrong answer.

import {button, make, setText} from './dom.js';
import {openTab} from './gradio_page.js';

export class TeachRows {
  constructor(host, trigger) {
    this.ticked = new Set();
    this.bar = make('form', 'fb-teach-rows', host);
    this.words = make('span', '', this.bar);
    this.words.setAttribute('role', 'status');
    const label = make('label', 'fb-quiet', this.bar, 'are');
    this.genre = make('input', '', label);
    Object.assign(this.genre, {type: 'text', maxLength: 100, placeholder: 'a genre of yours', autocomplete: 'off', required: true});
    this.genre.setAttribute('aria-label', 'Genre of the ticked songs');
    this.genre.setAttribute('list', 'fb-own-genres');
    make('datalist', '', this.bar).id = 'fb-own-genres';
    make('button', 'fb-button', this.bar, 'Teach').type = 'submit';
    button('fb-link', this.bar, 'Untick all', () => this.clear());
    this.invitation = make('p', 'fb-hint', host, 'Tick songs to teach them as a genre of your own, or to mend a wrong answer of your model. ');
    this.all = button('fb-link', this.invitation, 'Tick all shown', () => this.tickShown());
    make('span', '', this.invitation, ' ');
    button('fb-link', this.invitation, 'Teach it yours …', () => openTab('teach'));
    this.bar.addEventListener('submit', event => {
      event.preventDefault();
      if (!this.genre.value.trim()) return;
      trigger('taught', {indices: [...this.ticked], genre: this.genre.value.trim()});
      this.clear();
    });
    this.tell();
  }

  box(row, parent) {
    const box = make('input', 'fb-teach-box', parent);
    box.type = 'checkbox';
    box.checked = this.ticked.has(row.index);
    box.dataset.index = row.index;
    box.setAttribute('aria-label', `Tick ${row.title} to teach it`);
    box.addEventListener('change', () => {
      if (box.checked) this.ticked.add(row.index);
      else this.ticked.delete(row.index);
      this.tell();
    });
  }

  offer(rows) {
    this.all.hidden = !rows.some(row => !row.error);
    const known = new Set([...(window.FluxBeat.ownGenres ?? []), ...rows.flatMap(row => row.genres)]);
    this.bar.querySelector('datalist').replaceChildren(...[...known].map(name => {
      const option = make('option');
      option.value = name;
      return option;
    }));
    const there = new Set(rows.map(row => row.index));
    for (const index of this.ticked) if (!there.has(index)) this.ticked.delete(index);
    this.tell();
  }

  tickShown() {
    for (const box of document.querySelectorAll('.fb-library .fb-teach-box')) {
      box.checked = true;
      this.ticked.add(Number(box.dataset.index));
    }
    this.tell();
  }

  clear() {
    this.ticked.clear();
    for (const box of document.querySelectorAll('.fb-library .fb-teach-box')) box.checked = false;
    this.tell();
  }

  tell() {
    this.bar.hidden = !this.ticked.size;
    setText(this.words, this.ticked.size === 1 ? '1 song' : `${this.ticked.size} songs`);
  }
}
