// From one value per window to curves: the wider the part of a track that is seen, the smoother. Everything that tells
// what sounds at a moment reads these curves, so that river, waveform, pointer and player never contradict each other.

import {presence} from './wording.js';

const EASING_HOPS = 1.1;      // windows share most of their music: what differs within this reach is no news
const SMOOTHED = 1 / 170;     // of the part that is seen
const REACHES = 3;            // further away a window counts nothing
const SEEN_FROM = 0.1, FULL_FROM = 0.25;

let span = 0;

/** How much of the track is seen, in seconds; all of it reads smoother than a few bars. */
export function setSpan(seconds) { span = seconds; }

const reachOf = moments => Math.max(EASING_HOPS * (moments.hop_s || 1), span * SMOOTHED);

/** Probability of every label at a moment, in the order of `moments.labels`: the windows around it, the near ones most. */
export function valuesAt(moments, at) {
  const {centre_s: centres, probability} = moments, reach = reachOf(moments);
  const near = Math.min(Math.max(at, centres[0]), centres.at(-1));
  let first = lowerBound(centres, near - REACHES * reach), total = 0;
  const sums = new Array(moments.labels.length).fill(0);
  for (; first < centres.length && centres[first] <= near + REACHES * reach; first++) {
    const weight = Math.exp(-0.5 * ((centres[first] - near) / reach) ** 2), row = probability[first];
    total += weight;
    for (let label = 0; label < sums.length; label++) sums[label] += weight * row[label];
  }
  if (total > 0) return sums.map(sum => sum / total);
  return [...probability[Math.min(lowerBound(centres, near), centres.length - 1)]];
}

/** How high a genre is drawn: what is present, as it is; what is not even a trace, thinner and then not at all. */
export function drawnHeight(share) {
  if (share >= FULL_FROM) return share;
  const part = Math.max(0, (share - SEEN_FROM) / (FULL_FROM - SEEN_FROM));
  return share * part * part * (3 - 2 * part);
}

/** Place of the genre that leads among those that are shown, -1 where none is even a trace. */
export function leading(values, shown) {
  let best = -1;
  for (let label = 0; label < values.length; label++)
    if (shown[label] && (best < 0 || values[label] > values[best])) best = label;
  return best >= 0 && presence(values[best]) !== 'none' ? best : -1;
}

/** First place in rising numbers whose number is not below `value`. */
export function lowerBound(numbers, value) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}
