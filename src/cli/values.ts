/** Paths, sizes and numbers as words of the command line. */
import { InvalidArgumentError } from "commander";

/** An empty path would mean the working folder: `--target "$TARGET"` with a variable that isn't set. */
export function parsePath(word: string): string {
  if (word === "") throw new InvalidArgumentError("It is empty: is a variable of the shell not set?");
  return word;
}

const UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes, from `5GB`, `1.5GiB` or `500000`; null if it isn't a size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "?"];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Null if it isn't a number. */
export function parseNumber(text: string): number | null {
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? null : number;
}
