// Which genres are shown, in every river of the page, and the ground that keeps a river centred.

import {redrawAll} from './chart.js';

const hidden = new Set();
const listeners = new Set();

export const isHidden = label => hidden.has(label);
export const anyHidden = () => hidden.size > 0;
export const onToggle = listener => listeners.add(listener);

function changed() {
  redrawAll();
  for (const listener of listeners) listener();
}

export function toggle(label) {
  if (!hidden.delete(label)) hidden.add(label);
  changed();
}

export function showAll() {
  hidden.clear();
  changed();
}

/** For TimeChart: leaves out hidden areas, and raises the ground by half of what they took. */
export function withoutHidden(data) {
  const ground = data.find(trace => trace.meta?.role === 'ground');
  if (!ground || !hidden.size) return data;
  const areas = data.filter(trace => trace.meta?.role === 'area');
  for (const area of areas) area.visible = !hidden.has(area.meta.label);
  const shown = areas.filter(area => area.visible);
  ground.y = ground.y.map((_, at) => Math.max(0, ground.meta.rise - shown.reduce((sum, area) => sum + area.y[at], 0)) / 2);
  return data;
}
