// Takes over the panels that Gradio makes (see panel.py) and draws them from their JSON.

import {compare} from './compare.js';
import {explain, sound, whole} from './explain.js';
import {save} from './save.js';
import {examples, masthead, notice, status} from './surroundings.js';
import {tempo} from './tempo.js';
import {timeline} from './timeline.js';

const kinds = {compare, examples, explain, masthead, notice, save, sound, status, tempo, timeline, whole};

function adopt(panel) {
  const draw = kinds[panel.kind](panel.element.querySelector('.fb-panel'), panel.trigger);
  panel.draw = () => draw(JSON.parse(panel.value() || 'null'));
  panel.draw();
}

window.FluxBeat = {adopt};
(window.fluxbeatWaiting ?? []).forEach(adopt);
