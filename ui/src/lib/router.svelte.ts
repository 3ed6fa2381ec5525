// A small history router: the address bar is the state, links are plain anchors.

let path = $state(location.pathname);
let search = $state(location.search);

export const route = {
  get path(): string {
    return path;
  },
  get query(): URLSearchParams {
    return new URLSearchParams(search);
  },
};

function settle(): void {
  path = location.pathname;
  search = location.search;
}

/** Goes to an address within the application. */
export function go(to: string, options: { replace?: boolean } = {}): void {
  if (to === location.pathname + location.search) return;
  if (options.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  const moved = path !== location.pathname;
  settle();
  if (moved && !options.replace) beginPage();
}

/** A new page begins at its top, and the keyboard inside it unless it stands in the frame around it. */
function beginPage(): void {
  const main = document.getElementById('main');
  main?.scrollTo(0, 0);
  if (main?.contains(document.activeElement)) main.focus({ preventScroll: true });
}

/** The one-time token behind the # of the address. It is taken out of the address bar, and so out of the history. */
export function takeToken(): string {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return token;
}

/** What stands behind the ? of the address, taken out of the address bar and so out of the history. */
export function takeQuery(): URLSearchParams {
  const query = new URLSearchParams(location.search);
  history.replaceState(null, '', location.pathname);
  settle();
  return query;
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = (event.target as Element | null)?.closest('a');
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== location.origin) return;
  if (anchor.pathname.startsWith('/api/')) return;
  if (anchor.hash && anchor.pathname === location.pathname) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

/** Starts following the address bar and clicks on links. */
export function startRouter(): void {
  addEventListener('popstate', settle);
  document.addEventListener('click', onClick);
}
