// Names that ride in the streams of a river: where a stream is thick enough for its name, along all of the name.

const LEAST_PX = 10, MOST_PX = 23, OF_HEIGHT = 0.42, LETTER = 0.58, ROOM = 1.35, APART = 0.36, MOST_NAMES = 3, EDGE_PX = 8;
const TAKEN_PX = [92, 30];      // by the name of the layer, at the top left

/**
 * streams: [{label, low, high, ink}], each low and high a height per point. x: the points on the time axis.
 * inner: width in pixels; scale: pixels per unit of height; rise: height of the river's axis. Returns annotations.
 */
export function ridingNames(streams, {x, inner, scale, rise}) {
  return streams.flatMap(stream => places(stream, x.length, inner, scale, rise).map(({at, middle, size}) => ({
    xref: 'x', yref: 'y', x: x[at], y: middle, text: escaped(stream.label), showarrow: false,
    font: {size, weight: 600, color: stream.ink}, name: `name ${stream.label}`,
  })));
}

/** The best places of one name: {at, middle, size}, the largest first, each far from the others. */
function places(stream, points, inner, scale, rise) {
  const found = [], pointPx = inner / (points - 1);
  for (let size = MOST_PX; size >= LEAST_PX && found.length < MOST_NAMES; size -= 2) {
    const half = Math.ceil(stream.label.length * LETTER * size / 2 / pointPx), edge = Math.ceil(EDGE_PX / pointPx) + half;
    let best = null;
    do {
      best = null;
      for (let at = edge; at < points - edge; at += 2) {
        if (found.some(one => Math.abs(one.at - at) < APART * points + half)) continue;
        const thick = (stream.high[at] - stream.low[at]) * scale;
        if (thick < Math.max(size * ROOM, size / OF_HEIGHT * 0.6) || (best && thick <= best.thick)) continue;
        const [low, high] = through(stream, at - half, at + half);
        const taken = (at - half) * pointPx < TAKEN_PX[0] && (rise - (low + high) / 2) * scale - size / 2 < TAKEN_PX[1];
        if (!taken && (high - low) * scale >= size * ROOM) best = {at, thick, middle: (low + high) / 2, size};
      }
      if (best) found.push(best);
    } while (best && found.length < MOST_NAMES);
  }
  return found;
}

/** The band that stays inside the stream from one point to another. */
function through({low, high}, first, last) {
  let bottom = -Infinity, top = Infinity;
  for (let at = first; at <= last; at++) {
    bottom = Math.max(bottom, low[at]);
    top = Math.min(top, high[at]);
  }
  return [bottom, top];
}

// Plotly reads a few tags in its texts.
const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
