// What the evidence drawer shows: the same drawer for citations, findings, metrics and table cells.

import type { Citation, Evidence, Freshness } from '../api';
import { freshnessOf } from './freshness';

export interface Exhibit {
  /** Every part of the source that is quoted, in its order. */
  quotes: string[];
  title: string | null;
  url: string | null;
  documentId: string | null;
  pageNumber: number | null;
  contentHash: string;
  collectedAt: string;
  freshness: Freshness | null;
  chunkId: string | null;
  label: string;
}

interface Shown {
  company: string;
  heading: string;
  exhibits: Exhibit[];
  index: number;
}

let shown = $state<Shown | null>(null);

export const evidence = {
  get shown(): Shown | null {
    return shown;
  },
};

/** Opens the drawer on one or more exhibits; `heading` names what they support. */
export function showEvidence(company: string, heading: string, exhibits: Exhibit[], index = 0): void {
  if (exhibits.length > 0) shown = { company, heading, exhibits, index };
}

export function turnTo(index: number): void {
  if (shown && index >= 0 && index < shown.exhibits.length) shown = { ...shown, index };
}

export function hideEvidence(): void {
  shown = null;
}

export function fromCitation(citation: Citation): Exhibit {
  return {
    quotes: citation.quotes?.length ? citation.quotes : [citation.quote],
    title: citation.title,
    url: citation.url ?? null,
    documentId: citation.document_id ?? null,
    pageNumber: citation.page_number ?? null,
    contentHash: citation.content_hash,
    collectedAt: citation.collected_at,
    freshness: citation.freshness,
    chunkId: citation.chunk_id,
    label: `Citation ${citation.n}`,
  };
}

export function fromEvidence(item: Evidence, staleAfterHours: number, now: number): Exhibit {
  return {
    quotes: [item.quote],
    title: item.source.title ?? null,
    url: item.source.url ?? null,
    documentId: item.source.document_id ?? null,
    pageNumber: item.source.page_number ?? null,
    contentHash: item.content_hash,
    collectedAt: item.collected_at,
    freshness: freshnessOf(item.collected_at, staleAfterHours, now),
    chunkId: null,
    label: 'Evidence',
  };
}
