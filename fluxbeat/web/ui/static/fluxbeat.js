// Takes over the panels that Gradio makes (see panel.py) and draws them from their JSON.

import {compare} from './compare.js';
import {make} from './dom.js';
import {explain, sound, whole} from './explain.js';
import {guardStream, moveAmongTabs} from './gradio_page.js';
import {examples, masthead} from './header.js';
import {library} from './library.js';
import {live} from './live.js';
import {hub, models} from './models.js';
import {player} from './player_bar.js';
import {save} from './save.js';
import {offerGiven} from './sending.js';
import {notice, status} from './surroundings.js';
import {teach} from './teach.js';
import {tempo} from './tempo.js';
import {beat} from './tempo_now.js';
import {layers, timeline} from './timeline.js';

const kinds = {
  beat, compare, examples, explain, hub, layers, library, live, masthead, models, notice, player, save, sound, status, teach, tempo, timeline, whole,
};

// Shown on a tab while there is no track.
const invitations = {
  timeline: 'Drop in a song, or choose an example, and see its genres flow here.',
  tempo: 'Drop in a song, or choose an example, and see its tempo here.',
  compare: 'Drop in a song, or choose an example, and see here how each model hears it.',
  explain: 'Drop in a song, or choose an example, and see here what in the sound speaks for its genres.',
};

function adopt(panel) {
  const host = panel.element.querySelector('.fb-panel');
  const invitation = make('p', 'fb-panel fb-empty', null, invitations[panel.kind]);
  if (panel.kind in invitations) host.after(invitation);
  const draw = kinds[panel.kind](host, panel.trigger);
  let newest = 0;
  panel.draw = () => {
    const view = JSON.parse(panel.value() || 'null');
    // when an event ends Gradio sends its last answer once more, by then maybe after a later event's
    if (view?.answer < newest) return;
    newest = view?.answer ?? newest;
    invitation.hidden = Boolean(view);
    draw(view);
  };
  panel.draw();
}

guardStream();
moveAmongTabs();
window.FluxBeat = {adopt};
offerGiven();
(window.fluxbeatWaiting ?? []).forEach(adopt);
