// The Live tab: the microphone's music as it sounds, and the recording that becomes a track afterwards. While the
// microphone is open a chip says so on every tab, and stops it.

import {button, make, setText} from './dom.js';
import {chosenModel, openTab} from './gradio_page.js';
import {LiveRiver} from './live_river.js';
import {LiveSocket} from './live_socket.js';
import {openMicrophone} from './microphone.js';
import {audio} from './player.js';
import {Recording} from './recording.js';
import {hand} from './surroundings.js';
import {meter} from './timeline.js';
import {clock, percent, wholeBpm} from './wording.js';

const ROWS = 4, QUIETEST_DB = -70, SPOKEN_EVERY_MS = 4000, SOON_MS = 3000;
const INVITATION = 'Let some music play and see what it is, as it plays.';
const PRIVACY = 'What the microphone hears goes to the machine that runs FluxBeat, which listens and keeps nothing. '
  + 'When you stop, the recording becomes your track, as if you had dropped it here.';
const LEAST_S = 1;      // of a recording that becomes a track

export function live(host) {
  const top = make('div', 'fb-live-top', host);
  const start = button('fb-button fb-live-start', top, 'Start listening', () => (session ? stop() : begin()));
  const time = make('span', 'fb-live-time', top, '0:00');
  time.setAttribute('role', 'timer');
  const words = make('p', 'fb-live-words', top, INVITATION);
  words.setAttribute('aria-live', 'polite');
  const trouble = make('p', 'fb-notice fb-live-trouble', host);
  trouble.setAttribute('role', 'alert');
  const instead = make('p', 'fb-quiet fb-live-instead', host);
  instead.setAttribute('role', 'status');
  const kept = keptSection(host), chip = openChip(() => stop());
  const river = new LiveRiver(host, 'The genres of the last minute, as a river that flows from now at the right to the left');
  const columns = make('div', 'fb-columns', host), show = nowSection(columns);
  make('p', 'fb-hint', host, PRIVACY);
  let view = null, session = null;
  complain('');
  river.frame.hidden = columns.hidden = true;

  function complain(text) {
    trouble.hidden = !text;
    setText(trouble, text);
  }

  /** The model chosen on the page where this tab can have it, else the server's first one, and says so. */
  function modelName() {
    const chosen = chosenModel() ?? view.model;
    const name = Object.hasOwn(view.models, chosen) ? chosen : view.model;
    setText(instead, name === chosen ? '' : `Heard by ${view.models[name]}: ${chosen} is of this page alone, and cannot listen live.`);
    return name;
  }

  async function begin() {
    const mine = session = {recording: null, microphone: null, socket: null, answered: false};
    const current = () => session === mine;
    complain('');
    kept.hide();
    start.classList.add('fb-on');
    setText(start, 'Stop');
    setText(words, 'Asking for the microphone …');
    try {
      const early = [];
      const microphone = await openMicrophone(
        piece => (mine.recording ? sound(mine, piece) : early.push(piece)),
        text => { if (current()) stop(text); },
      );
      if (!current()) { microphone.close(); return; }
      mine.microphone = microphone;
      chip.show();
      const socket = new LiveSocket(view.socket, microphone.rate, modelName(), {
        prediction: message => { if (current()) predicted(mine, message); },
        lost: text => { if (current()) stop(text); },
      });
      Object.assign(mine, {socket, recording: new Recording(microphone.rate), began: performance.now()});
      for (const piece of early) sound(mine, piece);
      river.start();
      river.frame.hidden = columns.hidden = false;
      setText(words, 'Listening …');
    } catch (error) {
      if (current()) stop(error.message);
    }
  }

  function sound(mine, piece) {
    if (session !== mine) return;
    mine.recording.add(piece);
    mine.socket.send(piece);
    setText(time, clock(mine.recording.seconds));
    chip.tell(clock(mine.recording.seconds));
    if (!mine.answered && performance.now() - mine.began > SOON_MS) setText(words, 'Listening: the first answer takes a moment …');
  }

  function predicted(mine, message) {
    mine.answered = true;
    river.aim(message.silence ? null : message.probability);
    show(message, view.genres);
    const left = message.dropped_s + mine.socket.skippedSeconds;
    const late = left ? ` ${Math.ceil(left)} s were left out, as they came faster than they could be heard.` : '';
    setText(words, (message.silence ? 'Silence: nothing to hear.' : 'Listening.') + late);
  }

  function stop(text = '') {
    const {socket, microphone, recording} = session;
    chip.hide();
    session = null;
    socket?.close();
    microphone?.close();
    river.stop();
    show(null);
    columns.hidden = true;
    setText(instead, '');
    complain(text);
    start.classList.remove('fb-on');
    setText(start, recording ? 'Listen again' : 'Start listening');
    setText(words, recording ? 'Stopped.' : INVITATION);
    if (recording?.samples) kept.show(recording, recording.seconds >= LEAST_S && !socket?.lost);
    if (start.offsetParent) start.focus({preventScroll: true});
  }

  return next => {
    if (!next || view) return;
    view = next;
    river.setGenres(view.genres);
  };
}

