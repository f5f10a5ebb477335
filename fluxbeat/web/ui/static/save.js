// The Save menu: a list of formats that opens under its button, and how the last choice fares.

import {button, make, setText} from './dom.js';

const EXPLAINED = 'explained';

export function save(host, trigger) {
  const opener = button('fb-button fb-save-opener', host, 'Save …', () => open(list.hidden));
  const list = make('div', 'fb-save-list', host);
  const bar = make('progress', '', host);
  const message = make('p', 'fb-save-message', host);
  list.id = 'save-list';
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Save as');
  bar.setAttribute('aria-label', 'Made');
  message.setAttribute('role', 'status');
  opener.setAttribute('aria-controls', list.id);
  let fetched = 0;

  function open(wanted) {
    if (wanted && host.hasAttribute('aria-busy')) return;
    list.hidden = !wanted;
    opener.setAttribute('aria-expanded', String(wanted));
    if (wanted) list.firstElementChild?.focus();
  }

  function choose({kind, title}) {
    open(false);
    opener.focus();
    tell({words: `Making it: ${title}`});
    if (kind === EXPLAINED) trigger(EXPLAINED, {});
    else trigger('chosen', {kind});
  }

  function option(choice) {
    const one = button('fb-save-one', null, '', () => choose(choice));
    one.dataset.kind = choice.kind;
    make('span', 'fb-example-title', one, choice.title);
    make('span', 'fb-quiet', one, choice.about);
    return one;
  }

  function tell(now, answer = 0) {
    const busy = Boolean(now.words);
    if (busy) host.setAttribute('aria-busy', 'true');
    else host.removeAttribute('aria-busy');
    opener.setAttribute('aria-disabled', String(busy));
    bar.hidden = now.share === undefined;
    bar.value = now.share ?? 0;
    message.classList.toggle('fb-failed', Boolean(now.error));
    setText(message, now.error ?? (busy ? `${now.words} …` : ''));
    if (!now.url) return;
    const link = make('a', 'fb-link', null, now.name);
    Object.assign(link, {href: now.url, download: now.name});
    message.replaceChildren('Ready: ', link);
    if (answer === fetched) return;
    fetched = answer;
    link.click();
  }

  host.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || list.hidden) return;
    open(false);
    opener.focus();
  });
  document.addEventListener('pointerdown', event => { if (!list.hidden && !host.contains(event.target)) open(false); });
  open(false);
  return view => {
    host.hidden = !view;
    if (!view) return;
    if (!list.childElementCount) list.replaceChildren(...view.choices.map(option));
    tell(view.now, view.answer);
  };
}
