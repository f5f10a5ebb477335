// Times, tempi and shares as wording.py writes them, to the digit: tests/web/test_wording.py holds the two together.

/** Time 0 on a time axis, as in plots.py: the second day, as Plotly reads numbers of four digits as years. */
export const START_MS = 24 * 3600 * 1000;
const TOLERANCE_S = 0.005;
const TICK_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600];

/** Time in a track as players show it: 3:05, 1:02:09. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + TOLERANCE_S));
  const two = number => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** The same for those who listen to the page: 3 minutes 5 seconds. */
export function spokenTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds + TOLERANCE_S)), minutes = Math.floor(whole / 60), rest = whole % 60;
  const count = (number, unit) => `${number} ${unit}${number === 1 ? '' : 's'}`;
  return minutes ? `${count(minutes, 'minute')} ${count(rest, 'second')}` : count(rest, 'second');
}

/** What Plotly writes under the pointer, which has an hour even where it is 0, and what a clock shows then. */
const FIRST_HOUR = Object.fromEntries(Array.from({length: 3600}, (_, at) => [`0:${clock(at).padStart(5, '0')}`, clock(at)]));

/** The labels of Plotly's time axis from one second to another, at most so many: all that differs from no labels. */
export function timeLabels(from, to, most) {
  const step = TICK_STEPS_S.find(one => (to - from) / one < most) ?? TICK_STEPS_S.at(-1), first = Math.ceil(from / step - 1e-6);
  const seconds = Array.from({length: Math.floor(to / step + 1e-6) - first + 1}, (_, count) => (first + count) * step);
  const tenth = second => (step < 1 ? `.${Math.round(second * 10) % 10}` : '');
  return {
    tickvals: seconds.map(second => START_MS + second * 1000), ticktext: seconds.map(second => clock(second) + tenth(second)),
    hoverformat: '%-H:%M:%S', labelalias: FIRST_HOUR,
  };
}

/** The second at an end of Plotly's time axis, which it tells as a number or as a date. */
export const secondOf = end => ((typeof end === 'number' ? end : Date.parse(`${end.replace(' ', 'T')}Z`)) - START_MS) / 1000;

/** A tempo as a whole number, halves up: 127.5 is 128. */
export const wholeBpm = bpm => String(Math.floor(bpm + 0.5));

export const percent = share => (share > 0 && share < 0.01 ? '< 1 %' : `${Math.floor(100 * share + 0.5)} %`);

const LEAST = [[0.75, 'clear'], [0.5, 'likely'], [0.25, 'trace'], [0, 'none']];

/** A probability on its label's own scale in a word, as presence.py has it. */
export const presence = share => LEAST.find(([least]) => Math.round(share * 1e4) / 1e4 >= least)[1];
