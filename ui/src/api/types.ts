// The shapes of the HTTP API, in one place so that types generated from the OpenAPI snapshot can take over.

/** An instant as RFC 3339 text in UTC. */
export type Instant = string;

export type Freshness = 'FRESH' | 'RECENT' | 'AGING' | 'STALE';
export type Role = 'owner' | 'admin' | 'dev' | 'member' | 'viewer';

export interface User {
  id: string;
  email: string;
  name: string;
  system_admin: boolean;
  created_at: Instant;
}

export interface Company {
  id: string;
  name: string;
  role: Role | null;
  created_at?: Instant;
}

export interface Me {
  user: User;
  companies: Company[];
  development_build: boolean;
  version: string;
}

export interface Session {
  user: User;
  session: { token: string; expires_at: Instant };
}

export interface SetupState {
  setup: 'open';
  /** What the bootstrap token is good for; `none` when there is none. */
  token: 'live' | 'expired' | 'burnt' | 'none';
  development_build: boolean;
  install_id: string;
  certificate_fingerprint: string | null;
  attempts_left: number;
}

export interface Status {
  version: string;
  development_build: boolean;
  licence: { reason: string; plan: string; expires_at: Instant | null };
  egress: { rules: number };
  work: { running_runs: number; running_chats: number; ingesting: number };
}

export interface PlanFeature {
  key: string;
  title: string;
  limit: number | null;
  enabled: boolean;
}

export interface LicenceView {
  reason: string;
  reason_text: string;
  /** What to do about it; empty when nothing needs doing. */
  remedy: string;
  plan: string;
  plan_title: string;
  customer: string | null;
  company: string | null;
  seats: { allowed: number | null; used: number };
  issued_at: Instant | null;
  not_before: Instant | null;
  expires_at: Instant | null;
  grace_until: Instant | null;
  days_left: number | null;
  notice_days: number | null;
  clock_suspect: Instant | null;
  install_id: string | null;
  development_build: boolean;
  features: PlanFeature[];
  key_id: string | null;
}

export type SourceClass = 'public_web' | 'internal_web' | 'upload' | 'company_docs' | 'feed' | 'api';

export interface CrawlPolicy {
  max_pages: number;
  max_depth: number;
  same_site: boolean;
  include: string[];
  exclude: string[];
  pagination?: 'auto' | 'next_link' | 'page_param' | 'none';
  robots: boolean;
  sitemap: boolean;
}

export interface SourceConfig {
  source_class: SourceClass;
  urls: string[];
  documents: string[];
  crawl: CrawlPolicy;
  recall_from_widgets?: string[];
  max_upstream_age_hours?: number | null;
}

export type Schedule =
  | { kind: 'manual' }
  | { kind: 'every'; minutes: number }
  | { kind: 'cron'; expression: string; time_zone: string };

export type Visibility = 'private' | 'company' | 'public';

export interface WidgetDraft {
  title: string;
  objective: string;
  source_config: SourceConfig;
  schedule: Schedule;
  stale_after_hours: number;
  visibility: Visibility;
  deep_collection: boolean;
  paused: boolean;
}

export interface Headline {
  name: string;
  value: number;
  unit: string | null;
  change: number | null;
  as_of: string | null;
}

export type RunState = 'queued' | 'collecting' | 'extracting' | 'reporting' | 'succeeded' | 'failed' | 'cancelled';
export type IngestState = 'none' | 'pending' | 'running' | 'done' | 'failed' | 'off';

export interface WidgetLatest {
  run_id: string;
  state: RunState;
  ingest: IngestState;
  error: Problem | null;
  finished_at: Instant | null;
  report_id: string | null;
  headline: Headline | null;
  findings: number;
  metrics: number;
  freshness: Freshness | null;
  collected_at: Instant | null;
}

export interface Point {
  at: Instant;
  value: number;
}

export interface Widget extends WidgetDraft {
  id: string;
  next_run_at: Instant | null;
  created_at: Instant;
  updated_at: Instant;
  latest: WidgetLatest | null;
  sparkline: Point[];
  upstream_widget_id: string | null;
  /** What would stop a run now, such as an address that is not allowed. */
  warnings: Problem[];
}

export type PageFate = 'new' | 'changed' | 'unchanged' | 'skipped' | 'failed';

export interface RunPage {
  url: string;
  fate: PageFate;
  reason: string | null;
  status?: number | null;
  bytes?: number | null;
  content_hash?: string | null;
  fetched_at?: Instant | null;
}

export interface Problem {
  code: string;
  message: string;
  remedy?: string | null;
}

export interface Run {
  id: string;
  widget_id: string;
  state: RunState;
  ingest: IngestState;
  trigger: string;
  attempt: number;
  cancel_asked: boolean;
  pages_collected: number;
  pages_planned: number;
  chunks: number;
  findings: number;
  metrics: number;
  report_id: string | null;
  error: Problem | null;
  queued_at: Instant;
  started_at: Instant | null;
  finished_at: Instant | null;
  pages?: RunPage[];
}

