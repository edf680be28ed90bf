import { stripVTControlCharacters } from "node:util";

/** A column that is narrower can't be read. */
const LEAST_COLUMN = 20;

const widthOf = (text: string) => stripVTControlCharacters(text).length;

/**
 * The line in lines of at most `width`, all but the first behind `indent` spaces. A word that is longer stays whole: it
 * may be a path.
 */
export function wrapLine(line: string, width: number, indent = 0): string {
  const room = Math.max(width, indent + LEAST_COLUMN);
  const lines: string[] = [];
  let current = "";
  for (const piece of piecesOf(line)) {
    if (current.trim() === "" || widthOf(current + piece) <= room) current += piece;
    else {
      lines.push(current);
      current = " ".repeat(indent) + piece.trimStart();
    }
  }
  return [...lines, current].join("\n");
}

/** The cell of a table that isn't longer stays together: `11,263 of 11,264`. */
const SHORT_CELL = 24;

/** What a line may be broken between, each with the spaces before it: short cells, words of longer ones. */
function piecesOf(line: string): string[] {
  const cells = line.match(/ *[^ ]+(?: [^ ]+)*/g) ?? [];
  const isWhole = (cell: string) => cells.length > 1 && widthOf(cell.trim()) <= SHORT_CELL;
  return cells.flatMap((cell) => (isWhole(cell) ? [cell] : (cell.match(/ *[^ ]+/g) ?? [])));
}

/** Each line of a text by itself, its rest under its last column. */
export function wrapText(text: string, width: number): string {
  const lines = text.split("\n");
  return lines.map((line) => wrapLine(line, width, lastColumnOf(line, width))).join("\n");
}

/** Where the last column in the left half of a line begins, as in `  release   Vicuna …`; else a little in. */
function lastColumnOf(line: string, width: number): number {
  const plain = stripVTControlCharacters(line);
  const label = /^.*\S {2,}(?=\S)/.exec(plain.slice(0, Math.floor(width / 2)));
  return label?.[0].length ?? (/^ */.exec(plain)?.[0].length ?? 0) + 2;
}
