import { errorFrom } from './errors';

type Query = Record<string, string | number | undefined>;

export interface RequestOptions {
  query?: Query;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let onSignedOut: () => void = () => undefined;

/** Called when a session turns out to have ended (401 anywhere but at sign-in). */
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler;
}

export function address(path: string, query: Query = {}): string {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  return parts.length ? `${path}?${parts.join('&')}` : path;
}

/** Sends a request; anything but a 2xx is thrown as an ApiError. */
export async function send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  if (options.json !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(address(path, options.query), {
    method,
    headers,
    body: options.json !== undefined ? JSON.stringify(options.json) : options.body,
    signal: options.signal,
    credentials: 'same-origin',
  });
  if (response.ok) return response;
  if (response.status === 401 && !path.startsWith('/api/auth/') && !path.startsWith('/api/setup')) onSignedOut();
  throw await errorFrom(response);
}

/** Sends a request and reads its JSON answer. */
export async function call<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const response = await send(method, path, options);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}
