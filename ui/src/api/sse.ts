import { ApiError, isAbort } from './errors';
import { send } from './client';

/** One event of a durable log: its place, what happened, and its data. */
export interface LogEvent {
  seq: number;
  kind: string;
  data: unknown;
}

/** Splits server-sent events out of text that arrives in arbitrary pieces. */
export class SseParser {
  private buffer = '';

  push(text: string): LogEvent[] {
    const all = this.buffer + text;
    // a carriage return at the end may be half of a line end: it waits for what follows
    const cut = all.endsWith('\r') ? all.length - 1 : all.length;
    const blocks = all.slice(0, cut).replace(/\r\n?/g, '\n').split('\n\n');
    this.buffer = (blocks.pop() ?? '') + all.slice(cut);
    return blocks.map(parseBlock).filter((event) => event !== null);
  }
}

function parseBlock(block: string): LogEvent | null {
  let seq = 0;
  let kind = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') seq = Number(value) || 0;
    else if (field === 'event') kind = value;
    else if (field === 'data') data.push(value);
  }
  if (data.length === 0) return null;
  try {
    return { seq, kind, data: JSON.parse(data.join('\n')) };
  } catch {
    return { seq, kind, data: data.join('\n') };
  }
}

export interface FollowOptions {
  /** The place of the last event already applied; 0 follows from the start. */
  after: () => number;
  onEvent: (event: LogEvent) => void;
  /** Called each time a connection stands, before its first event. */
  onConnect?: () => void;
  /** True once a terminal event was applied: following ends. */
  finished: () => boolean;
  /** True when an event is missing: the connection is made anew from the last applied one. */
  lost?: () => boolean;
  onTrouble?: (cause: unknown) => void;
  signal: AbortSignal;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 8_000;

/**
 * Follows a durable event log until its end: resumes with Last-Event-ID after every break, and gives up only when the
 * server says that there is no such log (or the session ended).
 */
export async function follow(path: string, options: FollowOptions): Promise<void> {
  let delay = FIRST_DELAY_MS;
  while (!options.signal.aborted && !options.finished()) {
    try {
      const got = await readOnce(path, options);
      delay = got ? FIRST_DELAY_MS : delay;
    } catch (cause) {
      if (isAbort(cause) || options.signal.aborted) return;
      if (cause instanceof ApiError && cause.status >= 400 && cause.status < 500 && cause.status !== 429) throw cause;
      options.onTrouble?.(cause);
    }
    if (options.finished()) return;
    await pause(delay, options.signal);
    delay = Math.min(delay * 2, LONGEST_DELAY_MS);
  }
}

async function readOnce(path: string, options: FollowOptions): Promise<boolean> {
  const connection = new AbortController();
  const stop = (): void => connection.abort();
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    const after = options.after();
    const response = await send('GET', path, {
      headers: { accept: 'text/event-stream', ...(after > 0 ? { 'last-event-id': String(after) } : {}) },
      signal: connection.signal,
    });
    options.onConnect?.();
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    let got = false;
    while (reader) {
      const { value, done } = await reader.read();
      if (done) return got;
      for (const event of parser.push(value)) {
        got = true;
        options.onEvent(event);
        if (options.finished() || options.lost?.()) return got;
      }
    }
    return got;
  } finally {
    options.signal.removeEventListener('abort', stop);
    connection.abort();
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
