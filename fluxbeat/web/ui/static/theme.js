// Which theme is in force, and who wants to know when that changes.

export {painted} from './painted.js';

const changed = new Set();
const CHOSEN = 'fluxbeat-theme';

export const isDark = () => document.body.classList.contains('dark');
export const onThemeChange = listener => changed.add(listener);

export function toggleTheme() {
  const dark = !isDark();
  document.body.classList.toggle('dark', dark);
  try { localStorage.setItem(CHOSEN, dark ? 'dark' : 'light'); } catch { /* private windows keep nothing */ }
}

export function restoreTheme() {
  let chosen = null;
  try { chosen = localStorage.getItem(CHOSEN); } catch { /* as above */ }
  if (chosen && !new URLSearchParams(location.search).has('__theme'))
    document.body.classList.toggle('dark', chosen === 'dark');
}

let wasDark = isDark();
new MutationObserver(() => {
  if (isDark() === wasDark) return;
  wasDark = isDark();
  for (const listener of changed) listener();
}).observe(document.body, {attributes: true, attributeFilter: ['class']});
