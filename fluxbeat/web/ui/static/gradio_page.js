// What leans on the insides of Gradio's page, all of it, with gradio_page.css; gradio_internals.py is the same in Python.
// Gradio is held to one minor version, and tests/web/test_gradio_internals.py has a test for each.

/** The audio element of the player. */
export const audio = () => document.querySelector('#player audio');

/** Where a file for the player is put; there only while it is empty. */
export const playerInput = element => element?.closest?.('#player')?.querySelector('input[type=file]');

export const isInPlayer = element => Boolean(element?.closest?.('#player'));

/** The hidden input before the button that takes files of any kind. */
export function anyFileInput() {
  let input = document.querySelector('#any-file');
  while (input && !input.matches('input[type=file]')) input = input.previousElementSibling;
  return input;
}

/** Where the files of a library are put; there once its tab was opened, and not while files are on their way. */
export const libraryInput = () => document.querySelector('#library-files input[type=file]');

/** Where songs to learn from are put, likewise. */
export const teachInput = () => document.querySelector('#teach-files input[type=file]');

/** The model that is chosen above the tabs; undefined before there is a track. */
export const chosenModel = () => document.querySelector('#model input:checked')?.value;

/** Open a tab by its id; false if it is not there yet. */
export function openTab(id) {
  const tab = document.querySelector(`#tabs [role=tab][data-tab-id="${id}"]`);
  if (tab?.getAttribute('aria-selected') === 'false') tab.click();
  return Boolean(tab);
}

/** Hand a file input its files as if a person had chosen them. */
export function give(input, files) {
  const all = new DataTransfer();
  for (const file of files) all.items.add(file);
  input.files = all.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
}

// Gradio's answers come on one stream, which the server closes when nothing is asked for any more. A question that is
// put at that moment may hear that it was taken before the page hears that the stream is closed: Gradio then opens no new
// one, and the answer is never read. So what was sent before gets a moment to arrive first.
const HEAD_START_MS = 60;

export function guardStream() {
  const send = window.fetch.bind(window);
  window.fetch = async (...request) => {
    const answer = await send(...request);
    const url = String(request[0]?.url ?? request[0]);
    if (url.includes('/queue/join')) await new Promise(done => setTimeout(done, HEAD_START_MS));
    return answer;
  };
}