function nowSection(host) {
  const card = make('section', 'fb-live-card', host);
  const figure = make('div', 'fb-bpm', card);
  const number = make('span', 'fb-bpm-number', figure);
  make('span', 'fb-bpm-unit', figure, 'BPM');
  const rival = make('span', 'fb-bpm-unit', figure);
  const beat = make('p', 'fb-quiet', card);
  const level = make('div', 'fb-meter fb-live-level', card);
  make('span', 'fb-meter-name', level, 'Level');
  const fill = make('span', 'fb-meter-fill', make('span', 'fb-meter-bar', level));
  const decibels = make('span', 'fb-meter-number', level);
  const section = make('section', 'fb-now', host);
  make('h3', '', section, 'Now sounding');
  const rows = Array.from({length: ROWS}, () => meter(make('div', 'fb-meter', section)));
  const spoken = make('p', 'fb-spoken', section);
  spoken.setAttribute('aria-live', 'polite');
  let lastSpoken = 0;

  return (message, genres = []) => {
    const tempi = [message?.bpm, message?.rival_bpm].filter(Boolean).map(wholeBpm);
    setText(number, tempi[0] ?? '–');
    setText(rival, tempi[1] ? `or ${tempi[1]}` : '');
    figure.classList.toggle('fb-unsure', !message?.bpm);
    setText(beat, message?.bpm ? 'Steady beat' : message?.silence ? 'Silence' : 'No steady beat so far');
    const share = message ? Math.max(0, 1 - message.level_db / QUIETEST_DB) : 0;
    fill.style.transform = `scaleX(${Math.min(1, share).toFixed(3)})`;
    setText(decibels, message ? `${Math.round(message.level_db)} dB`.replace('-', '−') : '');
    const top = message && !message.silence ? strongest(message.probability, genres) : [];
    rows.forEach((row, index) => row(top[index]));
    if (!message || performance.now() - lastSpoken < SPOKEN_EVERY_MS) return;
    lastSpoken = performance.now();
    setText(spoken, top.length ? `${top[0].label}, ${percent(top[0].share)}` : '');
  };
}

function strongest(probability, genres) {
  return genres
    .map(({label, colour}) => ({label, colour, share: probability[label] ?? 0}))
    .sort((one, other) => other.share - one.share)
    .slice(0, ROWS);
}

/** The sign that the microphone is open, on every tab, with a button that closes it. */
function openChip(stop) {
  const chip = make('div', 'fb-panel fb-live-chip');
  chip.setAttribute('role', 'status');
  // outside the tabs, of which all but one are hidden
  document.querySelector('#tabs').after(chip);
  make('span', 'fb-live-dot', chip);
  make('span', '', chip, 'Microphone open');
  const time = make('span', 'fb-live-chip-time', chip);
  time.setAttribute('aria-hidden', 'true');
  button('fb-button', chip, 'Stop', stop).setAttribute('aria-label', 'Stop the microphone');
  chip.hidden = true;
  return {
    show() { setText(time, '0:00'); chip.hidden = false; },
    tell(words) { setText(time, words); },
    hide() { chip.hidden = true; },
  };
}

function keptSection(host) {
  const section = make('section', 'fb-live-kept', host);
  const words = make('p', '', section);
  words.setAttribute('role', 'status');
  const buttons = make('div', 'fb-buttons', section);
  const look = button('fb-button', buttons, 'See it in the Timeline', () => openTab('timeline'));
  const analyse = button('fb-button', buttons, 'Analyse the recording', () => send());
  button('fb-button', buttons, 'Save as a file', () => save(recording.file()));
  let recording = null, watch = 0;
  section.hidden = true;

  /** Makes the recording the page's track; where that is refused it can be tried again. */
  function send() {
    const before = audio()?.currentSrc;
    analyse.hidden = true;
    setText(words, `${length()} It is on its way to become your track …`);
    hand(recording.file());
    clearInterval(watch);
    watch = setInterval(() => {
      const refused = document.querySelector('.fb-notice[role=alert]:not([hidden]):not(.fb-live-trouble)');
      const opened = audio() && audio().currentSrc !== before;
      if (!opened && !refused) return;
      clearInterval(watch);
      analyse.hidden = opened;
      look.hidden = !opened;
      setText(words, opened ? `${length()} It is your track now, and is analysed in full.` : length());
    }, 200);
  }

  function length() {
    const time = clock(recording.seconds);
    return recording.shortened ? `The last ${time} were recorded.` : `${time} were recorded.`;
  }

  return {
    hide() { clearInterval(watch); section.hidden = true; },
    show(next, atOnce) {
      recording = next;
      section.hidden = false;
      look.hidden = true;
      analyse.hidden = false;
      setText(words, length());
      if (atOnce) send();
    },
  };
}

function save(file) {
  const link = make('a');
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
