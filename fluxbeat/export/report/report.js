
const figures = JSON.parse(document.querySelector('#figures').textContent);
const heights = {timeline: width => (width < 560 ? 300 : 380), curve: () => 210, spread: () => 210};
const overTime = new Set(['timeline', 'curve']);
const title = document.querySelector('h1').textContent.replace(/[\\/:*?"<>|]/g, '_');

async function unpackPlotly() {
  const packed = Uint8Array.from(atob(document.querySelector('#plotly').textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  const script = document.createElement('script');
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  return window.Plotly;
}

function draw(Plotly, place) {
  const width = place.clientWidth, {data, layout} = painted(figures[place.id]);
  if (!width) return;
  Object.assign(layout, {width, height: heights[place.id](width)});
  const {range} = place.layout?.xaxis ?? layout.xaxis;
  if (overTime.has(place.id)) {
    Object.assign(layout.xaxis, labels(range, width));
    layout.uirevision = 'kept';      // what was zoomed stays so when the theme changes
  }
  place.style.height = `${layout.height}px`;
  const first = !place.layout;
  Plotly.react(place, data, layout, {
    displaylogo: false, displayModeBar: true,
    modeBarButtons: [overTime.has(place.id) ? ['zoom2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d', 'toImage'] : ['toImage']],
    toImageButtonOptions: {filename: `FluxBeat ${title} ${place.id}`, scale: 2},
  });
  if (first && overTime.has(place.id)) place.on('plotly_relayout', change => zoomed(Plotly, place, change));
}

const labels = (range, width) => timeLabels(...range.map(secondOf), Math.max(3, Math.floor(width / 90)));

function zoomed(Plotly, place, change) {
  if (!Object.keys(change).some(name => name.startsWith('xaxis.range'))) return;
  const {tickvals, ticktext} = labels(place.layout.xaxis.range, place.clientWidth);
  Plotly.relayout(place, {'xaxis.tickvals': tickvals, 'xaxis.ticktext': ticktext});
}

function lamp(redraw) {
  const button = document.querySelector('#lamp'), wish = matchMedia('(prefers-color-scheme: dark)');
  const turn = dark => {
    document.body.classList.toggle('dark', dark);
    button.textContent = dark ? 'Light' : 'Dark';
    redraw();
  };
  button.hidden = false;
  button.addEventListener('click', () => turn(!document.body.classList.contains('dark')));
  wish.addEventListener('change', () => turn(wish.matches));
  turn(document.body.classList.contains('dark'));
}

try {
  const Plotly = await unpackPlotly(), places = [...document.querySelectorAll('.chart')];
  const redraw = () => places.forEach(place => draw(Plotly, place));
  lamp(redraw);
  let width = innerWidth;
  addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
} catch (error) {
  const trouble = document.querySelector('#trouble');
  trouble.textContent = `The charts cannot be drawn in this browser (${error.message}); all the rest can be read.`;
  trouble.hidden = false;
}
