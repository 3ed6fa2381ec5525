import { call } from './client';
import type * as T from './types';

export type * from './types';
export { ApiError, asApiError, isAbort } from './errors';
export { follow, type LogEvent } from './sse';

const company = (id: string): string => `/api/companies/${encodeURIComponent(id)}`;
const part = encodeURIComponent;

function fileForm(file: File): FormData {
  const form = new FormData();
  form.append('file', file, file.name);
  return form;
}

/** The appliance's API, one function per operation. */
export const api = {
  setup: () => call<T.SetupState>('GET', '/api/setup'),
  redeem: (json: { token: string; email: string; password: string; name: string }) =>
    call<T.Session>('POST', '/api/setup/redeem', { json }),
  signIn: (json: { email: string; password: string }) => call<T.Session>('POST', '/api/auth/login', { json }),
  signOut: () => call<void>('POST', '/api/auth/logout'),
  me: () => call<T.Me>('GET', '/api/me'),
  status: () => call<T.Status>('GET', '/api/status'),
  async readiness(): Promise<T.Readiness> {
    const response = await fetch('/readyz', { headers: { accept: 'application/json' } });
    return (await response.json()) as T.Readiness;
  },

  licence: () => call<T.LicenceView>('GET', '/api/license'),
  enterLicence: (code: string) => call<T.LicenceView>('POST', '/api/license', { json: { code } }),

  createCompany: (name: string) => call<T.Company>('POST', '/api/companies', { json: { name } }),

  widgets: (c: string) => call<{ widgets: T.Widget[] }>('GET', `${company(c)}/widgets`).then((answer) => answer.widgets),
  widget: (c: string, w: string) => call<T.Widget>('GET', `${company(c)}/widgets/${part(w)}`),
  createWidget: (c: string, json: T.WidgetDraft) => call<T.Widget>('POST', `${company(c)}/widgets`, { json }),
  changeWidget: (c: string, w: string, json: Partial<T.WidgetDraft>) =>
    call<T.Widget>('PATCH', `${company(c)}/widgets/${part(w)}`, { json }),
  deleteWidget: (c: string, w: string) => call<void>('DELETE', `${company(c)}/widgets/${part(w)}`),
  startRun: (c: string, w: string) => call<T.Run>('POST', `${company(c)}/widgets/${part(w)}/runs`),
  runs: (c: string, w: string) => call<{ runs: T.Run[] }>('GET', `${company(c)}/widgets/${part(w)}/runs`).then((answer) => answer.runs),
  reports: (c: string, w: string) =>
    call<{ reports: T.ReportHead[] }>('GET', `${company(c)}/widgets/${part(w)}/reports`).then((answer) => answer.reports),
  series: (c: string, w: string) =>
    call<{ series: T.Series[] }>('GET', `${company(c)}/widgets/${part(w)}/series`).then((answer) => answer.series),
  report: (c: string, id: string) => call<T.Report>('GET', `${company(c)}/reports/${part(id)}`),
  run: (c: string, id: string) => call<T.Run>('GET', `${company(c)}/runs/${part(id)}`),
  cancelRun: (c: string, id: string) => call<unknown>('POST', `${company(c)}/runs/${part(id)}/cancel`),
  runEvents: (c: string, id: string) => `${company(c)}/runs/${part(id)}/events`,

  chunk: (c: string, id: string) => call<T.ChunkView>('GET', `${company(c)}/chunks/${part(id)}`),
  page: (c: string, hash: string) => call<T.PageView>('GET', `${company(c)}/pages/${part(hash)}`),

  documents: (c: string) => call<{ documents: T.DocumentView[] }>('GET', `${company(c)}/documents`).then((answer) => answer.documents),
  upload: (c: string, file: File) => call<T.DocumentView>('POST', `${company(c)}/documents`, { body: fileForm(file) }),
  uploadPath: (c: string) => `${company(c)}/documents`,
  documentContent: (c: string, id: string) => `${company(c)}/documents/${part(id)}/content`,
  deleteDocument: (c: string, id: string) => call<void>('DELETE', `${company(c)}/documents/${part(id)}`),

  conversations: (c: string) =>
    call<{ conversations: T.Conversation[] }>('GET', `${company(c)}/conversations`).then((answer) => answer.conversations),
  createConversation: (c: string, title?: string) => call<T.Conversation>('POST', `${company(c)}/conversations`, { json: { title } }),
  renameConversation: (c: string, v: string, title: string) =>
    call<T.Conversation>('PATCH', `${company(c)}/conversations/${part(v)}`, { json: { title } }),
  deleteConversation: (c: string, v: string) => call<void>('DELETE', `${company(c)}/conversations/${part(v)}`),
  messages: (c: string, v: string) =>
    call<{ messages: T.Message[] }>('GET', `${company(c)}/conversations/${part(v)}/messages`).then((answer) => answer.messages),
  ask: (c: string, v: string, text: string) =>
    call<{ message: T.Message; run: { id: string; state: string } }>('POST', `${company(c)}/conversations/${part(v)}/messages`, {
      json: { text },
    }),
  cancelChatRun: (c: string, id: string) => call<unknown>('POST', `${company(c)}/chat-runs/${part(id)}/cancel`),
  chatEvents: (c: string, id: string) => `${company(c)}/chat-runs/${part(id)}/events`,

  usage: (c: string, days: number) => call<T.Usage>('GET', `${company(c)}/usage`, { query: { days } }),

  egressRules: () => call<{ rules: T.EgressRule[] }>('GET', '/api/system-admin/egress/rules').then((answer) => answer.rules),
  addEgressRule: (json: { destination: string; port?: number; allow_private?: boolean; reason: string }) =>
    call<T.EgressRule>('POST', '/api/system-admin/egress/rules', { json }),
  removeEgressRule: (id: string) => call<void>('DELETE', `/api/system-admin/egress/rules/${part(id)}`),
  async egressLog(limit: number): Promise<T.EgressAttempt[]> {
    return (await call<{ log: T.EgressAttempt[] }>('GET', '/api/system-admin/egress/log', { query: { limit } })).log;
  },
  settings: () => call<{ settings: T.Setting[] }>('GET', '/api/system-admin/settings').then((answer) => answer.settings),
};
