// Figures, sizes and times as text. One place, so that the same value reads the same everywhere.

// A figure is shown as it was found: six decimals hide the noise of arithmetic and nothing else.
const numberFormat = new Intl.NumberFormat('en', { maximumFractionDigits: 6 });
const compactFormat = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const absoluteFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });

const MINUS = '\u2212';

export function figure(value: number): string {
  return withMinus(numberFormat.format(value));
}

/** A figure with as many decimals at least as its source writes: 4.20. */
function figureTo(value: number, decimals: number | null): string {
  if (!decimals) return figure(value);
  return withMinus(value.toLocaleString('en', { minimumFractionDigits: Math.min(decimals, 12), maximumFractionDigits: Math.min(Math.max(decimals, 6), 12) }));
}

function withMinus(text: string): string {
  return text.startsWith('-') ? MINUS + text.slice(1) : text;
}

/** A figure short enough for a tile: 1.2M rather than 1,234,567. */
export function shortFigure(value: number): string {
  return Math.abs(value) >= 1_000_000 ? compactFormat.format(value).replace('-', MINUS) : figure(value);
}

const MONEY = /^([$€£¥]|EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CAD|AUD)$/;

/** A figure short enough for a tile, with the decimals of a sum of money. */
export function shortSum(value: number, unit: string | null | undefined): string {
  const decimals = usualDecimals(value, unit);
  return decimals ? figureTo(value, decimals) : shortFigure(value);
}

/** The decimals of a sum of money, where its source is not at hand to tell: 4.20 EUR, and 1,204.5 of anything else. */
function usualDecimals(value: number, unit: string | null | undefined): number | null {
  return unit && MONEY.test(unit) && !Number.isInteger(value) && Math.abs(value) < 100_000 ? 2 : null;
}

export function withUnit(value: number, unit: string | null | undefined, decimals?: number | null): string {
  const shown = figureTo(value, decimals ?? usualDecimals(value, unit));
  if (!unit) return shown;
  if (unit === '%') return `${shown}%`;
  if (/^[$€£¥]$/.test(unit)) return `${unit}${shown}`;
  return `${shown}\u00a0${unit}`;
}

const RAISED: Record<string, string> = Object.fromEntries([...'0123456789-'].map((sign, index) => [sign, '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'.charAt(index)]));

/** The name of a figure as it is printed: "Mass (10^24 kg)" as "Mass (10²⁴ kg)". */
export function named(name: string): string {
  return name.replace(/\^(-?\d+)/g, (_, power: string) => [...power].map((sign) => RAISED[sign] ?? sign).join(''));
}

/** A change with its sign: +3, −0.5, or 0. */
export function signed(value: number): string {
  return value > 0 ? `+${figure(value)}` : figure(value);
}

/** The change from one figure to another in percent, when that means anything. */
export function percentChange(previous: number, current: number): string | null {
  if (previous === 0 || !Number.isFinite(previous)) return null;
  const percent = ((current - previous) / Math.abs(previous)) * 100;
  return `${signed(Math.round(percent * 10) / 10)}%`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${figure(count)} ${count === 1 ? one : many}`;
}

/** A size as the settings count it: 1 MB is 1,024 kB, so that a limit of 50 is shown as 50. */
export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = size;
  let unit = 'B';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export function absolute(at: string | number): string {
  return absoluteFormat.format(new Date(at));
}

export function day(at: string | number): string {
  return dayFormat.format(new Date(at));
}

const STEPS: [limit: number, size: number, name: string][] = [
  [3_600, 60, 'min'],
  [86_400, 3_600, 'h'],
  [30 * 86_400, 86_400, 'd'],
  [365 * 86_400, 30 * 86_400, 'mo'],
  [Infinity, 365 * 86_400, 'y'],
];

/** "4 min ago", "just now"; "in 3 h" for what lies `ahead`. What has happened is never told as to come, however far the server's clock is before ours. */
export function relative(at: string | number, now: number, ahead = false): string {
  const difference = Math.round((new Date(at).getTime() - now) / 1000);
  const seconds = ahead ? difference : Math.min(0, difference);
  const distance = Math.abs(seconds);
  if (distance < 45) return seconds > 5 ? 'in under a minute' : ahead && seconds > -5 ? 'now' : 'just now';
  const [, size, name] = STEPS.find(([limit]) => distance < limit) ?? [0, 1, 's'];
  const text = `${Math.max(1, Math.round(distance / size))}\u00a0${name}`;
  return seconds > 0 ? `in ${text}` : `${text} ago`;
}

/** The heading under which something of this age stands in a list, by calendar days. */
export function ageGroup(at: string | number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const moment = new Date(at).getTime();
  if (moment >= midnight) return 'Today';
  if (moment >= midnight - 86_400_000) return 'Yesterday';
  return moment >= midnight - 7 * 86_400_000 ? 'Last 7 days' : 'Older';
}

/** A duration in seconds as "under 0.1 s", "0.8 s", "14 s" or "2 min 5 s". */
export function duration(seconds: number): string {
  if (seconds < 0.05) return 'under 0.1 s';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes} min ${Math.round(seconds - minutes * 60)} s`;
}

/** What a source is called by: its file as it is written, else its host. */
export function sourceName(url: string): string {
  try {
    const { pathname, hostname } = new URL(url);
    return readable(pathname).split('/').filter(Boolean).at(-1) ?? hostname;
  } catch {
    return url;
  }
}

/** The host of an address, or the text itself when it is none. */
export function host(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

/** Where a source stands: the path of a page or the page of a file first, then the host that it is from. */
export function sourcePlace(source: { url?: string | null; page_number?: number | null }): { where: string; from: string } {
  const page = source.page_number ? `page ${source.page_number}` : '';
  if (!source.url) return { where: page, from: 'document' };
  try {
    const { pathname, search, host: from } = new URL(source.url);
    return { where: [readable(pathname + search), page].filter(Boolean).join(', '), from };
  } catch {
    return { where: source.url, from: '' };
  }
}

/** A path as it is written, where its escapes can be read. */
function readable(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** An address without its scheme, for lists. */
export function shortUrl(url: string): string {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/** The first characters of a hash, enough to tell two apart. */
export function shortHash(hash: string): string {
  return hash.replace(/^sha256[:-]/, '').slice(0, 12);
}

/** What a row of the ledger is for: "Chat", "Daily grant", "Refund". */
export function transactionType(type: string): string {
  return type === 'free_daily' ? 'Daily grant' : words(type.replace(/_spend$/, ''));
}

/** `internal_web` as "Internal web". */
export function words(key: string): string {
  const text = key.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
