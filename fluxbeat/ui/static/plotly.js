// Plotly is large: it is fetched beside everything else, and whoever draws waits for it.

export const plotly = new Promise((resolve, reject) => {
  const script = document.createElement('script');
  script.src = new URL('plotly.min.js', import.meta.url);
  script.onload = () => resolve(window.Plotly);
  script.onerror = () => reject(new Error('plotly.min.js could not be loaded'));
  document.head.append(script);
});
