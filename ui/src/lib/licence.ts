// Words for what the licence service reports.

const WORDS: Record<string, string> = {
  ok: 'Valid',
  expired_in_grace: 'In grace period',
  expired: 'Expired',
  not_yet_valid: 'Not valid yet',
  seat_limit_reached: 'Seats used up',
  clock_suspect: 'Clock is behind',
  superseded: 'Replaced by a newer code',
  revoked: 'Revoked',
  missing: 'Not activated',
  none: 'Not activated',
  not_activated: 'Not activated',
  no_code: 'Not activated',
};

export function licenceWord(reason: string): string {
  return WORDS[reason] ?? reason.replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase());
}

/** True when the appliance is activated and not in trouble. */
export function isGood(reason: string): boolean {
  return reason === 'ok';
}

export function isGrace(reason: string): boolean {
  return reason === 'expired_in_grace';
}

export function isMissing(reason: string): boolean {
  return ['missing', 'none', 'not_activated', 'no_licence', 'unlicensed', 'no_code'].includes(reason);
}
