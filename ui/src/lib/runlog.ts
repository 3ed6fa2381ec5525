// The log of a run, reduced to what its page shows. Same rule as for answers: by place, each event once.

import type { LogEvent } from '../api/sse';
import type { PageFate, Problem, RunState } from '../api/types';

export interface LoggedPage {
  url: string;
  fate: PageFate;
  reason: string | null;
}

export interface RunLog {
  seq: number;
  state: RunState;
  pages: LoggedPage[];
  collected: number;
  budget: number;
  extracted: { findings: number; metrics: number; tables: number } | null;
  reportId: string | null;
  ingest: { state: string; done: number; total: number; error: Problem | null } | null;
  error: Problem | null;
  ended: boolean;
  /** Why the server stopped showing it, if it did; the run itself goes on. */
  closed: string | null;
}

export const NO_EVENTS: RunLog = {
  seq: 0,
  state: 'queued',
  pages: [],
  collected: 0,
  budget: 0,
  extracted: null,
  reportId: null,
  ingest: null,
  error: null,
  ended: false,
  closed: null,
};

const count = (value: unknown): number => (typeof value === 'number' ? value : 0);
const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

export function record(log: RunLog, event: LogEvent): RunLog {
  const data = (event.data ?? {}) as Record<string, unknown>;
  // It has no place in the log: whoever may look again goes on from the last real event.
  if (event.kind === 'closed') return { ...log, closed: problemOf(data).message };
  if (event.seq <= log.seq) return log;
  const next = { ...log, seq: event.seq };
  switch (event.kind) {
    case 'state':
      return { ...next, state: (text(data.state) ?? log.state) as RunState };
    case 'page':
      return withPage(next, data);
    case 'extracted':
      return { ...next, extracted: { findings: count(data.findings), metrics: count(data.metrics), tables: count(data.tables) } };
    case 'report':
      return { ...next, reportId: text(data.report_id) };
    case 'ingest':
      return {
        ...next,
        ingest: {
          state: text(data.state) ?? 'running',
          done: count(data.done),
          total: count(data.total ?? data.chunks),
          error: data.error ? problemOf(data) : null,
        },
      };
    case 'done':
      return { ...next, state: 'succeeded', reportId: text(data.report_id) ?? log.reportId, ended: true };
    case 'failed':
      return { ...next, state: 'failed', error: problemOf(data), ended: true };
    case 'cancelled':
      return { ...next, state: 'cancelled', ended: true };
    default:
      return next;
  }
}

function withPage(log: RunLog, data: Record<string, unknown>): RunLog {
  const page = { url: text(data.url) ?? '', fate: (text(data.fate) ?? 'new') as PageFate, reason: text(data.reason) };
  return {
    ...log,
    pages: [...log.pages, page],
    collected: count(data.n) || log.collected + 1,
    budget: count(data.budget) || log.budget,
  };
}

function problemOf(data: Record<string, unknown>): Problem {
  const error = (data.error ?? data) as Partial<Problem>;
  return { code: error.code ?? 'failed', message: error.message ?? 'The run failed without an explanation.', remedy: error.remedy };
}
