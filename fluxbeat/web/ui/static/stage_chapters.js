// The chapters of a track: what begins when, each a button that goes there; the one that plays is marked.

import {button, make, setText} from './dom.js';
import {follow, seek} from './player.js';
import {isHidden, onToggle} from './river.js';
import {chapterAt} from './track_now.js';
import {spokenTime, wholeBpm} from './wording.js';

const SPOKEN_EVERY_MS = 4000;

export function chapterRow(host) {
  const list = make('ol', 'fb-chapters', host);
  list.setAttribute('aria-label', 'Chapters');
  const spoken = make('p', 'fb-spoken fb-stage-spoken', host);
  spoken.setAttribute('aria-live', 'polite');
  const speak = everySoOften(words => setText(spoken, words));
  let view = null, current = null, shownAt = -1;

  function draw() {
    current = null;
    shownAt = -1;
    list.replaceChildren(...(view?.chapters ?? []).map(chapter => make('li')));
    view?.chapters.forEach((chapter, place) => fillChapter(list.children[place], chapter, view));
  }

  follow(at => {
    if (!view || Math.abs(at - shownAt) < 0.1 || !list.offsetParent) return;
    shownAt = at;
    const chapter = chapterAt(view, at);
    if (chapter === current) return;
    current = chapter;
    view.chapters.forEach((one, place) => {
      const chip = list.children[place].firstChild;
      if (one === current) chip?.setAttribute('aria-current', 'true'); else chip?.removeAttribute('aria-current');
      if (one === current && chip) bringIntoView(list, chip);
    });
    const {sure} = view.moments, segment = sure.find(one => at < one.until_s) ?? sure.at(-1);
    speak(segment?.words ?? '');
  });
  onToggle(draw);
  return next => { view = next; draw(); };
}

function fillChapter(item, chapter, view) {
  const labels = chapter.labels.filter(label => !isHidden(label));
  item.hidden = chapter.labels.length > 0 && !labels.length;
  const chip = button('fb-chapter', item, '', () => seek(chapter.start_s, view.duration_s));
  const colour = view.genres.find(genre => genre.label === labels[0])?.colour;
  const swatch = make('i', 'fb-swatch', chip);
  if (colour) swatch.style.background = colour;
  const name = labels[0] ?? chapter.words, beat = chapter.bpm === null ? '' : ` · ${wholeBpm(chapter.bpm)} BPM`;
  make('span', '', chip, `${chapter.clock} ${name}${beat}`);
  chip.title = labels.length > 1 ? `${labels.join(', ')}` : '';
  chip.setAttribute('aria-label', `${labels.join(' and ') || chapter.words} from ${spokenTime(chapter.start_s)}${beat.replace(' · ', ', ')}`);
}

// The page itself stays where it is.
function bringIntoView(list, chip) {
  const box = list.getBoundingClientRect(), one = chip.getBoundingClientRect();
  if (one.left < box.left || one.right > box.right) list.scrollLeft += one.left - box.left - 24;
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
