/**
 * The releases of Vicuna. Nothing here is guessed: what no source says is null. The sources:
 * - repositories, bases, dates and FastChat versions: the table in FastChat's docs/vicuna_weights_version.md. A date
 *   is the version's; weights could follow it (of v0, 13B on 2023-04-03 and 7B on 2023-04-06: FastChat commits
 *   1edb5c08 and e2de15f2; v1.1 came as deltas, and merged later).
 * - transformers: v1.1 from the note in that file; v1.3 as FastChat demanded from 0.2.3 on (its pyproject.toml); v1.5
 *   from the pyproject.toml of FastChat 0.2.21. For v0, FastChat 0.1.10 asked for "the latest main branch" of April
 *   2023, before 4.28.0, which had no version number: null.
 * - context: 2048 tokens (the blog post of 2023-03-30); 4K and 16K of v1.5 (FastChat's README, news of 2023/08).
 * - prompt: fastchat/conversation.py and the same docs file.
 * - rows: v0's tokenizer has `[PAD]` besides LLaMA's 32000 pieces; later ones don't.
 * - sizes and sha256 of shards: the Git LFS pointers of the repositories. Where one is null, no source was at hand.
 */
import { titleOf } from "./describe.js";
import type { ModelSize, Release, WeightsDocument } from "./documents.js";

/** Rows of LLaMA's own embedding: the pieces of its tokenizer. */
const LLAMA_ROWS = 32_000;

/** What is the same for every release of a version. */
const V1_1 = {
  family: "LLaMA 1",
  date: "2023-04-12",
  fastchat: ">=0.2.1",
  transformers: ">=4.28.0",
  contextTokens: 2048,
  prompt: "v1.1",
  embedRows: LLAMA_ROWS,
} as const;

const V1_5 = {
  ...V1_1,
  family: "Llama 2",
  date: "2023-08-01",
  fastchat: ">=0.2.21",
  transformers: ">=4.31.0",
  contextTokens: 4096,
} as const;

const VERSIONS = {
  v0: {
    ...V1_1,
    date: "2023-03-30",
    fastchat: "<=0.1.10",
    transformers: null,
    prompt: "v0",
    embedRows: LLAMA_ROWS + 1,
  },
  "v1.1": V1_1,
  "v1.3": { ...V1_1, date: "2023-06-22" },
  "v1.5": V1_5,
  "v1.5-16k": { ...V1_5, contextTokens: 16_384 },
} as const;

/** Newest version first, as FastChat's table has them. */
export const RELEASES: readonly Release[] = [
  release("v1.5", "7B"),
  release("v1.5-16k", "7B"),
  release("v1.5", "13B"),
  release("v1.5-16k", "13B"),
  release("v1.3", "7B"),
  release("v1.3", "13B"),
  release("v1.3", "33B"),
  release("v1.1", "7B"),
  release("v1.1", "13B"),
  release("v1.1", "7B", [
    [9_976_634_558, "7f161fb09b19b1cef6ae3807b154f18e7a4973cc8c200e2508c6d6958caad2f0"],
    [3_500_315_539, null],
  ]),
  release("v1.1", "13B", [
    [null, "f770d881054b125ab670f820f11c7efd34a13ba9131ee8d5ed819efe9536d5f5"],
    [null, "92c87a57207a58f49ec7a40f978bafa1a018f625c8564e997ea24007829392dd"],
    [null, "9596032b8f4e0f35cec2b7dc00956a8e25dd2f955230e082ee3a4ada7569cf79"],
  ]),
  release("v0", "7B", [
    [9_976_642_750, "b2b66e79605d647ecce8d9b4bd9b14ce091e1724bf5b4699ba7d7869d1cb886c"],
    [3_500_323_731, null],
  ]),
  release("v0", "13B", [
    [null, "974c4e73ba16d547b5d83c1b91084cc46e15530bdd6e64b570d2df855a8c9459"],
    [null, "627062721346c21f30b679de08edd99abba409d3b37289419480c1d48f5e492a"],
    [null, "fe31b044e7b4034d0bf9adea93f1d2ef4e0fa02511914b4c19e72bdcfcacca6b"],
  ]),
];

/** Widths and depths of LLaMA's sizes, as config.json has them (transformers, convert_llama_weights_to_hf.py). */
export const DIMENSIONS: Record<ModelSize, { readonly hiddenSize: number; readonly layers: number }> = {
  "7B": { hiddenSize: 4096, layers: 32 },
  "13B": { hiddenSize: 5120, layers: 40 },
  "33B": { hiddenSize: 6656, layers: 60 },
};

export function weightsDocument(releases = RELEASES): WeightsDocument {
  return { releases: releases.map((release) => ({ title: titleOf(release), ...release })) };
}

/** A delta if its shards are given, `[byteLength, sha256]` each; the checksums of merged models aren't known here. */
function release(
  version: Release["version"],
  size: ModelSize,
  shards?: readonly (readonly [number | null, string | null])[],
): Release {
  const { family, ...facts } = VERSIONS[version];
  const base = `${family} ${size}`;
  const digits = (value: number) => String(value).padStart(5, "0");
  const files = shards?.map(([byteLength, sha256], i) => ({
    file: `pytorch_model-${digits(i + 1)}-of-${digits(shards.length)}.bin`,
    byteLength,
    sha256,
  }));
  return {
    version,
    size,
    kind: shards ? "delta" : "merged",
    repository: `lmsys/vicuna-${size.toLowerCase()}-${shards ? "delta-" : ""}${version}`,
    base,
    ...facts,
    shards: files ?? null,
    whatToDo: shards ? `Apply it to ${base}.` : "Use it as it is: it needs no base.",
  };
}
