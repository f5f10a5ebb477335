// Below a taught model: sending it to the Hub, by whoever sits at the server, or else the command that does it.

import {button, make, setText} from './dom.js';

const COPIED_MS = 2000;

export function sending(host, trigger) {
  const section = make('section', 'fb-teach-sending', host);
  make('h3', '', section, 'Send it to the Hugging Face Hub');
  const form = make('form', 'fb-hub-form', section);
  const label = make('label', 'fb-quiet', form, 'Repository, made where there is none. It is sent under the login of this machine (hf auth login)');
  const field = make('input', '', form);
  Object.assign(field, {type: 'text', id: 'teach-repository', placeholder: 'owner/repo', autocomplete: 'off', spellcheck: false, maxLength: 200});
  field.setAttribute('autocapitalize', 'off');
  label.htmlFor = field.id;
  const send = make('button', 'fb-button', form, 'Send');
  send.type = 'submit';
  const keep = make('label', 'fb-teach-private', form);
  const hidden = make('input', '', keep);
  Object.assign(hidden, {type: 'checkbox', checked: true});
  make('span', '', keep, 'Private: a new repository is seen by its owner alone');
  const message = make('p', 'fb-hub-message', section);
  message.setAttribute('role', 'status');
  const by = make('p', 'fb-quiet', section, 'By command, from where you unpacked the checkpoint:');
  const line = make('div', 'fb-teach-command', section), command = make('code', '', line);
  const copy = button('fb-button', line, 'Copy', async () => {
    const selection = window.getSelection();
    selection.selectAllChildren(command);  // by hand, where the browser lets no page write to the clipboard
    try { await navigator.clipboard.writeText(command.textContent); } catch { return; }
    selection.removeAllRanges();
    setText(copy, 'Copied');
    setTimeout(() => setText(copy, 'Copy'), COPIED_MS);
  });

  const tellCommand = () => setText(command, `fluxbeat push your-genres ${field.value.trim() || 'owner/repo'}${hidden.checked ? ' --private' : ''}`);
  field.addEventListener('input', tellCommand);
  hidden.addEventListener('change', tellCommand);
  form.addEventListener('submit', event => {
    event.preventDefault();
    if (send.disabled || !field.value.trim()) return;
    send.disabled = true;
    trigger('sent', {repository: field.value.trim(), private: hidden.checked});
  });
  tellCommand();

  return hub => {
    section.hidden = !hub;
    if (!hub) return;
    form.hidden = !hub.allowed;
    by.hidden = hub.allowed && !hub.error;
    line.hidden = by.hidden;
    send.disabled = Boolean(hub.words);
    message.hidden = !(hub.error || hub.done || hub.words);
    message.classList.toggle('fb-failed', Boolean(hub.error));
    message.classList.toggle('fb-done', Boolean(hub.done));
    setText(message, hub.error || (hub.done ? `Sent: ${hub.done}` : `${hub.words ?? ''} …`));
  };
}
