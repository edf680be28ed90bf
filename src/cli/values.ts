/** Paths, sizes and numbers as words of the command line. */
import { homedir } from "node:os";
import { join } from "node:path";

/** The path, with `~` expanded as a shell does where it sees it: not in `--base=~/llama`. */
export function parsePath(word: string): string {
  return word === "~" || /^~[/\\]/.test(word) ? join(homedir(), word.slice(1)) : word;
}

const UNIT_BYTES = new Map(
  Object.entries({
    ...{ b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
    ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
  }),
);

/** Bytes, from `5GB`, `1.5GiB` or `500000B`; null if it isn't a size. */
export function parseSize(text: string): number | null {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(text.trim()) ?? [];
  const unitBytes = UNIT_BYTES.get(unit.toLowerCase());
  if (unitBytes === undefined) return null;
  const bytes = Math.floor(Number(number) * unitBytes);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Null if it isn't a number. */
export function parseNumber(text: string): number | null {
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? null : number;
}

/** What a size without its unit was meant to be: shards have some GB or MB. */
export function likelySize(digits: string): string {
  const number = Number(digits);
  return `${number}${number < 500 ? "GB" : number < 1e6 ? "MB" : "B"}`;
}
