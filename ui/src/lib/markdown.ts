// The small part of Markdown that answers use, as a tree: it is rendered as elements, never as HTML text, so nothing a
// model or a website wrote can become markup.

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'strong'; parts: Inline[] }
  | { kind: 'em'; parts: Inline[] }
  | { kind: 'code'; text: string }
  | { kind: 'cite'; n: number };

export type Block =
  | { kind: 'paragraph'; parts: Inline[] }
  | { kind: 'quote'; parts: Inline[] }
  | { kind: 'heading'; parts: Inline[] }
  | { kind: 'list'; ordered: boolean; items: Inline[][] }
  | { kind: 'code'; text: string }
  | { kind: 'table'; header: Inline[][]; rows: Inline[][][] };

const INLINE = /(`[^`]+`)|(\*\*[^*]+\*\*)|(\[\d{1,3}\])|((?<![\w*])\*[^*\s][^*]*\*)|((?<!\w)_[^_\s][^_]*_(?!\w))/g;

export function inline(source: string): Inline[] {
  const parts: Inline[] = [];
  let last = 0;
  for (const found of source.matchAll(INLINE)) {
    const before = source.slice(last, found.index);
    // a citation stands right at the word it belongs to
    const text = found[3] ? before.trimEnd() : before;
    if (text) parts.push({ kind: 'text', text });
    parts.push(piece(found[0]));
    last = found.index + found[0].length;
  }
  if (last < source.length) parts.push({ kind: 'text', text: source.slice(last) });
  return parts;
}

function piece(token: string): Inline {
  if (token.startsWith('`')) return { kind: 'code', text: token.slice(1, -1) };
  if (token.startsWith('**')) return { kind: 'strong', parts: inline(token.slice(2, -2)) };
  if (token.startsWith('[')) return { kind: 'cite', n: Number(token.slice(1, -1)) };
  return { kind: 'em', parts: inline(token.slice(1, -1)) };
}

const LIST_ITEM = /^\s*(?:([-*•])|(\d{1,3})[.)])\s+(.*)$/;

export function blocks(source: string): Block[] {
  const lines = source.replace(/\r\n?/g, '\n').split('\n');
  const result: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const [block, next] = readBlock(lines, at);
    if (block) result.push(block);
    at = next;
  }
  return result;
}

function readBlock(lines: string[], at: number): [Block | null, number] {
  const line = lines[at] ?? '';
  if (line.trim() === '') return [null, at + 1];
  if (line.startsWith('```')) return readCode(lines, at);
  if (/^#{1,6}\s/.test(line)) return [{ kind: 'heading', parts: inline(line.replace(/^#+\s+/, '')) }, at + 1];
  if (LIST_ITEM.test(line)) return readList(lines, at);
  if (line.startsWith('>')) return readQuote(lines, at);
  if (line.includes('|') && /^\s*\|?[\s:|-]+\|[\s:|-]*$/.test(lines[at + 1] ?? '')) return readTable(lines, at);
  return readParagraph(lines, at);
}

function readCode(lines: string[], at: number): [Block, number] {
  let end = at + 1;
  while (end < lines.length && !lines[end]?.startsWith('```')) end += 1;
  return [{ kind: 'code', text: lines.slice(at + 1, end).join('\n') }, end + 1];
}

function readList(lines: string[], at: number): [Block, number] {
  const ordered = LIST_ITEM.exec(lines[at] ?? '')?.[2] !== undefined;
  const items: Inline[][] = [];
  let end = at;
  for (; end < lines.length; end += 1) {
    const item = LIST_ITEM.exec(lines[end] ?? '');
    if (!item) break;
    items.push(inline(item[3] ?? ''));
  }
  return [{ kind: 'list', ordered, items }, end];
}

function readQuote(lines: string[], at: number): [Block, number] {
  let end = at;
  while (lines[end]?.startsWith('>')) end += 1;
  const text = lines.slice(at, end).map((line) => line.replace(/^>\s?/, '')).join(' ');
  return [{ kind: 'quote', parts: inline(text) }, end];
}

function readTable(lines: string[], at: number): [Block, number] {
  const cells = (line: string): Inline[][] => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => inline(cell.trim()));
  let end = at + 2;
  while (lines[end]?.includes('|')) end += 1;
  return [{ kind: 'table', header: cells(lines[at] ?? ''), rows: lines.slice(at + 2, end).map(cells) }, end];
}

function readParagraph(lines: string[], at: number): [Block, number] {
  let end = at + 1;
  while (end < lines.length && !/^\s*$|^```|^#{1,6}\s|^>/.test(lines[end] ?? '') && !LIST_ITEM.test(lines[end] ?? '')) end += 1;
  return [{ kind: 'paragraph', parts: inline(lines.slice(at, end).join(' ')) }, end];
}
