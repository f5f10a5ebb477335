// Times, tempi and shares as wording.py writes them, to the digit: tests/web/test_wording.py holds the two together.

const TOLERANCE_S = 0.005;

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

/** A tempo as a whole number, halves up: 127.5 is 128. */
export const wholeBpm = bpm => String(Math.floor(bpm + 0.5));

export const percent = share => (share > 0 && share < 0.01 ? '< 1 %' : `${Math.floor(100 * share + 0.5)} %`);

const LEAST = [[0.75, 'clear'], [0.5, 'likely'], [0.25, 'trace'], [0, 'none']];

/** A probability on its label's own scale in a word, as presence.py has it. */
export const presence = share => LEAST.find(([least]) => Math.round(share * 1e4) / 1e4 >= least)[1];
