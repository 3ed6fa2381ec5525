/** How well a text answers what was typed: every word must occur; a word's start counts more. -1 means not at all. */
export function rank(text: string, typed: string): number {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const lower = text.toLowerCase();
  let score = 0;
  for (const word of words) {
    const at = lower.indexOf(word);
    if (at < 0) return -1;
    const starts = at === 0 || /[^\p{L}\p{N}]/u.test(lower.charAt(at - 1));
    score += starts ? 2 : 1;
    if (at === 0) score += 1;
  }
  return score;
}
