// Plotly is large: it is fetched beside everything else, and whoever draws waits for it.

export const plotly = new Promise((resolve, reject) => {
  const script = document.createElement('script');
  script.src = new URL('plotly.min.js', import.meta.url);
  script.onload = () => resolve(window.Plotly);
  script.onerror = () => reject(new Error('plotly.min.js could not be loaded'));
  document.head.append(script);
});

/** Lay an element over the axes of a figure; returns their distances from its edges: its margins, or what labels need beyond. */
export function coverAxes(plot, overlay) {
  const {l, r, t, b} = plot._fullLayout._size;
  Object.assign(overlay.style, {left: `${l}px`, right: `${r}px`, top: `${t}px`, bottom: `${b}px`});
  return {l, r, t, b};
}
