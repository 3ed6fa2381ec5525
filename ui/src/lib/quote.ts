// Finding a quote in the text it was taken from.

export interface Excerpt {
  before: string;
  quote: string;
  after: string;
  /** False when the quote was not found: then only the quote is shown. */
  found: boolean;
}

const collapse = (text: string): string => text.replace(/\s+/g, ' ').trim();

/**
 * The quote within its surroundings: at most `reach` characters on either side, cut at a word. Whitespace is compared
 * collapsed when the exact text is not there, since a quote never spans more than one block.
 */
export function excerpt(text: string, quote: string, reach = 600): Excerpt {
  const exact = text.indexOf(quote);
  const source = exact >= 0 ? text : collapse(text);
  const wanted = exact >= 0 ? quote : collapse(quote);
  const start = exact >= 0 ? exact : source.indexOf(wanted);
  if (start < 0 || wanted === '') return { before: '', quote, after: '', found: false };
  const end = start + wanted.length;
  return {
    before: tail(source.slice(Math.max(0, start - reach), start), start > reach),
    quote: wanted,
    after: head(source.slice(end, end + reach), end + reach < source.length),
    found: true,
  };
}

function tail(text: string, cut: boolean): string {
  return cut ? `… ${text.replace(/^\S*\s/, '')}` : text;
}

function head(text: string, cut: boolean): string {
  return cut ? `${text.replace(/\s\S*$/, '')} …` : text;
}
