const SLACK = 1;

/**
 * Lets the keyboard scroll what overflows, and shows that there is more: a box is in the tab order only while it has something to scroll, and fades out
 * on the side where something lies beyond its edge.
 */
export function scrollable(element: HTMLElement): { destroy: () => void } {
  const update = (): void => {
    const { scrollWidth, clientWidth, scrollHeight, clientHeight, scrollLeft } = element;
    if (scrollWidth > clientWidth || scrollHeight > clientHeight) element.tabIndex = 0;
    else element.removeAttribute('tabindex');
    element.classList.toggle('more-before', scrollLeft > SLACK);
    element.classList.toggle('more-after', scrollLeft + clientWidth < scrollWidth - SLACK);
  };
  const watcher = new ResizeObserver(update);
  watcher.observe(element);
  for (const child of element.children) watcher.observe(child);
  element.addEventListener('scroll', update, { passive: true });
  return {
    destroy: () => {
      watcher.disconnect();
      element.removeEventListener('scroll', update);
    },
  };
}
