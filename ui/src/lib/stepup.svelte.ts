// Who is there, once more: asked by the server before what matters, answered in one dialog, whatever page it comes from.

import { api } from '../api';
import { whenStepUp } from '../api/client';

let answer = $state.raw<((shown: boolean) => void) | null>(null);
let asked: Promise<boolean> | null = null;

export const stepUp = {
  get open(): boolean {
    return answer !== null;
  },
};

/** Asks for a proof; true once it was given. Several that ask at once share the dialog. */
export function askForProof(): Promise<boolean> {
  asked ??= new Promise<boolean>((resolve) => (answer = resolve));
  return asked;
}

export function answered(shown: boolean): void {
  answer?.(shown);
  answer = null;
  asked = null;
}

/** Before a download, which cannot be asked twice: whether the last proof still counts, or a new one was given. */
export async function ensureFresh(): Promise<boolean> {
  const { fresh_until } = await api.security();
  // A little early, so that the download does not come too late.
  return Date.parse(fresh_until) > Date.now() + 5_000 || (await askForProof());
}

whenStepUp(askForProof);
