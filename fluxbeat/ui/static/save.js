// The Save menu: a list of formats that opens under its button, and what came of the last choice.

import {button, make, setText} from './dom.js';

export function save(host, trigger) {
  const opener = button('fb-button fb-save-opener', host, 'Save …', () => open(list.hidden));
  const list = make('div', 'fb-save-list', host);
  const said = make('p', 'fb-save-said', host);
  list.id = 'save-list';
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Save as');
  said.setAttribute('role', 'status');
  opener.setAttribute('aria-controls', list.id);
  let fetched = 0;

  function open(wanted) {
    list.hidden = !wanted;
    opener.setAttribute('aria-expanded', String(wanted));
    if (wanted) list.firstElementChild?.focus();
  }

  function choose(format) {
    open(false);
    opener.focus();
    host.setAttribute('aria-busy', 'true');
    said.classList.remove('fb-failed');
    setText(said, `Making it: ${format.title} …`);
    trigger('chosen', {kind: format.kind});
  }

  function option(format) {
    const one = button('fb-save-one', null, '', () => choose(format));
    one.dataset.kind = format.kind;
    make('span', 'fb-example-title', one, format.title);
    make('span', 'fb-quiet', one, format.about);
    return one;
  }

  function tell(done) {
    host.removeAttribute('aria-busy');
    said.classList.toggle('fb-failed', Boolean(done?.error));
    said.replaceChildren(done?.error ?? '');
    if (!done?.url) return;
    const link = make('a', 'fb-link', null, done.name);
    Object.assign(link, {href: done.url, download: done.name});
    said.append('Ready: ', link);
    if (done.ticket === fetched) return;
    fetched = done.ticket;
    link.click();
  }

  host.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || list.hidden) return;
    open(false);
    opener.focus();
  });
  open(false);
  return view => {
    host.hidden = !view;
    if (!view) return;
    if (!list.childElementCount) list.replaceChildren(...view.formats.map(option));
    tell(view.done);
  };
}
