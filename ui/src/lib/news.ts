import type { MetricChange, Widget } from '../api/types';
import { named, withUnit } from './format';
import { staleAt } from './freshness';
import { isUnderWay } from './runs';

const SOON_MS = 12 * 3_600_000;

export interface News {
  /** Reported since the last look, with any figure that moved, or for the first time; one that reports no figures, whenever it reported. */
  moved: Widget[];
  rest: Widget[];
  failed: Widget[];
  running: Widget[];
  stale: Widget[];
  /** Becomes stale within twelve hours unless it runs before. */
  staleSoon: { widget: Widget; at: number }[];
}

/** Sorts automations by what they ask of the reader. `since` is when they last looked (ms). */
export function sortOut(widgets: Widget[], since: number, now: number): News {
  const news: News = { moved: [], rest: [], failed: [], running: [], stale: [], staleSoon: [] };
  for (const widget of widgets) {
    const latest = widget.latest;
    const finished = latest?.finished_at ? Date.parse(latest.finished_at) : 0;
    const reported = latest?.state === 'succeeded' && finished > since;
    const changed = reported && (!latest.changes || latest.changes.length > 0 || latest.metrics === 0);
    (changed ? news.moved : news.rest).push(widget);
    if (!latest) continue;
    if (latest.state === 'failed') news.failed.push(widget);
    if (isUnderWay(latest.state)) news.running.push(widget);
    if (!latest.collected_at) continue;
    const at = staleAt(latest.collected_at, widget.stale_after_hours);
    const next = widget.next_run_at && !widget.paused ? Date.parse(widget.next_run_at) : Infinity;
    if (at <= now) news.stale.push(widget);
    else if (at - now < SOON_MS && next > at) news.staleSoon.push({ widget, at });
  }
  return news;
}

/** A figure that moved, in words: "2.5 → 3 EUR", "new: 3 EUR", "gone". */
export function moved(change: MetricChange): string {
  const { previous, current, unit } = change;
  if (current == null) return 'gone';
  const now = withUnit(current, unit);
  return previous == null ? `new: ${now}` : `${withUnit(previous, unit)} → ${now}`;
}

/** The first figures that moved, by name, and how many more there are. */
export function namedChanges(changes: MetricChange[], most: number): { shown: { name: string; what: string }[]; more: number } {
  const shown = changes.slice(0, most).map((change) => ({ name: named(change.name), what: moved(change) }));
  return { shown, more: changes.length - shown.length };
}
