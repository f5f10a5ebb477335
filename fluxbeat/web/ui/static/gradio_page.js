// What leans on the insides of Gradio's page, all of it, with gradio_page.css; gradio_internals.py is the same in Python.
// Gradio is held to one minor version, and tests/web/test_gradio_internals.py has a test for each.

const choices = () => [...document.querySelectorAll('#model input[type=radio]')];

/** The model that is chosen. */
export const chosenModel = () => choices().find(one => one.checked)?.value;

export function chooseModel(name) { choices().find(one => one.value === name)?.click(); }

/** Calls `listener([{name, title, chosen}])` now and whenever the models on offer or the choice change. */
export function onModels(listener) {
  const tell = () => listener(choices().map(one => ({name: one.value, title: one.closest('label').textContent.trim(), chosen: one.checked})));
  const root = document.querySelector('#model');
  if (!root) { setTimeout(() => onModels(listener), 50); return; }
  new MutationObserver(tell).observe(root, {subtree: true, childList: true, attributes: true, characterData: true});
  root.addEventListener('change', tell);
  tell();
}

const tabs = () => [...document.querySelectorAll('#tabs [role=tablist] [role=tab]')];

/** Id of the tab that is open. */
export const openedTab = () => tabs().find(tab => tab.getAttribute('aria-selected') === 'true')?.dataset.tabId;

/** Arrow keys, Home and End move among the tabs. */
export function moveAmongTabs() {
  document.addEventListener('keydown', event => {
    const all = tabs(), at = all.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = all[(to + all.length) % all.length];
    tab.focus();
    tab.click();
    tab.scrollIntoView({block: 'nearest', inline: 'nearest'});
  });
}

/** Open a tab by its id; false if it is not there yet. */
export function openTab(id) {
  const tab = document.querySelector(`#tabs [role=tab][data-tab-id="${id}"]`);
  if (tab?.getAttribute('aria-selected') === 'false') tab.click();
  return Boolean(tab);
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

/** The largest file that the server takes. */
export const mostBytes = () => window.gradio_config?.max_file_size ?? Infinity;

/** Where files are sent to, as `files` of a form; the answer is a list of their paths there. */
export const uploadAddress = () => new URL('gradio_api/upload', document.baseURI);

/** A file that was sent, as Gradio's components know it. */
export const sentFile = (path, {name, size, type}) => ({path, orig_name: name, size, mime_type: type, meta: {_type: 'gradio.FileData'}});
