// Takes over the panels that Gradio makes (see panel.py) and draws them from their JSON.

import {compare} from './compare.js';
import {make} from './dom.js';
import {live} from './live.js';
import {examples, masthead, notice, status} from './surroundings.js';
import {tempo} from './tempo.js';
import {timeline} from './timeline.js';

const kinds = {compare, examples, live, masthead, notice, status, tempo, timeline};

const OF_A_TRACK = new Set(['compare', 'tempo', 'timeline']);
const INVITATION = 'Nothing here yet. Drop in a track, begin with an example, or listen to what plays around you in the Live tab.';

function adopt(panel) {
  const draw = kinds[panel.kind](panel.element.querySelector('.fb-panel'), panel.trigger);
  const invitation = OF_A_TRACK.has(panel.kind) ? make('p', 'fb-quiet fb-invitation', panel.element, INVITATION) : null;
  panel.draw = () => {
    const view = JSON.parse(panel.value() || 'null');
    if (invitation) invitation.hidden = Boolean(view);
    draw(view);
  };
  panel.draw();
}

window.FluxBeat = {adopt};
(window.fluxbeatWaiting ?? []).forEach(adopt);
