/** Lets the keyboard scroll what overflows: a box is in the tab order only while it has something to scroll. */
export function scrollable(element: HTMLElement): { destroy: () => void } {
  const update = (): void => {
    const overflows = element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight;
    if (overflows) element.tabIndex = 0;
    else element.removeAttribute('tabindex');
  };
  const watcher = new ResizeObserver(update);
  watcher.observe(element);
  for (const child of element.children) watcher.observe(child);
  return { destroy: () => watcher.disconnect() };
}
