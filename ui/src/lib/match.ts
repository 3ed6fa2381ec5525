/** The parameters of a path that fits a pattern such as `/c/:company/chat/:conversation`, else null. */
export function match(pattern: string, candidate: string): Record<string, string> | null {
  const wanted = pattern.split('/').filter(Boolean);
  const given = candidate.split('/').filter(Boolean);
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, piece] of wanted.entries()) {
    const value = given[index] ?? '';
    if (piece.startsWith(':')) params[piece.slice(1)] = decodeURIComponent(value);
    else if (piece !== value) return null;
  }
  return params;
}
