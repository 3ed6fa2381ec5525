import type { Schedule } from '../api/types';

/** A schedule in words. */
export function scheduleText(schedule: Schedule): string {
  if (schedule.kind === 'manual') return 'Only when asked';
  if (schedule.kind === 'cron') return `${cronText(schedule.expression)} (${schedule.time_zone})`;
  const { minutes } = schedule;
  if (minutes % 1440 === 0) return minutes === 1440 ? 'Every day' : `Every ${minutes / 1440} days`;
  if (minutes % 60 === 0) return minutes === 60 ? 'Every hour' : `Every ${minutes / 60} hours`;
  return `Every ${minutes} minutes`;
}

const DAYS: Record<string, string> = { '1-5': 'Weekdays', '*': 'Every day', '0': 'Sundays', '1': 'Mondays', '5': 'Fridays' };

function cronText(expression: string): string {
  const [minute = '', hour = '', dayOfMonth, month, weekday = ''] = expression.trim().split(/\s+/);
  const simple = /^\d+$/.test(minute) && /^\d+$/.test(hour) && dayOfMonth === '*' && month === '*';
  const days = DAYS[weekday];
  if (!simple || !days) return `Cron ${expression}`;
  return `${days} at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`;
}

/** What is wrong with a cron expression, or null. The server has the last word. */
export function cronProblem(expression: string): string | null {
  const fields = expression.trim().split(/\s+/);
  if (fields.length !== 5) return 'A cron expression has five fields: minute, hour, day of month, month, day of week.';
  const bad = fields.find((field) => !/^[\d*/,\-A-Za-z?#]+$/.test(field));
  return bad ? `"${bad}" is not a cron field.` : null;
}

export function timeZones(): string[] {
  const known = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
  return known.includes('UTC') ? known : ['UTC', ...known];
}

export function ownTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}
