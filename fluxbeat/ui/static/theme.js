// Colours of the theme in force, and the painting of figures with them. Python leaves `meta.role` on each trace.

const changed = new Set();
const CHOSEN = 'fluxbeat-theme';

export const isDark = () => document.body.classList.contains('dark');
export const onThemeChange = listener => changed.add(listener);

export function toggleTheme() {
  const dark = !isDark();
  document.body.classList.toggle('dark', dark);
  try { localStorage.setItem(CHOSEN, dark ? 'dark' : 'light'); } catch { /* private windows keep nothing */ }
}

export function restoreTheme() {
  let chosen = null;
  try { chosen = localStorage.getItem(CHOSEN); } catch { /* as above */ }
  if (chosen && !new URLSearchParams(location.search).has('__theme'))
    document.body.classList.toggle('dark', chosen === 'dark');
}

let wasDark = isDark();
new MutationObserver(() => {
  if (isDark() === wasDark) return;
  wasDark = isDark();
  for (const listener of changed) listener();
}).observe(document.body, {attributes: true, attributeFilter: ['class']});

const variable = name => getComputedStyle(document.body).getPropertyValue(name).trim();

const painters = {
  area: (trace, ink) => { trace.line.color = ink.paper; },
  waveform: (trace, ink) => { trace.fillcolor = ink.wave; },
  tempo: (trace, ink) => { trace.line.color = ink.accent; trace.marker = {color: ink.accent, size: 7}; },
  spread: (trace, ink) => { trace.line.color = ink.accent; trace.fillcolor = ink.accentSoft; },
  difference: (trace, ink) => { trace.line.color = ink.warm; trace.fillcolor = ink.warmSoft; },
};

export function painted(figure) {
  const {data, layout} = structuredClone(figure);
  const ink = {
    paper: variable('--fb-paper'), text: variable('--fb-text'), quiet: variable('--fb-quiet'),
    grid: variable('--fb-grid'), wave: variable('--fb-wave'), accent: variable('--fb-accent'),
    accentSoft: variable('--fb-accent-soft'), warm: variable('--fb-warm'), warmSoft: variable('--fb-warm-soft'),
  };
  for (const trace of data) painters[trace.meta?.role]?.(trace, ink);
  layout.paper_bgcolor = layout.plot_bgcolor = ink.paper;
  layout.font = {family: getComputedStyle(document.body).fontFamily, size: 12, color: ink.text};
  layout.hoverlabel = {bgcolor: variable('--fb-raised'), bordercolor: ink.grid, font: {color: ink.text, size: 12}};
  layout.modebar = {bgcolor: 'rgba(0,0,0,0)', color: ink.quiet, activecolor: ink.accent};
  for (const [name, axis] of Object.entries(layout)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    Object.assign(axis, {gridcolor: ink.grid, linecolor: ink.grid, tickcolor: ink.grid, tickfont: {color: ink.quiet, size: 11}});
  }
  return {data, layout, ink};
}
