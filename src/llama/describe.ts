/** Releases in words: for the command line, notes, records and cards. */
import type { Clue, Recognition, RecognizedRelease, Release } from "./documents.js";

/** `Vicuna 7B v1.1`, `Vicuna 13B v1.5-16k`. */
export function titleOf({ size, version }: Release): string {
  return `Vicuna ${size} ${version}`;
}

/** The repository's name without its owner: `vicuna-7b-delta-v1.1`. */
export function nameOf({ repository }: Release): string {
  return repository.slice(repository.indexOf("/") + 1);
}

/** `Vicuna 7B v1.1 (delta), by the folder's name; works with fschat >= 0.2.1 and transformers >= 4.28.0`. */
export function describeRelease({ release, clue, sureness }: RecognizedRelease): string {
  const what = `${titleOf(release)} (${release.kind})`;
  const isGuess = sureness === "possible";
  const line = isGuess ? `possibly ${what}: ${CLUES[clue]}` : `${what}, ${CLUES[clue]}`;
  const works = compatibilityOf(release);
  return works === null ? line : `${line}; ${isGuess ? "it " : ""}${works}`;
}

const CLUES: Record<Clue, string> = {
  checksum: "by its checksums",
  repository: "by its repository",
  folder: "by the folder's name",
  config: "its config.json names it",
  "shard-sizes": "its files have the same sizes, but other models share them",
  shape: "its embedding has the same shape, but other models share it",
};

/** `works with fschat >= 0.2.1 and transformers >= 4.28.0`; null if none is known. */
export function compatibilityOf({ fastchat, transformers }: Release): string | null {
  const ranges = Object.entries({ fschat: fastchat, transformers }).flatMap(([name, range]) =>
    range === null ? [] : [`${name} ${range.replace(/^([<>=]+)/, "$1 ")}`],
  );
  return ranges.length === 0 ? null : `works with ${ranges.join(" and ")}`;
}

/** A hint for a delta that is a whole model: `vicuna-7b-v1.5 is a merged model.` Null if its name doesn't say so. */
export function mergedReleaseHint({ recognized }: Recognition): string | null {
  const isMerged = recognized?.release.kind === "merged" && recognized.sureness !== "possible";
  return isMerged ? `${nameOf(recognized.release)} is a merged model.` : null;
}
