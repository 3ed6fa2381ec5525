// Finding quotes in the text they were taken from.

export interface Part {
  text: string;
  marked: boolean;
}

export interface Excerpt {
  before: string;
  /** From the first quote to the last: what is quoted, and what stands between. */
  parts: Part[];
  after: string;
  /** False when no quote was found: then only the quotes are shown. */
  found: boolean;
}

/** Text between two quotes that is shown whole; of more, both ends. */
const GAP_MAX = 400;

const collapse = (text: string): string => text.replace(/\s+/g, ' ').trim();

/**
 * The quotes within their surroundings: at most `reach` characters on either side, cut at a word. Whitespace is compared
 * collapsed when the exact text is not there, since a quote never spans more than one block.
 */
export function excerpt(text: string, quotes: string | string[], reach = 600): Excerpt {
  const wanted = (Array.isArray(quotes) ? quotes : [quotes]).filter((quote) => quote !== '');
  const exact = places(text, wanted);
  const collapsed = exact.length < wanted.length ? places(collapse(text), wanted.map(collapse)) : [];
  const [source, found] = collapsed.length > exact.length ? [collapse(text), collapsed] : [text, exact];
  const [first, last] = [found[0], found.at(-1)];
  if (!first || !last) return { before: '', parts: wanted.map((quote) => ({ text: quote, marked: true })), after: '', found: false };
  const parts: Part[] = [];
  let from = first.start;
  for (const place of found) {
    const between = source.slice(from, place.start);
    const previous = parts.at(-1);
    // Sentences that follow one another are one quote to the eye.
    if (previous && between.trim() === '') previous.text += between + source.slice(place.start, place.end);
    else {
      if (between !== '') parts.push({ text: shortened(between), marked: false });
      parts.push({ text: source.slice(place.start, place.end), marked: true });
    }
    from = place.end;
  }
  return {
    before: tail(source.slice(Math.max(0, first.start - reach), first.start), first.start > reach),
    parts,
    after: head(source.slice(last.end, last.end + reach), last.end + reach < source.length),
    found: true,
  };
}

/** Where the quotes stand, in the order of the text; of one within another only the larger. */
function places(text: string, quotes: string[]): { start: number; end: number }[] {
  let after = 0;
  const found = quotes.flatMap((quote) => {
    // Quotes come in the order of their source: the next `Free of charge` is meant, not the first.
    const next = text.indexOf(quote, after);
    const start = next >= 0 ? next : text.indexOf(quote);
    if (start >= 0) after = start + quote.length;
    return start >= 0 && quote !== '' ? [{ start, end: start + quote.length }] : [];
  });
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  return found.filter((place, index) => !found.slice(0, index).some((earlier) => earlier.end > place.start));
}

function shortened(between: string): string {
  if (between.length <= GAP_MAX) return between;
  return `${head(between.slice(0, GAP_MAX / 2), true)} ${tail(between.slice(-GAP_MAX / 2), true)}`;
}

function tail(text: string, cut: boolean): string {
  return cut ? `… ${text.replace(/^\S*\s/, '')}` : text;
}

function head(text: string, cut: boolean): string {
  return cut ? `${text.replace(/\s\S*$/, '')} …` : text;
}

/** What an answer quotes of a source, as one line of text. */
export function quotedText(citation: { quote: string; quotes?: string[] | undefined }): string {
  return (citation.quotes?.length ? citation.quotes : [citation.quote]).join(' … ');
}
