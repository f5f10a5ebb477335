// The Library tab: many files at once, the table that fills while they are analysed, its order and its filters.

import {button, make, setText} from './dom.js';
import {openTab} from './gradio_page.js';
import {putGiven} from './sending.js';
import {smallRiver} from './small_river.js';
import {lock, sendShown} from './surroundings.js';
import {TeachRows} from './teach_rows.js';

const COLUMNS = [
  {name: 'Title', key: row => (row.artist ? `${row.title} ${row.artist}` : row.title).toLocaleLowerCase()},
  {name: 'River'},
  {name: 'Length', key: row => row.duration_s, number: true},
  {name: 'Genres', key: row => row.genres.join(' ') || null},
  {name: 'BPM', key: row => row.bpm, number: true},
];
const MUSIC = 'audio/*,video/*,.flac,.opus,.m4a,.ogg,.aiff,.wma';
let suffixes = [], giveLibrary = null;

export function library(host, trigger) {
  giveLibrary = () => trigger('given', {});
  const picker = make('input', '', host);
  Object.assign(picker, {type: 'file', multiple: true, hidden: true, accept: MUSIC});
  picker.addEventListener('change', () => {
    give([...picker.files]);
    picker.value = '';
  });
  const zone = button('fb-drop-zone', host, 'Drop many songs or whole folders here, or choose songs …', () => picker.click());
  zone.id = 'library-files';
  const folder = make('input', '', host);
  Object.assign(folder, {type: 'file', webkitdirectory: true, multiple: true, hidden: true});
  folder.addEventListener('change', () => {
    give([...folder.files].filter(file => isMusic(file.webkitRelativePath)).map(file => named(file, file.webkitRelativePath)));
    folder.value = '';
  });
  const bar = make('div', 'fb-library-bar', host);
  button('fb-button', bar, 'Choose a folder …', () => folder.click());
  const progress = make('progress', '', bar);
  progress.setAttribute('aria-label', 'Files heard');
  const words = make('span', 'fb-quiet fb-library-words', bar);
  const stop = button('fb-button', bar, 'Stop', () => { stop.disabled = true; trigger('stopped', {}); });
  const empty = button('fb-button', bar, 'Empty the table', () => trigger('emptied', {}));
  const problem = make('p', 'fb-library-error', host);
  problem.setAttribute('role', 'alert');
  const filters = new Filters(host, () => table.arrange());
  const teachRows = new TeachRows(host, trigger);
  const table = new Table(host, filters, index => { lock(); trigger('opened', {index}); }, teachRows);

  return (view = {}) => {
    suffixes = view?.suffixes ?? suffixes;
    const rows = view?.rows ?? [], running = Boolean(view?.running);
    progress.hidden = stop.hidden = !running;
    if (!running) stop.disabled = false;
    progress.max = view?.total || 1;
    progress.value = view?.done ?? 0;
    setText(words, progressWords(view, rows));
    empty.hidden = !rows.length || running;
    problem.hidden = !view?.error;
    setText(problem, view?.error ?? '');
    zone.classList.toggle('fb-small', Boolean(view?.total));
    filters.offer(rows);
    table.draw(rows, view?.colours ?? {});
    teachRows.offer(rows);
  };
}

function progressWords(view, rows) {
  if (!view?.total) return 'Hundreds of songs at once: a table of their genres and tempos.';
  const failed = rows.filter(row => row.error).length;
  const trouble = failed ? `, ${failed} of them could not be` : '';
  if (view.running) return [`${view.done} of ${view.total}${trouble}`, view.left].filter(Boolean).join('  ·  ');
  const files = `${view.total} ${view.total === 1 ? 'file' : 'files'}`;
  return `${view.done < view.total ? `Stopped: ${view.done} of ${files}` : files} heard by ${view.model}${trouble}.`;
}

