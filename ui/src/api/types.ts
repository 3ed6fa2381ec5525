// The shapes of the HTTP API under the names the interface uses: all of them come from schema.ts, which `npm run gen` makes.

export type {
  AccountView,
  AuditRow,
  ChunkView,
  Citation,
  Conversation,
  CrawlPolicy,
  DocumentView,
  EgressAttempt,
  EgressRule,
  Evidence,
  FeatureView as PlanFeature,
  Freshness,
  Invitation,
  InvitedView as Invited,
  LicenceView,
  Me,
  Member,
  Message,
  MyCompany as Company,
  NewRule,
  NewWidget,
  Page as RunPage,
  PageFate,
  NoticeView as Problem,
  OpenSessionView as OpenSession,
  PageView,
  Readiness,
  RedeemRequest,
  Report,
  ReportHead,
  ReportTable,
  Run,
  RunState,
  Schedule,
  Series,
  Setting,
  SetupView as SetupState,
  SourceClass,
  SourceConfigView as SourceConfig,
  SparkPoint as Point,
  Status,
  TableRow as ReportRow,
  TransactionView as Transaction,
  UsageView as Usage,
  User,
  Widget,
} from './schema';

import type { Widget } from './schema';

/** What the form of an automation holds: all that can be changed of one. */
export type WidgetDraft = Pick<
  Widget,
  'title' | 'objective' | 'source_config' | 'schedule' | 'stale_after_hours' | 'visibility' | 'deep_collection' | 'paused'
>;
