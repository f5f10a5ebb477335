// Files on their way to the server, where Gradio keeps them, and what is handed to events once they are there.

import {mostBytes, sentFile, uploadAddress} from './gradio_page.js';

const AT_ONCE = 100; // files in one request
const STATUS_TOO_LARGE = 413;
const UNREACHABLE = 'The server cannot be reached: the file was not sent.';

const given = {};

/** For the `js` of an event (given_files.py): what was sent first for a purpose and not yet handed on, and its names. */
function takeGiven(purpose) {
  const {files, more} = given[purpose]?.shift() ?? {files: [], more: {}};
  return [files, JSON.stringify({...more, names: files.map(file => file.orig_name)})];
}

/** Hand files that are with the server to the next event of this purpose; `more` is what else it is told. */
export function putGiven(purpose, files, more = {}) { (given[purpose] ??= []).push({files, more}); }

export function offerGiven() { window.FluxBeat.takeGiven = takeGiven; }

const megabytes = bytes => `${(bytes / 1e6).toLocaleString('en', {maximumFractionDigits: 1})} MB`;

/** What is told of files that are larger than the server takes; empty where there are none. */
export function tooLarge(files) {
  const found = files.filter(file => file.size > mostBytes());
  if (!found.length) return '';
  const others = found.length > 1 ? ` So ${found.length === 2 ? 'is one other' : `are ${found.length - 1} others`}.` : '';
  return `“${found[0].name}” is too large: it has ${megabytes(found[0].size)}, and this server takes ${megabytes(mostBytes())}.${others}`;
}

export const fits = file => file.size <= mostBytes();

/** Resolves to the files as Gradio's components know them; tells `onShare` from 0 to 1 how much is there. */
export async function send(files, onShare, signal) {
  const all = files.reduce((sum, file) => sum + file.size, 0) || 1, there = [];
  let before = 0;
  for (let at = 0; at < files.length; at += AT_ONCE) {
    const some = files.slice(at, at + AT_ONCE);
    const paths = await post(some, loaded => onShare(Math.min(1, (before + loaded) / all)), signal);
    there.push(...some.map((file, number) => sentFile(paths[number], file)));
    before += some.reduce((sum, file) => sum + file.size, 0);
  }
  return there;
}

function post(files, onLoaded, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData(), request = new XMLHttpRequest();  // fetch does not tell how much was sent
    for (const file of files) form.append('files', file, file.name);
    request.open('POST', uploadAddress());
    request.responseType = 'json';
    request.upload.addEventListener('progress', event => onLoaded(event.loaded));
    request.addEventListener('load', () => {
      if (request.status === 200) resolve(request.response);
      else if (request.status === STATUS_TOO_LARGE) reject(new Error(`“${files[0].name}” is too large for this server.`));
      else reject(new Error(request.response?.detail ?? `The server did not take the file (${request.status}).`));
    });
    request.addEventListener('error', () => reject(new Error(UNREACHABLE)));
    request.addEventListener('abort', () => reject(signal.reason));
    if (signal.aborted) { reject(signal.reason); return; }
    signal.addEventListener('abort', () => request.abort(), {once: true});
    request.send(form);
  });
}
