import { ApiError } from '../api/errors';
import type { Widget } from '../api/types';

const REFUSED = 'egress_not_allowed';

/** The host (with no port) that a refusal is about: named by the server, else found in its words, else the only one asked for. */
export function blockedHost(refusal: ApiError, urls: string[]): string | null {
  const named = refusal.extra.details?.host;
  if (typeof named === 'string' && named) return named;
  const hosts = [...new Set(urls.map(hostname).filter((host) => host !== null))];
  return hosts.find((host) => refusal.message.includes(host)) ?? hosts[0] ?? null;
}

/** The port to allow on that host: the one that an address names, so that no more is opened than is needed; null = the usual ones, every port. */
export function blockedPort(host: string, urls: string[]): number | null {
  const url = urls.find((each) => hostname(each) === host);
  const port = url ? new URL(url).port : '';
  return port ? Number(port) : null;
}

function hostname(url: string): string | null {
  try {
    return new URL(url).hostname.replace(/^\[|\]$/g, '');
  } catch {
    return null;
  }
}

/** True for hosts that live inside a company's network: literal private addresses, single labels, internal suffixes. */
export function isPrivateHost(host: string): boolean {
  if (/^(10|127)\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(host)) return true;
  if (host.includes(':')) return /^(::1$|f[cd]|fe80)/i.test(host);
  return !host.includes('.') || /\.(local|internal|lan|intranet|corp|home|test|localhost)$/i.test(host);
}

/** What a saved automation warns of, when a destination of its own is not allowed, in the form of the refusal that a run would meet. */
export function egressWarning(widget: Widget): ApiError | null {
  const warning = widget.warnings.find((each) => each.code === REFUSED);
  if (!warning) return null;
  return new ApiError(422, REFUSED, warning.message, { field: 'source_config.urls', remedy: warning.remedy ?? undefined });
}

/** Throws that warning: a run would only fail. */
export function mustBeReachable(widget: Widget): void {
  const refusal = egressWarning(widget);
  if (refusal) throw refusal;
}

export function isEgressRefusal(error: ApiError | null): boolean {
  return error?.code === REFUSED;
}

const REASON_MOST = 200;

/** The reason that is offered for a destination which an automation needs. */
export function sourceOf(title: string | undefined): string {
  const name = title?.trim();
  return (name ? `Source of the automation “${name}”` : 'Source of an automation').slice(0, REASON_MOST);
}