export interface SourceRef {
  url?: string | null;
  document_id?: string | null;
  title?: string | null;
  page_number?: number | null;
}

export interface Evidence {
  id: string;
  quote: string;
  source: SourceRef;
  content_hash: string;
  collected_at: Instant;
}

export interface Finding {
  id: string;
  text: string;
  evidence: string[];
  entities: string[];
}

export interface Metric {
  id: string;
  name: string;
  value: number;
  unit: string | null;
  as_of: string | null;
  evidence: string[];
}

export interface ReportRow {
  cells: string[];
  evidence: string[];
}

export interface ReportTable {
  id: string;
  title: string;
  columns: string[];
  rows: ReportRow[];
  evidence: string[];
}

export interface MetricChange {
  name: string;
  unit: string | null;
  /** Null when the figure was not there before, or is gone. */
  previous: number | null;
  current: number | null;
  change: number | null;
}

export interface ReportChanges {
  metrics: MetricChange[];
  new_findings: string[];
  gone_findings: string[];
}

export interface Report {
  id: string;
  widget_id: string;
  run_id: string;
  title: string;
  pages: number;
  collected_at: Instant;
  created_at: Instant;
  summary: string;
  findings: Finding[];
  metrics: Metric[];
  tables: ReportTable[];
  evidence: Evidence[];
  extractor: string;
  changes: ReportChanges | null;
}

export interface ReportHead {
  id: string;
  run_id: string;
  title: string;
  collected_at: Instant;
  created_at: Instant;
  findings: number;
  metrics: number;
  pages: number;
}

export interface Series {
  name: string;
  unit: string | null;
  points: (Point & { as_of: string | null; report_id: string })[];
}

export interface ChunkView {
  id: string;
  chunk_type: string;
  content: string;
  /** The part of it that stands word for word in its source. */
  quotable: string;
  title: string;
  source_urls: string[];
  document_id: string | null;
  page_number: number | null;
  content_hash: string;
  collected_at: Instant;
  freshness: Freshness;
  widget_id: string | null;
  report_id: string | null;
  run_id: string | null;
}

export interface PageView {
  url: string | null;
  document_id: string | null;
  title: string;
  text: string;
  collected_at: Instant;
  content_hash: string;
}

export type DocumentState = 'stored' | 'ingesting' | 'ready' | 'failed';

export interface DocumentView {
  id: string;
  name: string;
  media_type: string;
  size_bytes: number;
  version: number;
  content_hash: string;
  text_hash: string | null;
  pages: number | null;
  chunks: number;
  state: DocumentState;
  error: Problem | null;
  uploaded_at: Instant;
  uploaded_by: string;
}

export interface Citation {
  n: number;
  chunk_id: string;
  quote: string;
  title: string | null;
  url: string | null;
  document_id: string | null;
  page_number: number | null;
  content_hash: string;
  collected_at: Instant;
  freshness: Freshness | null;
}

export interface Conversation {
  id: string;
  title: string | null;
  created_at: Instant;
  updated_at: Instant;
}

export interface Message {
  id: string;
  role: 'user' | 'assistant';
  text: string;
  citations: Citation[];
  run_id: string | null;
  model: string | null;
  quoted: boolean;
  tokens: { prompt: number; completion: number } | null;
  seconds: number | null;
  state: string;
  created_at: Instant;
}

export interface Usage {
  balance: number;
  /** Set aside for work under way. */
  reserved: number;
  totals_by_type: { tx_type: string; tokens: number }[];
  by_day: { day: string; spent: number; earned: number }[];
  by_model: { model: string; tokens: number }[];
  transactions: Transaction[];
}

export interface Transaction {
  id: string;
  created_at: Instant;
  tx_type: string;
  amount: number;
  balance_after: number;
  reference_key: string | null;
  reference_id: string | null;
}

export interface EgressRule {
  id: string;
  destination: string;
  port: number | null;
  allow_private: boolean;
  reason: string;
  created_by: string;
  created_at: Instant;
}

export interface EgressAttempt {
  id: number;
  at: Instant;
  purpose: string;
  method: string;
  /** scheme://host:port/path, never the query. */
  destination: string;
  address: string | null;
  /** `ok`, or the code of what went wrong. */
  outcome: string;
  /** The outcome in words, when it went wrong. */
  reason: string | null;
  status: number | null;
  bytes_sent: number;
  bytes_received: number;
  duration_millis: number;
}

export interface Setting {
  name: string;
  value: string;
  origin: string;
  meaning: string;
  expected: string;
  state: 'used' | 'not_used_yet';
}

export interface Readiness {
  ready: boolean;
  reasons: string[];
}
