/** What the server (or the way to it) said when a request did not succeed. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly extra: {
      field?: string;
      remedy?: string;
      requestId?: string;
      details?: Record<string, unknown>;
    } = {},
  ) {
    super(message);
    this.name = 'ApiError';
  }

  get field(): string | undefined {
    return this.extra.field;
  }

  get remedy(): string | undefined {
    return this.extra.remedy;
  }

  get requestId(): string | undefined {
    return this.extra.requestId;
  }
}

/** Reads the error body of the API; anything else (a proxy's page, nothing) becomes a plain sentence. */
export async function errorFrom(response: Response): Promise<ApiError> {
  const requestId = response.headers.get('x-request-id') ?? undefined;
  const body: unknown = await response.json().catch(() => null);
  const error = (body as { error?: Record<string, unknown> } | null)?.error;
  if (!error) {
    return new ApiError(response.status, 'unexpected_answer', `The server answered ${response.status} without an explanation.`, {
      requestId,
      remedy: 'Try again; if it stays, give this request id to whoever runs the appliance.',
    });
  }
  const text = (key: string): string | undefined => (typeof error[key] === 'string' ? (error[key] as string) : undefined);
  return new ApiError(response.status, text('code') ?? 'error', text('message') ?? 'The server refused.', {
    field: text('field'),
    remedy: text('remedy'),
    requestId: text('request_id') ?? requestId,
    details: error,
  });
}

/** Any thrown value as an ApiError, so that every failure can be shown in the same way. */
export function asApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  if (cause instanceof TypeError) {
    return new ApiError(0, 'unreachable', 'The appliance cannot be reached.', {
      remedy: 'Check your connection to it. Nothing you typed is lost; try again when it answers.',
    });
  }
  return new ApiError(0, 'browser', cause instanceof Error ? cause.message : String(cause));
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === 'AbortError';
}
