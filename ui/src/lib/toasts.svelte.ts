// Short notices that something happened, with at most one thing to do about it.

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 6_000;
const MOST = 3;
let list = $state<Toast[]>([]);
let next = 1;

export const toasts = {
  get list(): Toast[] {
    return list;
  },
};

export function toast(text: string, options: Partial<Omit<Toast, 'id' | 'text'>> = {}): void {
  const id = next++;
  list = [...list.slice(1 - MOST), { id, text, tone: options.tone ?? 'plain', action: options.action }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id: number): void {
  list = list.filter((entry) => entry.id !== id);
}
