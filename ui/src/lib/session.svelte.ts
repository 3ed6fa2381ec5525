// Who is signed in, what the appliance says about itself, and which company is being looked at.

import { api, ApiError, asApiError, type Company, type Me, type Opening, type SetupState, type Status } from '../api';
import { whenSignedOut } from '../api/client';
import { allows, type Role } from './roles';
import { keep, read } from './storage';

type Phase = 'loading' | 'setup' | 'signed-out' | 'signed-in' | 'unreachable';

const REMEMBERED = 'onsite.company';

let phase = $state<Phase>('loading');
let me = $state<Me | null>(null);
let setup = $state<SetupState | null>(null);
let status = $state<Status | null>(null);
// What the appliance says to anybody.
let opening = $state<Opening | null>(null);
let trouble = $state<ApiError | null>(null);
let ended = $state(false);

export const session = {
  get phase(): Phase {
    return phase;
  },
  get me(): Me | null {
    return me;
  },
  get setup(): SetupState | null {
    return setup;
  },
  get status(): Status | null {
    return status;
  },
  get trouble(): ApiError | null {
    return trouble;
  },
  /** True when a session ended under the user's hands, so that sign-in can say so. */
  get ended(): boolean {
    return ended;
  },
  get companies(): Company[] {
    return me?.companies ?? [];
  },
  get systemAdmin(): boolean {
    return me?.user.system_admin ?? false;
  },
  /** A second factor has to be set up before anything else. */
  get mustEnrol(): boolean {
    return me?.must_enrol ?? false;
  },
  /** Whether a forgotten password is replaced by a mailed link. */
  get mailsLinks(): boolean {
    return opening?.mails_links ?? false;
  },
  /** What the OpenID Connect provider is called, where there is one. */
  get oidc(): string | null {
    return opening?.oidc ?? null;
  },
  /** What the directory is called whose passwords are taken, where there is one. */
  get ldap(): string | null {
    return opening?.ldap ?? null;
  },
  get developmentBuild(): boolean {
    return me?.development_build ?? setup?.development_build ?? status?.development_build ?? opening?.development_build ?? false;
  },
};

whenSignedOut(() => {
  if (phase !== 'signed-in') return;
  ended = true;
  me = null;
  status = null;
  phase = 'signed-out';
});

/** Finds out whether the appliance is being set up, wants a sign-in, or knows us already. */
export async function start(): Promise<void> {
  try {
    // Asked first, as it is never refused: what is, the browser reports as an error.
    opening = await api.opening();
    if (opening.setup_open) await findSetup();
    else if (opening.signed_in) await loadMe();
    else phase = 'signed-out';
  } catch (cause) {
    const error = asApiError(cause);
    if (error.status === 401) {
      phase = 'signed-out';
      return;
    }
    trouble = error;
    phase = 'unreachable';
  }
}

/** Reads how far setup is, for example how many attempts are left. */
export async function findSetup(): Promise<void> {
  setup = await api.setup();
  phase = 'setup';
}

/** Reads the signed-in user again, for example after a sign-in or a new company. */
export async function loadMe(): Promise<void> {
  me = await api.me();
  trouble = null;
  ended = false;
  phase = 'signed-in';
  if (!me.must_enrol) void refreshStatus();
}

export async function refreshStatus(): Promise<void> {
  status = await api.status().catch(() => status);
}

export async function signOut(): Promise<void> {
  await api.signOut().catch(() => undefined);
  forget();
}

/** Shows the sign-in when the session has been ended already. */
export function forget(): void {
  me = null;
  status = null;
  phase = 'signed-out';
}

/** Whether the signed-in user has at least this role in a company. */
export function may(company: string, needed: Role): boolean {
  return allows(session.companies.find((each) => each.id === company)?.role, needed);
}

/** Whether they may change or delete a thing of the company that `maker` made: a member their own, dev and above everybody's. */
export function mayChange(company: string, maker: string): boolean {
  return may(company, 'dev') || (may(company, 'member') && maker === me?.user.id);
}

/** The company to open when the address names none. */
export function preferredCompany(): Company | null {
  const remembered = read(REMEMBERED);
  return session.companies.find((company) => company.id === remembered) ?? session.companies[0] ?? null;
}

export function rememberCompany(id: string): void {
  keep(REMEMBERED, id);
}
