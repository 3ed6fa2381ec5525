// Something read from the server: its value, whether it is being read, and what went wrong.

import { asApiError, isAbort, type ApiError } from '../api';

export class Resource<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  busy = $state(false);
  private turn = 0;

  /** Reads; the answer of an older read never replaces that of a newer one. */
  async load(read: () => Promise<T>): Promise<void> {
    const turn = ++this.turn;
    this.busy = true;
    try {
      const value = await read();
      if (turn !== this.turn) return;
      this.value = value;
      this.error = null;
    } catch (cause) {
      if (turn === this.turn && !isAbort(cause)) this.error = asApiError(cause);
    } finally {
      if (turn === this.turn) this.busy = false;
    }
  }

  clear(): void {
    this.turn += 1;
    this.value = null;
    this.error = null;
    this.busy = false;
  }
}

/** Repeats something while the page is visible; returns how to stop. */
export function every(milliseconds: number, task: () => void): () => void {
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') task();
  }, milliseconds);
  return () => clearInterval(timer);
}
