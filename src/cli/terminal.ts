/** What texts for a terminal share: colours, columns, escapes. */
import { bounded, escapeControls } from "../printable.js";

/** The environment variables that decide how a stream is written to. */
export interface TerminalVariables {
  readonly NO_COLOR?: string | undefined;
  readonly FORCE_COLOR?: string | undefined;
  readonly TERM?: string | undefined;
}

interface Stream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** How many columns a stream has; without a terminal, no line is too long. */
export function widthOf({ isTTY, columns }: Stream): number {
  return isTTY === true && columns ? columns : Number.POSITIVE_INFINITY;
}

/** Whether the cursor can be moved, as a bar must. */
export function canRedraw({ isTTY }: Stream, { TERM }: TerminalVariables): boolean {
  return isTTY === true && TERM !== "dumb";
}

/** Empty variables count as none (https://no-color.org, https://force-color.org). */
function isColoured(stream: Stream, variables: TerminalVariables): boolean {
  const { NO_COLOR, FORCE_COLOR } = variables;
  if (NO_COLOR) return false;
  if (FORCE_COLOR) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return canRedraw(stream, variables);
}

/** Paints text for its meaning, or leaves it as it is. Not to be nested. */
export type Palette = Readonly<Record<"strong" | "good" | "warning" | "bad", (text: string) => string>>;

const same = (text: string) => text;
export const PLAIN: Palette = { strong: same, good: same, warning: same, bad: same };

const paint = (code: string) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;
const COLOURED: Palette = {
  strong: paint("1"),
  good: paint("32"),
  warning: paint("33"),
  bad: paint("1;31"),
};

export function paletteFor(stream: Stream, variables: TerminalVariables): Palette {
  return isColoured(stream, variables) ? COLOURED : PLAIN;
}

/** The text with its control characters escaped, except line ends and what the palette itself paints with. */
export function escapeUnpainted(text: string, palette: Palette): string {
  if (palette === PLAIN) return escapeControls(text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the palette's sequences begin with one.
  const parts = text.split(/(\u001b\[(?:0|1|32|33|1;31)m)/);
  return parts.map((part, i) => (i % 2 === 1 ? part : escapeControls(part))).join("");
}

/** Columns two spaces apart. */
export function table(rows: readonly (readonly string[])[], indent = "  "): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) =>
    `${indent}${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd(),
  );
}

/** Sections with an empty line between; those without a line are left out. */
export function joinSections(sections: readonly (readonly string[])[]): string {
  const written = sections.filter((lines) => lines.length > 0);
  return written.map((lines) => lines.join("\n")).join("\n\n");
}

export function linesIf(condition: boolean, ...lines: readonly string[]): readonly string[] {
  return condition ? lines : [];
}

/** Columns are as wide as their longest name. */
const MAX_SHOWN = 200;

/** The document with every string of it made safe to print, and bounded: names come from files of unknown origin. */
export function withPrintableStrings<T>(document: T): T {
  const printable = (text: string) =>
    bounded(text, MAX_SHOWN).replace(
      /[\p{C}\p{Zl}\p{Zp}]/gu,
      (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
    );
  return JSON.parse(JSON.stringify(document), (_, value: unknown) =>
    typeof value === "string" ? printable(value) : value,
  );
}
