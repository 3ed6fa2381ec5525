import type { SourceClass, Widget, WidgetDraft } from '../api/types';
import { isPrivateHost } from './egress';

/** A new automation with the defaults of the form. */
export function blankWidget(): WidgetDraft {
  return {
    title: '',
    objective: '',
    source_config: {
      source_class: 'public_web',
      urls: [],
      documents: [],
      recall_from_widgets: [],
      crawl: { max_pages: 20, max_depth: 2, same_site: true, include: [], exclude: [], pagination: 'auto', robots: true, sitemap: true },
    },
    schedule: { kind: 'every', minutes: 1440 },
    stale_after_hours: 48,
    visibility: 'company',
    deep_collection: false,
    paused: false,
  };
}

/** The editable part of an existing automation. */
export function draftOf(widget: Widget): WidgetDraft {
  const { title, objective, source_config, schedule, stale_after_hours, visibility, deep_collection, paused } = widget;
  return structuredClone({ title, objective, source_config, schedule, stale_after_hours, visibility, deep_collection, paused });
}

/** Pages in one's own network are `internal_web`. */
export function classOf(url: string): SourceClass {
  try {
    return isPrivateHost(new URL(url).hostname) ? 'internal_web' : 'public_web';
  } catch {
    return 'public_web';
  }
}

/** An address as a browser would read it: a site of one's own network is rarely behind TLS. */
export function withScheme(address: string): string {
  if (address === '' || /^[a-z][a-z\d+.-]*:\/\//i.test(address)) return address;
  return `${classOf(`http://${address}`) === 'internal_web' ? 'http' : 'https'}://${address}`;
}

/** One entry per line, without blanks. */
export function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}
