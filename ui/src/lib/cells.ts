// Table cells arrive as text; columns of figures are recognised so that they align and sort as figures.

const FIGURE = /^[\s$€£¥]*[+\-−]?[\d.,\s]*\d\s*%?$/;

function value(cell: string): number {
  return Number(cell.replace(/[^\d.\-−+]/g, '').replace('−', '-'));
}

export function isNumeric(cells: string[]): boolean {
  const filled = cells.filter((cell) => cell.trim() !== '');
  return filled.length > 0 && filled.every((cell) => FIGURE.test(cell));
}

export function compareCells(a: string, b: string): number {
  if (FIGURE.test(a) && FIGURE.test(b)) return value(a) - value(b);
  return a.localeCompare(b, undefined, { numeric: true, sensitivity: 'base' });
}
