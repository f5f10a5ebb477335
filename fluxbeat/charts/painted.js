// The painting of figures with the colours of the theme in force. Python leaves `meta.role` on each trace.

const variable = name => getComputedStyle(document.body).getPropertyValue(name).trim();

const painters = {
  area: (trace, ink) => { trace.line.color = ink.paper; },
  waveform: (trace, ink) => { trace.fillcolor = ink.wave; },
  loudness: (trace, ink) => { trace.line.color ??= ink.wave; },
  beats: (trace, ink) => { trace.line.color = ink.quiet; trace.opacity = 0.6; },
  downbeats: (trace, ink) => { trace.line.color = ink.text; },
  tempo: (trace, ink) => { trace.line.color = ink.accent; trace.marker = {color: ink.accent, size: 7}; },
  spread: (trace, ink) => { trace.line.color = ink.accent; trace.fillcolor = ink.accentSoft; },
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
