/** What reports on a terminal share. Pure: values in, text out. */

/** Columns two spaces apart, indented by two. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd(),
  );
}

/** Characters of a name that are shown: columns are as wide as the longest. */
const MAX_SHOWN = 200;

/**
 * The document with control characters, line ends and what turns the direction of writing as escapes, in every string
 * of it: names come from files of unknown origin.
 */
export function withPrintableStrings<T>(document: T): T {
  const printable = (text: string) =>
    (text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text).replace(
      /[\p{C}\p{Zl}\p{Zp}]/gu,
      (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
    );
  return JSON.parse(JSON.stringify(document), (_, value: unknown) =>
    typeof value === "string" ? printable(value) : value,
  );
}
