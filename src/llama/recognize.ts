/**
 * Recognizes a release of Vicuna without reading its weights. A name is likely right, but proves nothing, and one that
 * the tensors contradict is ignored. Many models share sizes and shapes (Llama 2 7B's shards have the very sizes of
 * Vicuna 7B v1.1's delta), so those make a release possible, and only for what was given as a delta. Only a checksum
 * makes it certain (verify-delta.ts).
 */
import type { Clue, ModelConfig, Recognition, RecognizedRelease, Release } from "./documents.js";
import { DIMENSIONS, nameOf, RELEASES, titleOf } from "./releases.js";

export interface ReleaseClues {
  /** As the user gave it: a path, or `owner/name` on the Hub. */
  readonly reference: string;
  /** The local folder, if it is known and differs. */
  readonly folder?: string;
  readonly config: ModelConfig | null;
  /** Shape of `model.embed_tokens.weight`; null if there is none. */
  readonly embedShape: readonly number[] | null;
  /** The weights files, by their names. */
  readonly shards: readonly { readonly file: string; readonly byteLength: number }[];
  /** Whether it was given as a delta; otherwise sizes and shapes say nothing. */
  readonly isDelta: boolean;
}

/** By the strongest clue there is. */
export function recognizeRelease(clues: ReleaseClues, releases = RELEASES): Recognition {
  const named = byName(clues, releases);
  if (named !== null) {
    const doubts = contradictions(named.release, clues);
    return { recognized: doubts.length === 0 ? named : null, doubts };
  }
  const weaker = [byConfig, byShardSizes, byShape];
  for (const recognize of weaker) {
    const release = recognize(clues, releases);
    if (release !== null) return { recognized: release, doubts: [] };
  }
  return { recognized: null, doubts: [] };
}

/**
 * The line for a summary: `Vicuna 7B v1.1 (delta), by the folder's name; works with fschat >= 0.2.1 and
 * transformers >= 4.28.0`.
 */
export function describeRelease({ release, clue, sureness }: RecognizedRelease): string {
  const what = `${titleOf(release)} (${release.kind})`;
  const isGuess = sureness === "possible";
  const line = isGuess ? `possibly ${what}: ${CLUES[clue]}` : `${what}, ${CLUES[clue]}`;
  const works = compatibilityOf(release);
  if (works === null) return line;
  return `${line}; ${isGuess ? "it " : ""}${works}`;
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
  const ranges = [
    ...(fastchat === null ? [] : [`fschat ${spaced(fastchat)}`]),
    ...(transformers === null ? [] : [`transformers ${spaced(transformers)}`]),
  ];
  return ranges.length === 0 ? null : `works with ${ranges.join(" and ")}`;
}

/** A hint for a delta that is a whole model: `vicuna-7b-v1.5 is a merged model.` Null if its name doesn't say so. */
export function mergedReleaseHint({ recognized }: Recognition): string | null {
  if (recognized === null || recognized.sureness === "possible") return null;
  return recognized.release.kind === "merged" ? `${nameOf(recognized.release)} is a merged model.` : null;
}

/** `>=0.2.1` as people write it. */
function spaced(range: string): string {
  return range.replace(/^([<>=]+)/, "$1 ");
}

const HUB_OWNER = "lmsys";

function byName(clues: ReleaseClues, releases: readonly Release[]): RecognizedRelease | null {
  for (const reference of [clues.reference, ...(clues.folder === undefined ? [] : [clues.folder])]) {
    const { owner, name } = nameIn(reference);
    const release = releases.find((candidate) => sameName(nameOf(candidate), name));
    if (release !== undefined) {
      return { release, clue: owner === HUB_OWNER ? "repository" : "folder", sureness: "likely" };
    }
  }
  return null;
}

/**
 * The model's name in a reference, and its owner where it is surely one: `hf://lmsys/vicuna-7b-v1.5@main`, a path in
 * the Hub's cache (`models--owner--name/snapshots/<commit>`), or a local folder, which programs that download may
 * call `owner_name`.
 */
