import type { Freshness } from '../api/types';

const HOUR_MS = 3_600_000;

/** Freshness as a share of the hours after which data counts as stale: up to 1/4, 1/2, 1, beyond. */
export function freshnessOf(collectedAt: string, staleAfterHours: number, now: number): Freshness {
  const share = (now - Date.parse(collectedAt)) / (staleAfterHours * HOUR_MS);
  if (share <= 0.25) return 'FRESH';
  if (share <= 0.5) return 'RECENT';
  if (share <= 1) return 'AGING';
  return 'STALE';
}

/** The instant (ms) at which something collected then becomes stale. */
export function staleAt(collectedAt: string, staleAfterHours: number): number {
  return Date.parse(collectedAt) + staleAfterHours * HOUR_MS;
}
