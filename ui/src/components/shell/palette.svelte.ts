// What the command palette offers: places, things to do, and everything of the company by name.

import { api, type Company, type Conversation, type DocumentView, type Widget } from '../../api';
import type { IconName } from '../../design/icons';
import { rank } from '../../lib/find';
import type { Role } from '../../lib/roles';
import { go } from '../../lib/router.svelte';
import { may, session, signOut } from '../../lib/session.svelte';
import { chooseTheme, nextTheme } from '../../lib/theme.svelte';
import { toastError } from '../../lib/toasts.svelte';

export interface Entry {
  id: string;
  label: string;
  hint?: string;
  icon: IconName;
  run: () => void;
}

export interface Group {
  name: string;
  entries: Entry[];
}

const to = (href: string) => (): void => go(href);

export class PaletteEntries {
  private widgets = $state.raw<Widget[]>([]);
  private conversations = $state.raw<Conversation[]>([]);
  private documents = $state.raw<DocumentView[]>([]);

  constructor(private readonly company: () => Company | null) {}

  async load(): Promise<void> {
    const id = this.company()?.id;
    if (!id) return;
    [this.widgets, this.conversations, this.documents] = await Promise.all([
      api.widgets(id).catch(() => []),
      api.conversations(id).catch(() => []),
      api.documents(id).catch(() => []),
    ]);
  }

  /** The groups with what answers the typed words; the best of each group first. */
  matching(typed: string): Group[] {
    const best = (entries: Entry[]): Entry[] =>
      entries
        .map((entry) => ({ entry, score: rank(`${entry.label} ${entry.hint ?? ''}`, typed) }))
        .filter((each) => each.score >= 0)
        .sort((a, b) => b.score - a.score)
        .map((each) => each.entry);
    return [
      { name: 'Go to', entries: best(this.places()) },
      { name: 'Do', entries: best(this.actions()) },
      { name: 'Find', entries: best(this.things()) },
      { name: 'Run', entries: best(this.runs()) },
    ].filter((group) => group.entries.length > 0);
  }

  private get base(): string {
    return `/c/${this.company()?.id ?? ''}`;
  }

  private may(role: Role): boolean {
    return may(this.company()?.id ?? '', role);
  }

  private places(): Entry[] {
    const { base } = this;
    const company: Entry[] = [
      { id: 'home', label: 'Home', icon: 'house', run: to(base) },
      { id: 'chat', label: 'Chat', icon: 'chat', run: to(`${base}/chat`) },
      { id: 'automations', label: 'Automations', icon: 'automation', run: to(`${base}/automations`) },
      { id: 'documents', label: 'Documents', icon: 'document', run: to(`${base}/documents`) },
      { id: 'usage', label: 'Usage', icon: 'usage', run: to(`${base}/usage`) },
    ];
    company.push({ id: 'members', label: 'Members', icon: 'users', run: to(`${base}/members`) });
    company.push({ id: 'keys', label: 'API keys', icon: 'key', run: to(`${base}/keys`) });
    company.push({ id: 'company', label: 'Company: name, export, end', icon: 'building', run: to(`${base}/settings`) });
    const admin: Entry[] = [
      ...(session.status?.issuer ? [{ id: 'issuer', label: 'Issuer of activation codes', icon: 'key' as const, run: to('/appliance/issuer') }] : []),
      { id: 'users', label: 'Users of the appliance', icon: 'user', run: to('/appliance/users') },
      { id: 'health', label: 'Appliance health', icon: 'health', run: to('/appliance') },
      { id: 'audit', label: 'Audit log', icon: 'shield', run: to('/appliance/audit') },
      { id: 'egress', label: 'Egress rules and log', icon: 'egress', run: to('/appliance/egress') },
      { id: 'settings', label: 'Settings', icon: 'settings', run: to('/appliance/settings') },
    ];
    return [
      ...(this.company() ? company : []),
      { id: 'licence', label: 'Licence', icon: 'licence', run: to('/appliance/licence') },
      ...(session.systemAdmin ? admin : []),
    ];
  }

  private actions(): Entry[] {
    const { base } = this;
    const company: Entry[] = [
      { id: 'ask', label: 'Ask a question', icon: 'chat', run: to(`${base}/chat`) },
      { id: 'new-automation', label: 'New automation', icon: 'plus', run: to(`${base}/automations/new`) },
      { id: 'upload', label: 'Upload documents', icon: 'upload', run: to(`${base}/documents`) },
    ];
    return [
      ...(this.may('member') ? company : []),
      { id: 'account', label: 'Your account: password, e-mail, second factor and sessions', icon: 'key', run: to('/account') },
      { id: 'theme', label: `Change the theme to ${nextTheme()}`, icon: 'moon', run: () => chooseTheme(nextTheme()) },
      { id: 'sign-out', label: 'Sign out', icon: 'logout', run: () => void signOut() },
    ];
  }

  private things(): Entry[] {
    const { base } = this;
    return [
      ...this.widgets.map((each): Entry => ({ id: each.id, label: each.title, hint: 'Automation', icon: 'automation', run: to(`${base}/automations/${each.id}`) })),
      ...this.conversations.map((each): Entry => ({ id: each.id, label: each.title || 'Untitled', hint: 'Conversation', icon: 'chat', run: to(`${base}/chat/${each.id}`) })),
      ...this.documents.map((each): Entry => ({ id: each.id, label: each.name, hint: 'Document', icon: 'document', run: to(`${base}/documents`) })),
      ...session.companies.map((each): Entry => ({ id: each.id, label: each.name, hint: 'Company', icon: 'building', run: to(`/c/${each.id}`) })),
    ];
  }

  private runs(): Entry[] {
    if (!this.may('member')) return [];
    return this.widgets.map((each) => ({ id: `run-${each.id}`, label: `Run ${each.title}`, icon: 'play', run: () => void this.start(each) }));
  }

  private async start(widget: Widget): Promise<void> {
    const company = this.company();
    if (!company) return;
    await api.startRun(company.id, widget.id).catch(toastError);
    go(`${this.base}/automations/${widget.id}`);
  }
}
