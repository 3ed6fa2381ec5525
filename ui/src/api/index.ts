import { address, call, send } from './client';
import type * as T from './types';

export type * from './types';
export { ApiError, asApiError, isAbort } from './errors';
export { follow, type LogEvent } from './sse';

/** Items of one part of a list, and how many parts a screen reads at most. */
const PART = 500;
const PARTS = 20;
/** Runs and reports of one automation that are shown: the latest. */
const LATEST = 50;

/** A whole list, part by part. */
async function parts<A extends { next_before?: string | number | null }>(part: (query: { limit: number; before?: string }) => Promise<A>): Promise<[A, ...A[]]> {
  let last = await part({ limit: PART });
  const answers: [A, ...A[]] = [last];
  while (last.next_before != null && answers.length < PARTS) {
    last = await part({ limit: PART, before: String(last.next_before) });
    answers.push(last);
  }
  return answers;
}

/** The appliance's API, one function per operation. */
export const api = {
  setup: () => call('get', '/api/setup'),
  /** Whether this is the setup token. A wrong one counts as a try, the right one stays as it is. */
  checkSetupToken: (token: string) => call('post', '/api/setup/check', { json: { token } }),
  redeem: (json: T.RedeemRequest) => call('post', '/api/setup/redeem', { json }),
  signIn: (json: { email: string; password: string }) => call('post', '/api/auth/login', { json }),
  /** The second step: how the factor is shown, and its code. */
  secondStep: (second_step: string, method: string, code: string) => call('post', '/api/auth/second-step', { json: { second_step, method, code } }),
  /** Where the browser goes to sign in at the provider. */
  beginOidc: () => call('post', '/api/auth/oidc/begin'),
  finishOidc: (json: { state: string; code?: string; error?: string; iss?: string }) => call('post', '/api/auth/oidc/finish', { json }),
  signInLdap: (json: { user: string; password: string }) => call('post', '/api/auth/ldap', { json }),
  mailAnotherCode: (second_step: string) => call('post', '/api/auth/second-step/mail', { json: { second_step } }),
  askForPasskeyAtSignIn: (second_step: string) => call('post', '/api/auth/second-step/passkey/challenge', { json: { second_step } }),
  secondStepByPasskey: (second_step: string, passkey: T.PasskeyAnswer) => call('post', '/api/auth/second-step/passkey', { json: { second_step, passkey } }),
  signOut: () => call('post', '/api/auth/logout'),
  me: () => call('get', '/api/me'),
  opening: () => call('get', '/api/session'),
  status: () => call('get', '/api/status'),
  /** Read past errors: an appliance that is not ready says so with a 503 and the reasons. */
  async readiness(): Promise<T.Readiness> {
    const response = await fetch(address('/readyz'), { headers: { accept: 'application/json' } });
    return (await response.json()) as T.Readiness;
  },

  licence: () => call('get', '/api/license'),
  enterLicence: (code: string) => call('post', '/api/license', { json: { code } }),
  /** A file that holds a code, or a picture of its QR code. */
  async enterLicenceFile(file: File): Promise<T.LicenceView> {
    const form = new FormData();
    form.append('file', file);
    return (await (await send('post', address('/api/license'), { form })).json()) as T.LicenceView;
  },
  licenceRequest: (query: { company?: string; contact?: string }) => call('get', '/api/license/request', { query }),
  licenceRequestPicture: (query: { company?: string; contact?: string }) => address('/api/license/request/qr', {}, query),

  issuer: () => call('get', '/api/issuer'),
  issueRequests: async () => (await call('get', '/api/issuer/requests')).requests,
  orderLicence: (json: T.NewIssueRequest) => call('post', '/api/issuer/requests', { json }),
  signIssueRequest: (request: string) => call('post', '/api/issuer/requests/{request}/sign', { path: { request } }),
  withdrawIssueRequest: (request: string) => call('delete', '/api/issuer/requests/{request}', { path: { request } }),
  issuePicture: (request: string) => address('/api/issuer/requests/{request}/qr', { request }),
  billing: () => call('get', '/api/billing'),

  resetPassword: (token: string, password: string) => call('post', '/api/auth/password-reset', { json: { token, password } }),
  forgotPassword: (email: string) => call('post', '/api/auth/forgot-password', { json: { email } }),
  verifyEmail: (token: string) => call('post', '/api/auth/verify-email', { json: { token } }),
  security: () => call('get', '/api/me/security'),
  stepUp: (json: { password?: string; method?: string; code?: string }) => call('post', '/api/me/step-up', { json }),
  askForPasskeyAgain: () => call('post', '/api/me/step-up/passkey/challenge'),
  stepUpByPasskey: (json: T.PasskeyAnswer) => call('post', '/api/me/step-up/passkey', { json }),
  askForNewPasskey: () => call('post', '/api/me/factors/passkeys/challenge'),
  addPasskey: (json: T.NewPasskey) => call('post', '/api/me/factors/passkeys', { json }),
  renamePasskey: (passkey: string, name: string) => call('patch', '/api/me/factors/passkeys/{passkey}', { path: { passkey }, json: { name } }),
  removePasskey: (passkey: string) => call('delete', '/api/me/factors/passkeys/{passkey}', { path: { passkey } }),
  offerTotp: () => call('post', '/api/me/factors/totp'),
  confirmTotp: async (code: string) => (await call('post', '/api/me/factors/totp/confirm', { json: { code } })).recovery_codes,
  removeTotp: () => call('delete', '/api/me/factors/totp'),
  newRecoveryCodes: async () => (await call('post', '/api/me/factors/recovery-codes')).recovery_codes,
  changePassword: (present: string, password: string) => call('post', '/api/me/password', { json: { present_password: present, password } }),
  sessions: async () => (await call('get', '/api/me/sessions')).sessions,
  endSession: (session: string) => call('delete', '/api/me/sessions/{session}', { path: { session } }),
  changeEmail: (present: string, email: string) => call('post', '/api/me/email', { json: { present_password: present, email } }),
  endAllSessions: () => call('post', '/api/me/sessions/end-all'),
  endOtherSessions: () => call('post', '/api/me/sessions/end-others'),

  members: async (company: string) =>
    (await parts((query) => call('get', '/api/companies/{company}/members', { path: { company }, query }))).flatMap((part) => part.members),
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

  apiKeys: async (company: string) => (await call('get', '/api/companies/{company}/api-keys', { path: { company } })).api_keys,
  createApiKey: (company: string, json: T.NewApiKey) => call('post', '/api/companies/{company}/api-keys', { path: { company }, json }),
  revokeApiKey: (company: string, api_key: string) =>
    call('delete', '/api/companies/{company}/api-keys/{api_key}', { path: { company, api_key } }),

  encryption: () => call('get', '/api/system-admin/encryption'),
  users: async () => (await call('get', '/api/system-admin/users')).users,
  keepOut: (user: string, disabled: boolean) => call('patch', '/api/system-admin/users/{user}', { path: { user }, json: { disabled } }),
  createPasswordReset: (user: string) => call('post', '/api/system-admin/users/{user}/password-reset', { path: { user } }),

  removeFactors: (user: string) => call('delete', '/api/system-admin/users/{user}/factors', { path: { user } }),
  mail: () => call('get', '/api/system-admin/mail'),
  testMail: (to: string) => call('post', '/api/system-admin/mail/test', { json: { to } }),

  signOn: () => call('get', '/api/system-admin/sign-on'),
  testSignOn: (source: string) => call('post', '/api/system-admin/sign-on/test', { json: { source } }),
  addGroupRole: (json: T.NewGroupRole) => call('post', '/api/system-admin/sign-on/groups', { json }),
  removeGroupRole: (group: string) => call('delete', '/api/system-admin/sign-on/groups/{group}', { path: { group } }),

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

  /** `since` (ms) is when the reader last looked: each automation then says which figures moved. */
  widgets: async (company: string, since?: number) => {
    const look = since === undefined ? {} : { since: new Date(since).toISOString() };
    return (await parts((query) => call('get', '/api/companies/{company}/widgets', { path: { company }, query: { ...query, ...look } }))).flatMap((part) => part.widgets);
  },
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
    (await call('get', '/api/companies/{company}/widgets/{widget}/runs', { path: { company, widget }, query: { limit: LATEST } })).runs,
  reports: async (company: string, widget: string) =>
    (await call('get', '/api/companies/{company}/widgets/{widget}/reports', { path: { company, widget }, query: { limit: LATEST } })).reports,
  series: async (company: string, widget: string) =>
    (await call('get', '/api/companies/{company}/widgets/{widget}/series', { path: { company, widget } })).series,
  report: (company: string, report: string) => call('get', '/api/companies/{company}/reports/{report}', { path: { company, report } }),
  /** A run with the fate of all of its pages. */
  async run(company: string, run: string): Promise<T.Run> {
    const found = await parts((query) => call('get', '/api/companies/{company}/runs/{run}', { path: { company, run }, query }));
    return { ...found[0], pages: found.flatMap((part) => part.pages ?? []) };
  },
  cancelRun: (company: string, run: string) => call('post', '/api/companies/{company}/runs/{run}/cancel', { path: { company, run } }),
  runEvents: (company: string, run: string) => address('/api/companies/{company}/runs/{run}/events', { company, run }),

  chunk: (company: string, chunk: string) => call('get', '/api/companies/{company}/chunks/{chunk}', { path: { company, chunk } }),
  page: (company: string, hash: string) =>
    call('get', '/api/companies/{company}/pages/{content_hash}', { path: { company, content_hash: hash } }),

  /** The documents, and how large one may be. */
  async documentList(company: string): Promise<T.DocumentList> {
    const found = await parts((query) => call('get', '/api/companies/{company}/documents', { path: { company }, query }));
    return { ...found[0], documents: found.flatMap((part) => part.documents) };
  },
  documents: async (company: string) => (await api.documentList(company)).documents as T.DocumentView[],
  uploadPath: (company: string) => address('/api/companies/{company}/documents', { company }),
  documentContent: (company: string, document: string) =>
    address('/api/companies/{company}/documents/{document}/content', { company, document }),
  deleteDocument: (company: string, document: string) =>
    call('delete', '/api/companies/{company}/documents/{document}', { path: { company, document } }),

  conversations: async (company: string) =>
    (await parts((query) => call('get', '/api/companies/{company}/conversations', { path: { company }, query }))).flatMap((part) => part.conversations),
  createConversation: (company: string, title?: string) =>
    call('post', '/api/companies/{company}/conversations', { path: { company }, json: { title } }),
  renameConversation: (company: string, conversation: string, title: string) =>
    call('patch', '/api/companies/{company}/conversations/{conversation}', { path: { company, conversation }, json: { title } }),
  deleteConversation: (company: string, conversation: string) =>
    call('delete', '/api/companies/{company}/conversations/{conversation}', { path: { company, conversation } }),
  /** The messages in order: the newest part comes first. */
  async messages(company: string, conversation: string): Promise<T.Message[]> {
    const path = { company, conversation };
    const found = await parts((query) => call('get', '/api/companies/{company}/conversations/{conversation}/messages', { path, query }));
    return found.reverse().flatMap((part) => part.messages);
  },
  ask: (company: string, conversation: string, text: string) =>
    call('post', '/api/companies/{company}/conversations/{conversation}/messages', { path: { company, conversation }, json: { text } }),
  cancelChatRun: (company: string, run: string) =>
    call('post', '/api/companies/{company}/chat-runs/{run}/cancel', { path: { company, run } }),
  chatEvents: (company: string, run: string) => address('/api/companies/{company}/chat-runs/{run}/events', { company, run }),

  ownUsage: (company: string) => call('get', '/api/companies/{company}/usage/me', { path: { company } }),
  memberUsage: async (company: string, days: number) =>
    (await call('get', '/api/companies/{company}/usage/members', { path: { company }, query: { days } })).members,
  usage: (company: string, days: number) => call('get', '/api/companies/{company}/usage', { path: { company }, query: { days } }),

  egressRules: async () => (await call('get', '/api/system-admin/egress/rules')).rules,
  addEgressRule: (json: T.NewRule) => call('post', '/api/system-admin/egress/rules', { json }),
  removeEgressRule: (id: string) => call('delete', '/api/system-admin/egress/rules/{id}', { path: { id } }),
  egressLog: async (limit: number) => (await call('get', '/api/system-admin/egress/log', { query: { limit } })).log,
  settings: async () => (await call('get', '/api/system-admin/settings')).settings,
};
