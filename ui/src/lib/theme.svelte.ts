import { keep } from './storage';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'onsite.theme';

function stored(): Theme {
  const value = document.documentElement.dataset.theme;
  return value === 'light' || value === 'dark' ? value : 'system';
}

let chosen = $state<Theme>(stored());

export const theme = {
  get chosen(): Theme {
    return chosen;
  },
};

export function chooseTheme(next: Theme): void {
  chosen = next;
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  keep(KEY, next === 'system' ? null : next);
}

export function nextTheme(): Theme {
  return chosen === 'system' ? 'light' : chosen === 'light' ? 'dark' : 'system';
}
