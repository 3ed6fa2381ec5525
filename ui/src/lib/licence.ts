// Words for what the licence service reports.

import { day, plural } from './format';

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

/** What is said at the top of every page, and how urgently; null while all is well. */
export interface LicenceBanner {
  /** The same words are said once to whoever puts them away. */
  key: string;
  tone: 'warning' | 'bad';
  text: string;
  /** Only system admins can do something about it yet. */
  forAdmins: boolean;
}

interface Noticed {
  reason: string;
  notice?: string | null;
  days_left?: number | null;
  expires_at?: string | null;
  grace_until?: string | null;
  clock_suspect?: string | null;
}

export function bannerOf(licence: Noticed): LicenceBanner | null {
  const key = `${licence.notice ?? ''} ${licence.expires_at ?? ''}`;
  if (licence.clock_suspect)
    return { key: `clock ${licence.clock_suspect}`, tone: 'warning', forAdmins: true, text: "The server's clock is more than a day behind. Nothing is locked; correct the clock." };
  if (licence.notice === 'free_tier')
    return { key, tone: 'bad', forAdmins: false, text: `${isRevoked(licence.reason)} The free tier applies: everything can still be read, exported and backed up.` };
  if (licence.notice === 'grace')
    return { key, tone: 'bad', forAdmins: false, text: `The activation code has ended. Its plan stays until ${licence.grace_until ? day(licence.grace_until) : 'the days of grace are over'}.` };
  if (licence.notice)
    return { key, tone: 'warning', forAdmins: true, text: `The activation code ends in ${plural(licence.days_left ?? 0, 'day')}${licence.expires_at ? `, on ${day(licence.expires_at)}` : ''}.` };
  return null;
}

function isRevoked(reason: string): string {
  return reason === 'revoked' ? 'The vendor has revoked the activation code.' : 'The activation code no longer counts.';
}

const STEPS: Record<string, string> = {
  days_60: '60 days left',
  days_30: '30 days left',
  days_14: '14 days left',
  days_7: '7 days left',
  days_1: 'Last day',
  grace: 'Ended: days of grace began',
  free_tier: 'Free tier applies',
  clock_suspect: 'Clock is behind',
};

/** A step on the way to the end, in words. */
export function stepWord(step: string): string {
  return STEPS[step] ?? step;
}

export function isMissing(reason: string): boolean {
  return ['missing', 'none', 'not_activated', 'no_licence', 'unlicensed', 'no_code'].includes(reason);
}
