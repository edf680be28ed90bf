/**
 * What reports on a terminal share: colours, columns, escapes. Pure: values in, text out. Guards: nothing but a terminal
 * gets a colour, unless the user asks for it.
 */
import { bounded, escapeControls } from "../printable.js";

/** The environment variables that have a say in how a stream is written to. */
export interface TerminalVariables {
  readonly NO_COLOR?: string | undefined;
  readonly FORCE_COLOR?: string | undefined;
  readonly TERM?: string | undefined;
}

interface Stream {
  readonly isTTY?: boolean | undefined;
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

const CODES = { strong: "1", good: "32", warning: "33", bad: "1;31" } as const;

/** Paints text for its meaning, or leaves it as it is. Not to be nested. */
export type Palette = Readonly<Record<keyof typeof CODES, (text: string) => string>>;

const same = (text: string) => text;
export const PLAIN: Palette = { strong: same, good: same, warning: same, bad: same };

const sequence = (code: string) => `\u001b[${code}m`;
const END = sequence("0");
const paint = (code: string) => (text: string) => `${sequence(code)}${text}${END}`;
const COLOURED: Palette = {
  strong: paint(CODES.strong),
  good: paint(CODES.good),
  warning: paint(CODES.warning),
  bad: paint(CODES.bad),
};

export function paletteFor(stream: Stream, variables: TerminalVariables): Palette {
  return isColoured(stream, variables) ? COLOURED : PLAIN;
}

const SEQUENCES = new Set([END, ...Object.values(CODES).map(sequence)]);

/** The text with its control characters escaped, but for line ends and what the palette itself paints with. */
export function escapeUnpainted(text: string, palette: Palette): string {
  if (palette === PLAIN) return escapeControls(text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with one.
  const parts = text.split(/(\u001b\[[\d;]*m)/);
  return parts.map((part) => (SEQUENCES.has(part) ? part : escapeControls(part))).join("");
}

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
    bounded(text, MAX_SHOWN).replace(
      /[\p{C}\p{Zl}\p{Zp}]/gu,
      (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
    );
  return JSON.parse(JSON.stringify(document), (_, value: unknown) =>
    typeof value === "string" ? printable(value) : value,
  );
}
