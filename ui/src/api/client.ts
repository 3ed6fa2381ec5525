import { errorFrom } from './errors';
import type { paths } from './schema';

type Method = 'get' | 'post' | 'patch' | 'delete';
/** The addresses that know a method. */
export type PathOf<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, object> ? P : never }[keyof paths];
type Operation<M extends Method, P extends PathOf<M>> = paths[P] extends Record<M, infer O> ? O : never;

type PathParts<O> = O extends { parameters: { path: infer T } } ? { path: T } : { path?: never };
type Query<O> = O extends { parameters: { query?: infer T } } ? { query?: T } : { query?: never };
type Body<O> = O extends { requestBody: { content: { 'application/json': infer T } } } ? { json: T } : { json?: never };
type Given<O> = PathParts<O> & Query<O> & Body<O>;

type Good = 200 | 201 | 202 | 204;
type Content<R> = R extends { content: { 'application/json': infer T } } ? T : void;
type Answer<O> = O extends { responses: infer R } ? Content<R[Extract<keyof R, Good>]> : never;

interface SendOptions {
  json?: unknown;
  /** A form with a file; goes in the place of `json`. */
  form?: FormData;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let onSignedOut: () => void = () => undefined;

/** Called when a session turns out to have ended (401 anywhere but at sign-in). */
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler;
}

let onStepUp: () => Promise<boolean> = () => Promise.resolve(false);

/** Called when the server wants to know once more who is there; the request is repeated once that was shown. */
export function whenStepUp(handler: () => Promise<boolean>): void {
  onStepUp = handler;
}

/** An address of the API with its `{parts}` filled in, and the query values that are there. */
export function address(path: keyof paths, parts: Record<string, string> = {}, query: Record<string, unknown> = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parts[name] ?? ''));
  const asked = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  return asked.length ? `${filled}?${asked.join('&')}` : filled;
}

/** Sends a request; anything but a 2xx is thrown as an ApiError. */
export async function send(method: string, url: string, options: SendOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  if (options.json !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(url, {
    method: method.toUpperCase(),
    headers,
    body: options.form ?? (options.json !== undefined ? JSON.stringify(options.json) : undefined),
    signal: options.signal,
    credentials: 'same-origin',
  });
  if (response.ok) return response;
  if (response.status === 401 && !url.startsWith('/api/auth/') && !url.startsWith('/api/setup')) onSignedOut();
  const error = await errorFrom(response);
  if (error.code === 'step_up_required' && (await onStepUp())) return send(method, url, options);
  throw error;
}

/** Calls an operation of the API: its address, what it is given and what it answers are those of the OpenAPI document. */
export async function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  ...[given]: object extends Given<Operation<M, P>> ? [Given<Operation<M, P>>?] : [Given<Operation<M, P>>]
): Promise<Answer<Operation<M, P>>> {
  const { path: parts, query, json } = (given ?? {}) as { path?: Record<string, string>; query?: Record<string, unknown>; json?: unknown };
  const response = await send(method, address(path, parts, query), { json });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as Answer<Operation<M, P>>;
}
