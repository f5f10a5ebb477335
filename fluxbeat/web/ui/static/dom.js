// Elements made without HTML: text is only ever set as text.

export function make(tag, className = '', parent = null, text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  parent?.append(element);
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function button(className, parent, text, onClick) {
  const element = make('button', className, parent, text);
  element.type = 'button';
  element.addEventListener('click', onClick);
  return element;
}
