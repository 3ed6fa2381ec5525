import type { Run, RunState } from '../api/types';

const UNDER_WAY: RunState[] = ['queued', 'collecting', 'extracting', 'reporting'];

export function isUnderWay(state: RunState): boolean {
  return UNDER_WAY.includes(state);
}

/** Whether a run has reported and its passages are still being put where chat finds them. */
export function isIngesting(run: Pick<Run, 'state' | 'ingest'>): boolean {
  return run.state === 'succeeded' && (run.ingest === 'pending' || run.ingest === 'running');
}

/** Seconds from start to end of a run, or to now while it is under way. */
export function runSeconds(run: Pick<Run, 'started_at' | 'finished_at'>, now: number): number | null {
  if (!run.started_at) return null;
  const end = run.finished_at ? Date.parse(run.finished_at) : now;
  return Math.max(0, (end - Date.parse(run.started_at)) / 1000);
}
