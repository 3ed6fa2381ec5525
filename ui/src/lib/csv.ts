/** A table as CSV (RFC 4180), with formulas disarmed so that a spreadsheet does not run what a website wrote. */
export function toCsv(columns: string[], rows: string[][]): string {
  return [columns, ...rows].map((cells) => cells.map(cell).join(',')).join('\r\n') + '\r\n';
}

function cell(value: string): string {
  const harmless = /^[=@\t\r]|^[+-](?![\d.,\s]*%?$)/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Offers text to the user as a file. */
export function saveText(name: string, text: string, type = 'text/csv'): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
