// The river of a track in a row of a table: stacked areas about a middle line, as `fluxbeat/library/small_river.py` has it.

const SVG = 'http://www.w3.org/2000/svg', WIDTH = 120, HEIGHT = 28, STEPS = 35;

function svg(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

/** labels, and shares as one base-36 digit per part; `colours` by label. */
export function smallRiver({labels, shares}, colours) {
  const values = shares.map(digits => [...digits].map(digit => parseInt(digit, 36) / STEPS));
  const sums = values[0].map((_, at) => values.reduce((sum, one) => sum + one[at], 0));
  const scale = HEIGHT / Math.max(1, ...sums), x = at => (at / (sums.length - 1) * WIDTH).toFixed(1);
  const drawing = svg('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: 'fb-small-river', role: 'img',
    'aria-label': `River of ${labels.join(', ')}`,
  });
  let edge = sums.map(sum => (HEIGHT - sum * scale) / 2);
  labels.forEach((label, number) => {
    const next = edge.map((y, at) => y + values[number][at] * scale);
    const there = edge.map((y, at) => `${x(at)} ${y.toFixed(1)}`), back = next.map((y, at) => `${x(at)} ${y.toFixed(1)}`);
    const area = svg('path', {d: `M${there.join('L')}L${back.reverse().join('L')}Z`, fill: colours[label] ?? 'currentColor'}, drawing);
    svg('title', {}, area).textContent = label;
    edge = next;
  });
  return drawing;
}
