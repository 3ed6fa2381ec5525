import { ApiError } from './errors';
import type { DocumentView } from './types';

export interface Upload {
  name: string;
  sent: number;
  total: number;
}

interface Refusal {
  error?: { code?: string; message?: string; field?: string; remedy?: string; request_id?: string };
}

/** Uploads a file with progress, which fetch cannot report. */
export function upload(path: string, file: File, onProgress?: (sent: number, total: number) => void): Promise<DocumentView> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.responseType = 'json';
    request.setRequestHeader('accept', 'application/json');
    request.upload.onprogress = (event) => onProgress?.(event.loaded, event.total);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve(request.response as DocumentView);
      else reject(refusal(request));
    };
    request.onerror = () =>
      reject(new ApiError(0, 'unreachable', 'The upload broke off.', { remedy: 'Check your connection to the appliance, then drop the file again.' }));
    const form = new FormData();
    form.append('file', file, file.name);
    request.send(form);
  });
}

function refusal(request: XMLHttpRequest): ApiError {
  const error = (request.response as Refusal | null)?.error;
  return new ApiError(request.status, error?.code ?? 'unexpected_answer', error?.message ?? `The server answered ${request.status}.`, {
    field: error?.field,
    remedy: error?.remedy,
    requestId: error?.request_id ?? request.getResponseHeader('x-request-id') ?? undefined,
  });
}
