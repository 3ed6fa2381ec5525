// Where we are, set by each page.

export interface Crumb {
  label: string;
  href?: string;
}

let list = $state.raw<Crumb[]>([]);

export const crumbs = {
  get list(): Crumb[] {
    return list;
  },
};

/** Names the place in the breadcrumb and in the window's title. */
export function place(...next: Crumb[]): void {
  list = next;
  const title = next.at(-1)?.label;
  document.title = title ? `${title} · Onsite` : 'Onsite';
}
