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

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const two = number => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function spokenTime(seconds) {
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60), rest = whole % 60;
  const count = (number, unit) => `${number} ${unit}${number === 1 ? '' : 's'}`;
  return minutes ? `${count(minutes, 'minute')} ${count(rest, 'second')}` : count(rest, 'second');
}

export const percent = share => (share > 0 && share < 0.01 ? '< 1 %' : `${Math.round(share * 100)} %`);
