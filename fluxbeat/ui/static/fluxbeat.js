// Takes over the panels that Gradio makes (see panel.py) and draws them from their JSON.

import {compare} from './compare.js';
import {hub, models} from './models.js';
import {save} from './save.js';
import {examples, masthead, notice, status} from './surroundings.js';
import {tempo} from './tempo.js';
import {timeline} from './timeline.js';

const kinds = {compare, examples, hub, masthead, models, notice, save, status, tempo, timeline};

function adopt(panel) {
  const draw = kinds[panel.kind](panel.element.querySelector('.fb-panel'), panel.trigger);
  panel.draw = () => draw(JSON.parse(panel.value() || 'null'));
  panel.draw();
}

window.FluxBeat = {adopt};
(window.fluxbeatWaiting ?? []).forEach(adopt);
