// The Teach tab: genres with songs on each, the button that makes a model of them, and how good it is.

import {button, make, setText} from './dom.js';
import {filesOf, MUSIC} from './library.js';
import {putGiven} from './sending.js';
import {sendShown} from './surroundings.js';
import {sending} from './teach_sending.js';

const LEAST_SONGS = 2, MEASURED_SONGS = 5;
const EXAMPLES = 'dub techno, my crate, wedding …';

let giveTeach = null;

export function teach(host, trigger) {
  giveTeach = () => trigger('given', {});
  make('h3', '', host, 'Teach it yours');
  make('p', 'fb-quiet', host,
    'Name genres of your own and drop a handful of songs on each, ten for instance, by several artists. A model of these '
    + 'genres then stands beside the others in every tab, with how good it is on songs that it did not learn from.');
  const list = make('div', 'fb-teach-list', host), cards = new Map();
  const form = make('form', 'fb-hub-form fb-teach-form', host);
  const label = make('label', 'fb-quiet', form, 'A genre of yours');
  const field = make('input', '', form);
  Object.assign(field, {type: 'text', id: 'teach-genre', maxLength: 100, placeholder: EXAMPLES, autocomplete: 'off'});
  label.htmlFor = field.id;
  make('button', 'fb-button', form, 'Add genre').type = 'submit';
  form.addEventListener('submit', event => {
    event.preventDefault();
    if (field.value.trim()) trigger('asked', {do: 'genre', name: field.value.trim()});
    field.value = '';
    field.focus();
  });
  const bar = make('div', 'fb-library-bar', host);
  const begin = button('fb-button fb-teach-begin', bar, 'Teach', () => { begin.disabled = true; trigger('begun', {}); });
  const stop = button('fb-button', bar, 'Stop', () => { stop.disabled = true; trigger('stopped', {}); });
  const anew = button('fb-button', bar, 'Begin anew', () => trigger('asked', {do: 'anew'}));
  const progress = make('progress', '', bar);
  progress.setAttribute('aria-label', 'Songs read');
  const words = make('span', 'fb-quiet fb-library-words', bar);
  words.setAttribute('role', 'status');
  const problem = make('p', 'fb-library-error', host);
  problem.setAttribute('role', 'alert');
  const result = make('section', 'fb-teach-result', host);
  result.setAttribute('aria-live', 'polite');
  const drawSending = sending(host, trigger);
  const picker = make('input', '', host);
  Object.assign(picker, {type: 'file', multiple: true, hidden: true, accept: MUSIC});
  let asked = '';
  picker.addEventListener('change', () => { giveSongs(asked, [...picker.files]); picker.value = ''; });

  function card(name) {
    const element = make('section', 'fb-teach-genre');
    element.setAttribute('aria-label', name);
    const head = make('div', 'fb-teach-head', element);
    make('h4', '', head, name);
    const count = make('span', 'fb-quiet', head);
    button('fb-link', head, 'Remove', () => trigger('asked', {do: 'forget', name})).setAttribute('aria-label', `Remove ${name}`);
    const add = button('fb-teach-drop', element, 'Drop songs here, or choose …', () => { asked = name; picker.click(); });
    add.setAttribute('aria-label', `Songs of ${name}: drop here, or choose`);
    const songs = make('ul', 'fb-teach-songs', element);
    element.addEventListener('dragover', event => { event.preventDefault(); element.classList.add('fb-over'); });
    element.addEventListener('dragleave', () => element.classList.remove('fb-over'));
    element.addEventListener('drop', event => {
      event.preventDefault();
      event.stopPropagation();
      element.classList.remove('fb-over');
      giveDropped(name, event.dataTransfer);
    });
    return {element, count, songs, add};
  }

  function drawCard({count, songs, add}, genre, busy) {
    setText(count, genre.songs.length === 1 ? '1 song' : `${genre.songs.length} songs`);
    add.disabled = busy;
    const inOrder = [...genre.songs].sort((a, b) => Boolean(b.problem) - Boolean(a.problem));  // what went wrong is not scrolled away
    songs.replaceChildren(...inOrder.map(song => {
      const line = make('li');
      make('span', 'fb-teach-song', line, song.name).title = song.name;
      if (song.problem) make('span', 'fb-library-error', line, song.problem);
      const remove = button('fb-teach-remove', line, '×', () => trigger('asked', {do: 'remove', index: song.index}));
      remove.setAttribute('aria-label', `Remove ${song.name}`);
      remove.disabled = busy;
      return line;
    }));
  }

  function drawResult(made) {
    result.hidden = !made;
    result.replaceChildren();
    if (!made) return;
    make('h3', '', result, `${made.name} is ready`);
    make('p', 'fb-quiet', result, `It learned from ${made.counts.map(([label, count]) => `${count} ${label}`).join(', ')}. `
      + 'It is chosen above the tabs and stands in Compare, Library and Explain, on this page alone.');
    for (const sentence of made.sentences) make('p', '', result, sentence);
    const save = make('a', 'fb-button', make('p', '', result), 'Download the checkpoint');
    Object.assign(save, {href: made.url, download: 'your-genres.zip'});
    withCommands(make('p', 'fb-hint', result), 'Unpacked, it works wherever a model does: `fluxbeat analyze FILE --model '
      + 'your-genres`; its folder in `FLUXBEAT_CHECKPOINTS` offers it to everybody on a server, live and over REST. To mend '
      + 'an answer, tick the song in the Library and name its genre: the model learns from that. With many more songs '
      + '`fluxbeat train --data FOLDER --full` teaches the whole network.');
  }

  return view => {
    const genres = view?.genres ?? [], busy = Boolean(view?.busy);
    window.FluxBeat.ownGenres = genres.map(genre => genre.name);
    for (const [name, one] of cards) if (!genres.some(genre => genre.name === name)) { one.element.remove(); cards.delete(name); }
    for (const genre of genres) {
      if (!cards.has(genre.name)) {
        cards.set(genre.name, card(genre.name));
        list.append(cards.get(genre.name).element);
      }
      drawCard(cards.get(genre.name), genre, busy);
    }
    const lacking = genres.filter(genre => genre.songs.length < LEAST_SONGS);
    begin.disabled = busy || genres.length < 2 || lacking.length > 0;
    stop.hidden = progress.hidden = !busy;
    stop.disabled = false;
    anew.hidden = busy || !genres.length;
    progress.max = view?.busy?.total || 1;
    if (view?.busy?.total === undefined) progress.removeAttribute('value');
    else progress.value = view.busy.done;
    setText(words, busy ? progressWords(view.busy) : missing(genres, lacking));
    problem.hidden = !view?.error;
    setText(problem, view?.error ?? '');
    drawResult(view?.result);
    drawSending(view?.result ? view.hub : null);
  };
}

