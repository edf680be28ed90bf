/**
 * Recognizes a release of Vicuna without reading its weights. A name is likely right, but proves nothing, and one that
 * the tensors contradict is ignored. Many models share sizes and shapes (Llama 2 7B's shards have the very sizes of
 * Vicuna 7B v1.1's delta), so those make a release possible, and only for what was given as a delta. Only a checksum
 * makes it certain (verify-delta.ts).
 */
import { formatCount } from "../units.js";
import { nameOf } from "./describe.js";
import type { Clue, ModelConfig, Recognition, RecognizedRelease, Release } from "./documents.js";
import { DIMENSIONS, RELEASES } from "./releases.js";

export interface ReleaseClues {
  /** As the user gave it: a path, or `owner/name` on the Hub. */
  readonly reference: string;
  /** The local folder, if it is known and differs. */
  readonly folder?: string;
  readonly config: ModelConfig | null;
  /** Shape of `model.embed_tokens.weight`; null if there is none. */
  readonly embedShape: readonly number[] | null;
  readonly shards: readonly { readonly file: string; readonly byteLength: number }[];
  /** Whether it was given as a delta; otherwise sizes and shapes say nothing. */
  readonly isDelta: boolean;
}

/** By the strongest clue there is. */
export function recognizeRelease(clues: ReleaseClues): Recognition {
  const named = byName(clues);
  if (named !== null) {
    const doubts = contradictions(named.release, clues);
    return { recognized: doubts.length === 0 ? named : null, doubts };
  }
  const recognized =
    byConfig(clues) ?? onlyDelta(clues, "shard-sizes", hasShardSizes) ?? onlyDelta(clues, "shape", hasShape);
  return { recognized, doubts: [] };
}

function byName({ reference, folder }: ReleaseClues): RecognizedRelease | null {
  for (const given of folder === undefined ? [reference] : [reference, folder]) {
    const { owner, name } = nameIn(given);
    const release = RELEASES.find((candidate) => nameOf(candidate) === name);
    if (release !== undefined) {
      return { release, clue: owner === "lmsys" ? "repository" : "folder", sureness: "likely" };
    }
  }
  return null;
}

/**
 * The model's whole name in lower case (a hundred other models have `vicuna-7b-v1.5` in theirs), and its owner where
 * it is surely one: `hf://lmsys/vicuna-7b-v1.5@main`, a path in the Hub's cache
 * (`models--owner--name/snapshots/<commit>`), or a local folder, which programs that download may call `owner_name`.
 */
function nameIn(reference: string): { owner?: string | undefined; name: string | undefined } {
  const parts = reference.split(/[/\\]/).filter((part) => part !== "" && part !== ".");
  const cached = parts.findLast((part) => part.startsWith("models--")) ?? "";
  const onHub =
    /^(?:hf:\/\/)?(lmsys)\/([^/@]+)(?:@.*)?$/i.exec(reference) ?? /^models--(.+?)--(.+)$/.exec(cached);
  if (onHub !== null) return { owner: onHub[1]?.toLowerCase(), name: onHub[2]?.toLowerCase() };
  // A weights file or an index stands for its folder.
  const isFile = /\.(?:safetensors|bin|pt|pth|json)$/.test(parts.at(-1) ?? "");
  const name = parts.at(isFile ? -2 : -1)?.replace(/^lmsys_/, "");
  return { name: name?.toLowerCase() };
}

/** If a name and the tensors disagree, the name is wrong, or shards of two models are mixed. */
function contradictions(release: Release, { config, embedShape }: ReleaseClues): string[] {
  const doubts: string[] = [];
  const { hiddenSize, layers } = DIMENSIONS[release.size];
  const named = `it is named ${nameOf(release)}, but`;
  const [rows, width] = [embedShape?.[0] ?? config?.vocabSize, embedShape?.[1] ?? config?.hiddenSize];
  if (rows != null && rows !== release.embedRows) {
    const other = release.embedRows === rows - 1 ? ", as in Vicuna v0" : "";
    doubts.push(
      `${named} its embedding has ${formatCount(rows)} rows${other}, not ${formatCount(release.embedRows)}`,
    );
  }
  if (width != null && width !== hiddenSize) {
    doubts.push(
      `${named} it is ${formatCount(width)} wide, not ${formatCount(hiddenSize)} as a ${release.size} model is`,
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
function byConfig(clues: ReleaseClues): RecognizedRelease | null {
  const { name } = nameIn(clues.config?.nameOrPath ?? "");
  const release = RELEASES.find(
    (candidate) =>
      (candidate.kind === "delta") === clues.isDelta &&
      nameOf(candidate).replace("-delta-", "-") === name?.replace("-delta-", "-"),
  );
  if (release === undefined || contradictions(release, clues).length > 0) return null;
  return { release, clue: "config", sureness: "possible" };
}

const hasShardSizes = ({ shards: published }: Release, { shards }: ReleaseClues) =>
  published?.length === shards.length &&
  published.every(({ file, byteLength }) =>
    shards.some((shard) => shard.file === file && shard.byteLength === byteLength),
  );

function hasShape({ size, embedRows }: Release, { embedShape, config }: ReleaseClues): boolean {
  const { hiddenSize, layers } = DIMENSIONS[size];
  const isAsDeep = config?.layers == null || config.layers === layers;
  return isAsDeep && embedShape?.[0] === embedRows && embedShape[1] === hiddenSize;
}

/** The delta that `matches`, if there is just one and the model was given as a delta. */
function onlyDelta(
  clues: ReleaseClues,
  clue: Clue,
  matches: (release: Release, clues: ReleaseClues) => boolean,
): RecognizedRelease | null {
  const deltas = RELEASES.filter((release) => release.kind === "delta" && matches(release, clues));
  const [release, ...others] = deltas;
  if (!clues.isDelta || release === undefined || others.length > 0) return null;
  return { release, clue, sureness: "possible" };
}
