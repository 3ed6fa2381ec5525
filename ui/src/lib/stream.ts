// One reducer for answers that are being written and answers that are resumed: events are applied by their place in the
// log, so it does not matter whether they arrive live, twice, late, or from the start again after a reload.

import type { Citation, Message, Problem } from '../api/types';
import type { LogEvent } from '../api/sse';

export type Phase = 'waiting' | 'recalling' | 'writing' | 'done' | 'failed' | 'cancelled' | 'closed';

export interface Answer {
  phase: Phase;
  /** The place of the last event applied. */
  seq: number;
  text: string;
  citations: Citation[];
  /** The final message, once the log says `done`. */
  message: Message | null;
  error: Problem | null;
  /** Events that arrived ahead of a missing one, by place. */
  ahead: ReadonlyMap<number, LogEvent>;
}

export const START: Answer = {
  phase: 'waiting',
  seq: 0,
  text: '',
  citations: [],
  message: null,
  error: null,
  ahead: new Map(),
};

export function ended(answer: Answer): boolean {
  return answer.phase === 'done' || answer.phase === 'failed' || answer.phase === 'cancelled' || answer.phase === 'closed';
}

/** True when an event is missing: follow again from `seq`. */
export function lost(answer: Answer): boolean {
  return answer.ahead.size > 0 && !ended(answer);
}

/** Applies an event at its place; one already applied changes nothing, one too early waits for those before it. */
export function reduce(answer: Answer, event: LogEvent): Answer {
  if (ended(answer)) return answer;
  // It has no place in the log: the server shows no more of it, while the answer itself goes on.
  if (event.kind === 'closed') return apply(answer, { ...event, seq: answer.seq });
  if (event.seq <= answer.seq) return answer;
  if (event.seq > answer.seq + 1) return { ...answer, ahead: new Map(answer.ahead).set(event.seq, event) };
  let next = apply(answer, event);
  while (!ended(next)) {
    const waiting = next.ahead.get(next.seq + 1);
    if (!waiting) break;
    next = apply(next, waiting);
  }
  return next.ahead.size > 0 ? { ...next, ahead: stillAhead(next) } : next;
}

function stillAhead(answer: Answer): ReadonlyMap<number, LogEvent> {
  if (ended(answer)) return new Map();
  return new Map([...answer.ahead].filter(([seq]) => seq > answer.seq));
}

function apply(answer: Answer, event: LogEvent): Answer {
  const data = (event.data ?? {}) as Record<string, unknown>;
  const next = { ...answer, seq: event.seq };
  switch (event.kind) {
    case 'state':
      return { ...next, phase: phaseOf(String(data.state), answer.phase) };
    case 'recalled':
      return { ...next, phase: 'recalling', citations: (data.citations as Citation[]) ?? [] };
    case 'delta':
      return { ...next, phase: 'writing', text: answer.text + String(data.text ?? '') };
    case 'reset':
      return { ...next, phase: 'waiting', text: '', citations: [] };
    case 'done':
      return finish(next, (data.message as Message | undefined) ?? null);
    case 'failed':
      return { ...next, phase: 'failed', error: (data.error as Problem | undefined) ?? unexplained };
    case 'cancelled':
      return { ...next, phase: 'cancelled' };
    case 'closed':
      return { ...next, phase: 'closed', error: (data.error as Problem | undefined) ?? unexplained };
    default:
      return next;
  }
}

const unexplained: Problem = { code: 'failed', message: 'The answer failed without an explanation.' };

function finish(answer: Answer, message: Message | null): Answer {
  return {
    ...answer,
    phase: 'done',
    message,
    text: message?.text ?? answer.text,
    citations: message?.citations ?? answer.citations,
  };
}

function phaseOf(state: string, current: Phase): Phase {
  if (state === 'queued') return 'waiting';
  if (state === 'recalling' || state === 'searching') return 'recalling';
  if (state === 'answering' || state === 'generating' || state === 'writing') return current === 'writing' ? current : 'recalling';
  return current;
}
