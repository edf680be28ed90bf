/**
 * In: the words behind an option. Out: its value. A word that makes no sense is refused with what would.
 */
import { InvalidArgumentError } from "commander";

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

/** `5GB`, `1.5GiB`, `500000`: bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "?"];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!(bytes >= 1) || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError("Give a size such as 5GB, 500MB or 2GiB.");
  }
  return bytes;
}

/** An empty path would mean the working folder: what `--target "$TARGET"` says when the variable isn't set. */
export function parsePath(text: string): string {
  if (text === "") throw new InvalidArgumentError("It is empty: is a variable of the shell not set?");
  return text;
}

/** More threads than this are a typing error. */
const MOST_THREADS = 256;

export function parseThreads(text: string): number {
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new InvalidArgumentError(`Give a whole number from 1 to ${MOST_THREADS}.`);
  }
  return threads;
}

/** A finite number, 0 or greater. */
export function parseTolerance(text: string): number {
  const tolerance = Number(text);
  if (text.trim() === "" || !Number.isFinite(tolerance) || tolerance < 0) {
    throw new InvalidArgumentError("Give a number from 0 on, such as 1e-3.");
  }
  return tolerance;
}

/** A finite factor; 0 would make a copy of the base. */
export function parseScale(text: string): number {
  const scale = Number(text);
  if (text.trim() === "" || !Number.isFinite(scale) || scale === 0) {
    throw new InvalidArgumentError("Give a number other than 0, such as 0.5.");
  }
  return scale;
}