class Filters {
  constructor(host, changed) {
    this.bar = make('div', 'fb-library-filters', host);
    this.text = this.field('Find', 'input', changed);
    this.text.type = 'search';
    this.genre = this.field('Genre', 'select', changed);
    this.low = this.field('BPM from', 'input', changed);
    this.high = this.field('to', 'input', changed);
    for (const bpm of [this.low, this.high]) Object.assign(bpm, {type: 'number', min: 0, max: 1000, inputMode: 'numeric'});
    this.count = make('span', 'fb-hint', this.bar);
    this.count.setAttribute('role', 'status');
  }

  field(name, tag, changed) {
    const field = make(tag, '', make('label', '', this.bar, name));
    field.setAttribute('aria-label', name === 'to' ? 'BPM to' : name);
    field.addEventListener('input', changed);
    return field;
  }

  offer(rows) {
    this.bar.hidden = rows.length < 2;
    const genres = [...new Set(rows.flatMap(row => row.genres))].sort(), chosen = this.genre.value;
    if (this.offered === genres.join()) return;
    this.offered = genres.join();
    this.genre.replaceChildren(...['', ...genres].map(label => {
      const option = make('option', '', null, label || 'any');
      option.value = label;
      return option;
    }));
    this.genre.value = genres.includes(chosen) ? chosen : '';
  }

  passes(row) {
    const text = this.text.value.trim().toLocaleLowerCase(), from = this.low.value, to = this.high.value;
    return (!text || `${row.title} ${row.artist} ${row.path}`.toLocaleLowerCase().includes(text))
      && (!this.genre.value || row.genres.includes(this.genre.value))
      && ((!from && !to) || (row.bpm !== null && row.bpm >= Number(from || 0) && row.bpm <= Number(to || Infinity)));
  }
}

class Table {
  constructor(host, filters, open, teachRows) {
    Object.assign(this, {filters, open, teachRows, rows: [], colours: {}, column: null, falling: false, drawn: new Map()});
    // roles are named, for on a phone the rows are no table to the eye
    this.element = part('table', 'fb-library-table', host, 'table');
    const head = part('tr', '', part('thead', '', this.element, 'rowgroup'), 'row');
    this.heads = COLUMNS.map((column, number) => {
      const cell = part('th', column.number ? 'fb-number' : '', head, 'columnheader');
      cell.scope = 'col';
      if (column.key) button('', cell, column.name, () => this.sortBy(number));
      else make('span', 'fb-library-head', cell, column.name);
      return cell;
    });
    this.body = part('tbody', '', this.element, 'rowgroup');
  }

