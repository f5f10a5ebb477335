// The tempo of the track that is shown, as a listener has it: chosen at once here, and kept by the server.

const SAME = 0.001;

let view = null, ask = () => {}, bpm = null;
let underway = null; // the last choice, until its answer comes
const listeners = new Set();

/** What the panel of the tempo is given; see `beat_view` in player.py. */
export function beat(host, trigger) {
  host.hidden = true;
  ask = trigger;
  return next => {
    view = next;
    if (!isUnderway()) underway = null;
    bpm = underway ? underway.bpm ?? view.found : view?.bpm ?? null;
    tell();
  };
}

/**
 * Calls `listener({bpm, own, found, range, stable, beats_s, downbeats_s})` now and whenever the tempo changes; null: no
 * track. `bpm` is null where there is no beat, `own` whether a person chose it.
 */
export function onTempo(listener) {
  listeners.add(listener);
  listener(now());
}

/** A person says what the tempo is; null: as it was found. Whatever is out of range changes nothing. */
export function chooseTempo(wanted) {
  if (!view) return;
  const [least, most] = view.range;
  if (wanted !== null && !(wanted >= least && wanted <= most)) return;
  const own = wanted !== null && (view.found === null || !same(wanted, view.found));
  bpm = own ? wanted : view.found;
  underway = {key: view.key, bpm: own ? wanted : null};
  window.FluxBeat.chosenBpm = underway.bpm; // read when it is sent, see player.py
  ask('corrected', {});
  tell();
}

// An answer to an earlier choice must not undo a later one, which the next click may build on.
function isUnderway() {
  if (!view || underway?.key !== view.key) return false;
  if (underway.bpm === null) return view.corrected;
  return !view.corrected || !same(view.bpm, underway.bpm);
}

function now() {
  if (!view) return null;
  const own = underway ? underway.bpm !== null : view.corrected;
  const known = bpm !== null && view.bpm !== null && same(bpm, view.bpm);
  return {
    bpm, own, found: view.found, range: view.range, stable: view.stable,
    beats_s: known ? view.beats_s : [], downbeats_s: known ? view.downbeats_s : [],
  };
}

function tell() { for (const listener of listeners) listener(now()); }

const same = (one, other) => Math.abs(one / other - 1) < SAME;