function nameIn(reference: string): { owner: string | null; name: string } {
  const hub = /^(?:hf:\/\/)?(lmsys)\/([^/@]+)(?:@.*)?$/.exec(reference);
  if (hub !== null) return { owner: hub[1] ?? null, name: hub[2] ?? "" };
  const parts = reference.split(/[/\\]/).filter((part) => part !== "" && part !== ".");
  const cached = /^models--(.+?)--(.+)$/.exec(parts.findLast((part) => part.startsWith("models--")) ?? "");
  if (cached !== null) return { owner: cached[1] ?? null, name: cached[2] ?? "" };
  // A weights file or an index stands for its folder.
  const isFile = /\.(?:safetensors|bin|pt|pth|json)$/.test(parts.at(-1) ?? "");
  const name = parts.at(isFile ? -2 : -1) ?? "";
  return { owner: null, name: name.replace(/^lmsys_/, "") };
}

/** The whole name: a hundred other models have `vicuna-7b-v1.5` in theirs. */
function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** If a name and the tensors disagree, the name is wrong, or shards of two models are mixed. */
function contradictions(release: Release, { config, embedShape }: ReleaseClues): string[] {
  const doubts: string[] = [];
  const { hiddenSize, layers } = DIMENSIONS[release.size];
  const named = `it is named ${nameOf(release)}, but`;
  const [rows, width] = [embedShape?.[0] ?? config?.vocabSize, embedShape?.[1] ?? config?.hiddenSize];
  if (rows != null && rows !== release.embedRows) {
    const other = release.embedRows === rows - 1 ? ", as in Vicuna v0" : "";
    doubts.push(`${named} its embedding has ${count(rows)} rows${other}, not ${count(release.embedRows)}`);
  }
  if (width != null && width !== hiddenSize) {
    doubts.push(
      `${named} it is ${count(width)} wide, not ${count(hiddenSize)} as a ${release.size} model is`,
    );
  }
  if (config?.layers != null && config.layers !== layers) {
    doubts.push(`${named} it has ${config.layers} layers, not ${layers} as a ${release.size} model has`);
  }
  return doubts;
}

/**
 * `_name_or_path` says where the model was loaded from, so a model tuned from a release names it, too. In a delta it
 * names the tuned model.
 */
function byConfig(clues: ReleaseClues, releases: readonly Release[]): RecognizedRelease | null {
  if (clues.config?.nameOrPath == null) return null;
  const { name } = nameIn(clues.config.nameOrPath);
  const release = releases.find(
    (candidate) =>
      (candidate.kind === "delta") === clues.isDelta &&
      sameName(nameOf(candidate).replace("-delta-", "-"), name.replace("-delta-", "-")),
  );
  if (release === undefined || contradictions(release, clues).length > 0) return null;
  return { release, clue: "config", sureness: "possible" };
}

function byShardSizes({ shards, isDelta }: ReleaseClues, releases: readonly Release[]) {
  const same = (release: Release) =>
    release.shards !== null &&
    release.shards.length === shards.length &&
    release.shards.every(({ file, byteLength }) =>
      shards.some((shard) => shard.file === file && shard.byteLength === byteLength),
    );
  return onlyDelta(isDelta, releases.filter(same), "shard-sizes");
}

function byShape({ embedShape, config, isDelta }: ReleaseClues, releases: readonly Release[]) {
  if (embedShape === null) return null;
  const same = ({ size, embedRows }: Release) =>
    embedShape[0] === embedRows &&
    embedShape[1] === DIMENSIONS[size].hiddenSize &&
    (config?.layers ?? DIMENSIONS[size].layers) === DIMENSIONS[size].layers;
  return onlyDelta(isDelta, releases.filter(same), "shape");
}

/** The delta among the candidates, if there is just one and the model was given as a delta. */
function onlyDelta(isDelta: boolean, candidates: readonly Release[], clue: Clue): RecognizedRelease | null {
  const [release, ...others] = candidates.filter(({ kind }) => kind === "delta");
  if (!isDelta || release === undefined || others.length > 0) return null;
  return { release, clue, sureness: "possible" };
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