/** Text in which what stands between backticks is a command. */
function withCommands(parent, text) {
  text.split('`').forEach((part, at) => make(at % 2 ? 'code' : 'span', '', parent, part));
}

const progressWords = ({words, done, total}) => (total ? `${words}: ${done} of ${total}` : `${words} …`);

function missing(genres, lacking) {
  if (genres.length < 2) return 'Two genres at least.';
  if (lacking.length) return `Two songs at least of each genre: ${lacking.map(genre => genre.name).join(', ')}.`;
  const few = genres.some(genre => genre.songs.length < MEASURED_SONGS);
  return few ? 'From five songs of each genre on, by three artists, it can be measured how good the model is.' : '';
}

async function giveDropped(genre, transfer) {
  const files = [...transfer.files];  // gone once anything is awaited
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const folders = entries.some(entry => entry.isDirectory);
  giveSongs(genre, folders ? (await Promise.all(entries.map(filesOf))).flat() : files);
}

let before = Promise.resolve(); // one lot after the other, so that they stand in the order in which they were given

function giveSongs(genre, files) {
  if (!files.length) return;
  before = before.then(async () => {
    const sent = await sendShown(files, `Sending ${files.length === 1 ? 'a song' : `${files.length} songs`} of ${genre}`);
    if (!sent.length) return;
    putGiven('teach', sent, {genre});
    giveTeach();
  });
}
