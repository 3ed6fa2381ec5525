import { address, call } from './client';
import type * as T from './types';

export type * from './types';
export { ApiError, asApiError, isAbort } from './errors';
export { follow, type LogEvent } from './sse';

/** The appliance's API, one function per operation. */
export const api = {
  setup: () => call('get', '/api/setup'),
  redeem: (json: T.RedeemRequest) => call('post', '/api/setup/redeem', { json }),
  signIn: (json: { email: string; password: string }) => call('post', '/api/auth/login', { json }),
  signOut: () => call('post', '/api/auth/logout'),
  me: () => call('get', '/api/me'),
  status: () => call('get', '/api/status'),
  /** Read past errors: an appliance that is not ready says so with a 503 and the reasons. */
  async readiness(): Promise<T.Readiness> {
    const response = await fetch(address('/readyz'), { headers: { accept: 'application/json' } });
    return (await response.json()) as T.Readiness;
  },

  licence: () => call('get', '/api/license'),
  enterLicence: (code: string) => call('post', '/api/license', { json: { code } }),

  resetPassword: (token: string, password: string) => call('post', '/api/auth/password-reset', { json: { token, password } }),
  changePassword: (present: string, password: string) => call('post', '/api/me/password', { json: { present_password: present, password } }),
  sessions: async () => (await call('get', '/api/me/sessions')).sessions,
  endSession: (session: string) => call('delete', '/api/me/sessions/{session}', { path: { session } }),
  changeEmail: (present: string, email: string) => call('post', '/api/me/email', { json: { present_password: present, email } }),
  endAllSessions: () => call('post', '/api/me/sessions/end-all'),
  endOtherSessions: () => call('post', '/api/me/sessions/end-others'),

  members: async (company: string) => (await call('get', '/api/companies/{company}/members', { path: { company } })).members,
  changeMember: (company: string, user: string, role: string) =>
    call('patch', '/api/companies/{company}/members/{user}', { path: { company, user }, json: { role } }),
  removeMember: (company: string, user: string) => call('delete', '/api/companies/{company}/members/{user}', { path: { company, user } }),
  invitations: async (company: string) => (await call('get', '/api/companies/{company}/invitations', { path: { company } })).invitations,
  invite: (company: string, email: string, role: string) =>
    call('post', '/api/companies/{company}/invitations', { path: { company }, json: { email, role } }),
  withdrawInvitation: (company: string, invitation: string) =>
    call('delete', '/api/companies/{company}/invitations/{invitation}', { path: { company, invitation } }),
  lookAtInvitation: (token: string) => call('post', '/api/invitations/look', { json: { token } }),
  acceptAsNew: (token: string, name: string, password: string) => call('post', '/api/invitations/accept-as-new', { json: { token, name, password } }),
  acceptInvitation: (token: string) => call('post', '/api/invitations/accept', { json: { token } }),

  users: async () => (await call('get', '/api/system-admin/users')).users,
  keepOut: (user: string, disabled: boolean) => call('patch', '/api/system-admin/users/{user}', { path: { user }, json: { disabled } }),
  createPasswordReset: (user: string) => call('post', '/api/system-admin/users/{user}/password-reset', { path: { user } }),

  audit: (query: { before?: number; action?: string; actor?: string; outcome?: string; limit: number }) => call('get', '/api/system-admin/audit', { query }),
  auditExport: () => address('/api/system-admin/audit/export'),

  renameCompany: (company: string, name: string) => call('patch', '/api/companies/{company}', { path: { company }, json: { name } }),
  transferCompany: (company: string, user: string) => call('post', '/api/companies/{company}/transfer', { path: { company }, json: { user_id: user } }),
  companyExport: (company: string) => address('/api/companies/{company}/export', { company }),
  companyLosses: (company: string) => call('get', '/api/companies/{company}/deletion', { path: { company } }),
  deleteCompany: (company: string, name: string) => call('post', '/api/companies/{company}/deletion', { path: { company }, json: { name } }),
  deletedCompanies: async () => (await call('get', '/api/system-admin/deleted-companies')).companies,
  restoreCompany: (company: string) => call('post', '/api/system-admin/deleted-companies/{company}/restore', { path: { company } }),
  createCompany: (name: string) => call('post', '/api/companies', { json: { name } }),

  widgets: async (company: string) => (await call('get', '/api/companies/{company}/widgets', { path: { company } })).widgets,
  widget: (company: string, widget: string) => call('get', '/api/companies/{company}/widgets/{widget}', { path: { company, widget } }),
  createWidget: (company: string, json: T.NewWidget) => call('post', '/api/companies/{company}/widgets', { path: { company }, json }),
  changeWidget: (company: string, widget: string, json: Partial<T.WidgetDraft>) =>
    call('patch', '/api/companies/{company}/widgets/{widget}', { path: { company, widget }, json }),
  deleteWidget: (company: string, widget: string) =>
    call('delete', '/api/companies/{company}/widgets/{widget}', { path: { company, widget } }),
  takeOverWidget: (company: string, widget: string) =>
    call('post', '/api/companies/{company}/widgets/{widget}/take-over', { path: { company, widget } }),
  startRun: (company: string, widget: string) =>
    call('post', '/api/companies/{company}/widgets/{widget}/runs', { path: { company, widget } }),
  runs: async (company: string, widget: string) =>
    (await call('get', '/api/companies/{company}/widgets/{widget}/runs', { path: { company, widget } })).runs,
  reports: async (company: string, widget: string) =>
    (await call('get', '/api/companies/{company}/widgets/{widget}/reports', { path: { company, widget } })).reports,
  series: async (company: string, widget: string) =>
    (await call('get', '/api/companies/{company}/widgets/{widget}/series', { path: { company, widget } })).series,
  report: (company: string, report: string) => call('get', '/api/companies/{company}/reports/{report}', { path: { company, report } }),
  run: (company: string, run: string) => call('get', '/api/companies/{company}/runs/{run}', { path: { company, run } }),
  cancelRun: (company: string, run: string) => call('post', '/api/companies/{company}/runs/{run}/cancel', { path: { company, run } }),
  runEvents: (company: string, run: string) => address('/api/companies/{company}/runs/{run}/events', { company, run }),

  chunk: (company: string, chunk: string) => call('get', '/api/companies/{company}/chunks/{chunk}', { path: { company, chunk } }),
  page: (company: string, hash: string) =>
    call('get', '/api/companies/{company}/pages/{content_hash}', { path: { company, content_hash: hash } }),

  /** The documents, and how large one may be. */
  documentList: (company: string) => call('get', '/api/companies/{company}/documents', { path: { company } }),
  documents: async (company: string) => (await api.documentList(company)).documents as T.DocumentView[],
  uploadPath: (company: string) => address('/api/companies/{company}/documents', { company }),
  documentContent: (company: string, document: string) =>
    address('/api/companies/{company}/documents/{document}/content', { company, document }),
  deleteDocument: (company: string, document: string) =>
    call('delete', '/api/companies/{company}/documents/{document}', { path: { company, document } }),

  conversations: async (company: string) =>
    (await call('get', '/api/companies/{company}/conversations', { path: { company } })).conversations,
  createConversation: (company: string, title?: string) =>
    call('post', '/api/companies/{company}/conversations', { path: { company }, json: { title } }),
  renameConversation: (company: string, conversation: string, title: string) =>
    call('patch', '/api/companies/{company}/conversations/{conversation}', { path: { company, conversation }, json: { title } }),
  deleteConversation: (company: string, conversation: string) =>
    call('delete', '/api/companies/{company}/conversations/{conversation}', { path: { company, conversation } }),
  messages: async (company: string, conversation: string) =>
    (await call('get', '/api/companies/{company}/conversations/{conversation}/messages', { path: { company, conversation } })).messages,
  ask: (company: string, conversation: string, text: string) =>
    call('post', '/api/companies/{company}/conversations/{conversation}/messages', { path: { company, conversation }, json: { text } }),
  cancelChatRun: (company: string, run: string) =>
    call('post', '/api/companies/{company}/chat-runs/{run}/cancel', { path: { company, run } }),
  chatEvents: (company: string, run: string) => address('/api/companies/{company}/chat-runs/{run}/events', { company, run }),

  usage: (company: string, days: number) => call('get', '/api/companies/{company}/usage', { path: { company }, query: { days } }),

  egressRules: async () => (await call('get', '/api/system-admin/egress/rules')).rules,
  addEgressRule: (json: T.NewRule) => call('post', '/api/system-admin/egress/rules', { json }),
  removeEgressRule: (id: string) => call('delete', '/api/system-admin/egress/rules/{id}', { path: { id } }),
  egressLog: async (limit: number) => (await call('get', '/api/system-admin/egress/log', { query: { limit } })).log,
  settings: async () => (await call('get', '/api/system-admin/settings')).settings,
};
