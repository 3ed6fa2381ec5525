// Short notices that something happened, with at most one thing to do about it.

import { asApiError } from '../api';

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  action?: { label: string; run: () => void };
  /** The request that was refused, for whoever looks into it. */
  requestId?: string;
}

const SHOWN_MS = 6_000;
// long enough to copy the request's id
const SHOWN_ERROR_MS = 20_000;
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
  list = [...list.slice(1 - MOST), { id, text, tone: options.tone ?? 'plain', action: options.action, requestId: options.requestId }];
  setTimeout(() => dismiss(id), options.requestId ? SHOWN_ERROR_MS : SHOWN_MS);
}

/** Says what was refused, why, what to do next, and by which request. */
export function toastError(cause: unknown): void {
  const error = asApiError(cause);
  toast([error.message, error.remedy].filter(Boolean).join(' '), { tone: 'bad', requestId: error.requestId });
}

export function dismiss(id: number): void {
  list = list.filter((entry) => entry.id !== id);
}
