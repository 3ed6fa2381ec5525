// Every page, its address, and the code it is loaded from when first opened.

import type { Component } from 'svelte';
import { match } from './lib/match';

type Load = () => Promise<{ default: Component<never> }>;

// One and the same for both of its addresses, so that a conversation that gets its address stays on screen while it is answered.
const chat: Load = () => import('./features/chat/Chat.svelte');

const PAGES: [pattern: string, load: Load][] = [
  ['/c/:company', () => import('./features/home/Home.svelte')],
  ['/c/:company/chat', chat],
  ['/c/:company/chat/:conversation', chat],
  ['/c/:company/automations', () => import('./features/automations/Automations.svelte')],
  ['/c/:company/automations/new', () => import('./features/automations/NewWidget.svelte')],
  ['/c/:company/automations/:widget', () => import('./features/automations/WidgetPage.svelte')],
  ['/c/:company/automations/:widget/edit', () => import('./features/automations/EditWidget.svelte')],
  ['/c/:company/runs/:run', () => import('./features/automations/RunPage.svelte')],
  ['/c/:company/reports/:report', () => import('./features/report/ReportPage.svelte')],
  ['/c/:company/documents', () => import('./features/documents/Documents.svelte')],
  ['/c/:company/usage', () => import('./features/usage/Usage.svelte')],
  ['/c/:company/members', () => import('./features/members/Members.svelte')],
  ['/c/:company/keys', () => import('./features/keys/ApiKeys.svelte')],
  ['/c/:company/settings', () => import('./features/company/Company.svelte')],
  ['/account', () => import('./features/account/Account.svelte')],
  ['/appliance', () => import('./features/appliance/Health.svelte')],
  ['/appliance/licence', () => import('./features/licence/Licence.svelte')],
  ['/appliance/issuer', () => import('./features/issuer/Issuer.svelte')],
  ['/appliance/users', () => import('./features/appliance/Users.svelte')],
  ['/appliance/audit', () => import('./features/appliance/Audit.svelte')],
  ['/appliance/egress', () => import('./features/appliance/Egress.svelte')],
  ['/appliance/mail', () => import('./features/appliance/Mail.svelte')],
  ['/appliance/sign-on', () => import('./features/appliance/SignOn.svelte')],
  ['/appliance/settings', () => import('./features/appliance/Settings.svelte')],
];

export interface Page {
  load: Load;
  params: Record<string, string>;
}

/** The page at an address; the earlier pattern wins. */
export function pageAt(path: string): Page | null {
  for (const [pattern, load] of PAGES) {
    const params = match(pattern, path);
    if (params) return { load, params };
  }
  return null;
}