  sortBy(number) {
    this.falling = this.column === number && !this.falling;
    this.column = number;
    this.heads.forEach((cell, at) => {
      if (at === number) cell.setAttribute('aria-sort', this.falling ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    });
    this.arrange();
  }

  draw(rows, colours) {
    this.rows = rows;
    this.colours = colours;
    this.arrange();
  }

  // Rows that are there stay where the keyboard may be: only what changed its place is moved.
  arrange() {
    this.element.hidden = !this.rows.length;
    const shown = this.rows.filter(row => this.filters.passes(row)).sort((a, b) => this.compare(a, b));
    setText(this.filters.count, shown.length < this.rows.length ? `${shown.length} of ${this.rows.length} shown` : '');
    const wanted = shown.map(row => this.drawnRow(row)), keep = new Set(wanted);
    for (const element of [...this.body.children]) if (!keep.has(element)) element.remove();
    wanted.forEach((element, at) => {
      if (this.body.children[at] !== element) this.body.insertBefore(element, this.body.children[at] ?? null);
    });
  }

  compare(a, b) {
    if (this.column === null) return a.index - b.index;
    const {key} = COLUMNS[this.column], one = key(a), other = key(b);
    if ((one === null) !== (other === null)) return one === null ? 1 : -1;  // unknown is last either way
    const order = typeof one === 'string' ? one.localeCompare(other) : one - other;
    return (this.falling ? -order : order) || a.index - b.index;
  }

  drawnRow(row) {
    const content = JSON.stringify(row), before = this.drawn.get(row.index);
    if (before?.content === content) return before.element;
    const element = part('tr', '', null, 'row');
    this.drawn.set(row.index, {content, element});
    const title = part('td', '', element, 'cell');
    if (!row.error) this.teachRows.box(row, title);
    if (row.error) make('span', '', title, row.title);
    else button('fb-library-open', title, row.title, () => this.open(row.index)).title = `Open ${row.path}`;
    if (row.artist) make('span', 'fb-library-under', title, row.artist);
    if (row.path.includes('/')) make('span', 'fb-library-under', title, row.path);
    for (const note of row.notes) make('span', 'fb-library-under', title, note);
    if (row.error) {
      make('span', 'fb-library-error', title, row.error);
      title.colSpan = COLUMNS.length;
      return element;
    }
    const river = part('td', 'fb-library-river', element, 'cell');
    if (row.river?.labels.length) river.append(smallRiver(row.river, this.colours));
    setText(part('td', 'fb-number', element, 'cell'), row.length);
    const genres = make('div', 'fb-library-genres', part('td', '', element, 'cell'));
    row.genres.forEach((label, number) => {
      const one = make('span', 'fb-row-genre', genres);
      make('span', 'fb-swatch', one).style.background = this.colours[label];
      make('span', '', one, label);
      make('span', 'fb-quiet', one, row.presence[number]);
    });
    if (!row.genres.length) make('span', 'fb-quiet', genres, 'not sure');
    const tempo = part('td', 'fb-number', element, 'cell');
    make('span', 'fb-library-bpm', tempo, row.tempo);
    if (row.rival) make('span', 'fb-quiet', tempo, ` or ${row.rival}`);
    if (row.sure) make('span', 'fb-library-under', tempo, row.sure);
    return element;
  }
}

function part(tag, className, parent, role) {
  const element = make(tag, className, parent);
  element.setAttribute('role', role);
  return element;
}

const isMusic = path => !path.split('/').some(part => part.startsWith('.'))
  && (!suffixes.length || suffixes.some(suffix => path.toLowerCase().endsWith(suffix)));
const named = (file, path) => new File([file], path, {type: file.type});

// A drop of several files or of a folder, or of anything onto the Library tab, goes there.
export function takeMany(event) {
  if (event.target.closest?.('.fb-teach-genre')) return true;  // which takes it itself
  const transfer = event.dataTransfer;
  const entries = [...(transfer?.items ?? [])].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const onTab = event.target.closest?.('#library');
  if (!transfer?.files.length && !entries.length) return false;
  if (!onTab && transfer.files.length < 2 && !entries.some(entry => entry.isDirectory)) return false;
  event.preventDefault();
  event.stopPropagation();
  if (entries.some(entry => entry.isDirectory)) giveFolders(entries);
  else give([...transfer.files]);
  return true;
}

async function giveFolders(entries) {
  await opened();  // the tab knows which endings are music
  give((await Promise.all(entries.map(filesOf))).flat());
}

export async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a browser hands out a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const below of some) {
      const path = below.fullPath.slice(1);
      if (below.isDirectory && !below.name.startsWith('.')) found.push(...await filesOf(below));
      else if (below.isFile && isMusic(path)) found.push(...(await filesOf(below)).map(file => named(file, path)));
    }
  }
}

/** The tab is made only when it is opened, and a click before Gradio is ready is lost. */
async function opened() {
  for (;;) {
    openTab('library');
    if (giveLibrary && suffixes.length) return;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

async function give(files) {
  if (!files.length) return;
  await opened();
  const sent = await sendShown(files, files.length === 1 ? `Sending ${files[0].name}` : `Sending ${files.length} files`);
  if (!sent.length) return;
  putGiven('library', sent);
  giveLibrary();
}

export {give as giveMany, MUSIC};
