// The microphone: opened as music needs it, its sound handed on, and what is wrong with it in words.

import {hush} from './sound_now.js';

const WRONG = {
  NotAllowedError: 'The microphone was refused. Allow it for this page, in the browser’s address bar, and start again.',
  NotFoundError: 'No microphone was found. Connect one and start again.',
  NotReadableError: 'The microphone is in use or switched off. Close what else is using it and start again.',
};
const INSECURE = 'Browsers give the microphone only to pages from this computer or over https. Open FluxBeat that way.';
const GONE = 'The microphone is gone. Connect it again and start anew.';

let isOpen = false;
const listeners = new Set();

/** Calls `listener(isOpen)` now and whenever the microphone is opened or closed, wherever on the page. */
export function onMicrophone(listener) {
  listeners.add(listener);
  listener(isOpen);
}

function tell(open) {
  if (open) hush(); // it would hear what the page plays
  isOpen = open;
  for (const listener of listeners) listener(open);
}

/** `onSound` gets an Int16Array ten times a second, `onGone` is told in words when the microphone is taken away. */
export async function openMicrophone(onSound, onGone) {
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw new Error(INSECURE);
  // made for speech, these three would flatten music
  const audio = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const stream = await navigator.mediaDevices.getUserMedia({audio}).catch(error => {
    throw new Error(WRONG[error.name] ?? `The microphone could not be opened: ${error.message}`);
  });
  const context = new AudioContext({latencyHint: 'interactive'});
  const close = () => {
    for (const track of stream.getTracks()) { track.onended = null; track.stop(); }
    if (context.state !== 'closed') context.close();
    tell(false);
  };
  try {
    await context.audioWorklet.addModule(new URL('capture.js', import.meta.url));
    const capture = new AudioWorkletNode(context, 'fluxbeat-capture', {numberOfOutputs: 0});
    capture.port.onmessage = event => onSound(event.data);
    context.createMediaStreamSource(stream).connect(capture);
    for (const track of stream.getTracks()) track.onended = () => onGone(GONE);
    await context.resume();
    tell(true);
  } catch (error) {
    close();
    throw error;
  }
  return {rate: context.sampleRate, close};
}
