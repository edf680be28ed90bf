/**
 * Why tensors don't fit, read off the pattern of those that don't: one file of a folder, one layer, two kinds of
 * matrices, or all of them. A person who sees the pattern knows what to do; a list of names tells nothing.
 */
import { basename } from "node:path";
import { EMBEDDING, LM_HEAD } from "../llama/tensor-names.js";
import { sumOf } from "../units.js";
import type { Cause, TensorCheck, TensorVerdict } from "./documents.js";

/** The file in which a side has a tensor. */
export type FileOf = (name: string, side: "base" | "delta") => string;

const UNFIT: readonly TensorVerdict[] = ["other", "whole", "twice", "damaged", "not-finite"];
const TELLING: readonly TensorVerdict[] = ["exact", "near", ...UNFIT];

const LAYER = /(?:^|\.)layers\.(\d+)\./;
const ROTATED = /\.self_attn\.[qk]_proj\.weight$/;

/** Share of the comparable pairs above which all of the model is another. */
const NEARLY_ALL = 0.95;

const pairsOf = (checks: readonly TensorCheck[]) => sumOf(checks, ({ comparable }) => comparable);

/** The cause of every verdict that isn't as it should be; null where all tensors fit. */
export function findCause(checks: readonly TensorCheck[], fileOf: FileOf): Cause | null {
  const unfit = checks.filter(({ verdict }) => UNFIT.includes(verdict));
  if (unfit.length === 0) return null;
  const names = unfit.map(({ name }) => name);
  const has = (...verdicts: TensorVerdict[]) => unfit.every(({ verdict }) => verdicts.includes(verdict));
  const cause = (
    kind: Cause["kind"],
    text: string,
    side: Cause["side"] = null,
    files: readonly string[] = [],
  ): Cause => ({ kind, side, files, tensors: names, offsetBytes: null, text });

  const ends = names.every((name) => name.endsWith(EMBEDDING) || name.endsWith(LM_HEAD));
  if (ends && has("whole")) return cause("whole-values", "whole values that replace the base's", "delta");
  if (ends && has("twice")) return cause("subtracted-twice", "had the base subtracted twice", "delta");

  const telling = checks.filter(({ verdict }) => TELLING.includes(verdict));
  const inFiles = filesOf(unfit, telling, fileOf);
  const damaged = unfit.filter(({ verdict }) => verdict === "damaged" || verdict === "not-finite");
  // A cut may leave a number that is half one and half the other, so damage explains what lies in the same file.
  const damagedFiles = (["base", "delta"] as const).map(
    (side) => [side, new Set(damaged.map(({ name }) => fileOf(name, side)))] as const,
  );
  const isBesideDamage = ({ name }: TensorCheck) =>
    damagedFiles.some(([side, files]) => files.has(fileOf(name, side)));
  const damage = "zeros, text or NaN stand where weights should be";
  if (damaged.length > 0 && unfit.every(isBesideDamage))
    return cause("damaged", damage, inFiles?.side, inFiles?.files);
  // The norms of two models are so alike that some sums come out exact.
  if (pairsOf(unfit) >= NEARLY_ALL * pairsOf(telling))
    return cause("another-model", "another model's", "base");
  if (inFiles !== null) {
    return cause("file", "from another model or another download", inFiles.side, inFiles.files);
  }
  if (names.every((name) => ROTATED.test(name)))
    return cause("row-order", "in another order of rows: another conversion of the model");
  const layers = layersOf(unfit, telling);
  if (layers !== null) return cause("layers", `another model's: ${describeLayers(layers)}`, "base");
  if (unfit.every(({ name }) => /norm|bias/.test(name)))
    return cause("vectors", "scaled, or another model's", "base");
  return cause("tensors", "another model's", "base");
}

/** The files of one side that hold just the tensors that don't fit; null where no side's files tell them apart. */
function filesOf(
  unfit: readonly TensorCheck[],
  telling: readonly TensorCheck[],
  fileOf: FileOf,
): { side: "base" | "delta"; files: string[] } | null {
  for (const side of ["base", "delta"] as const) {
    const all = new Set(telling.map(({ name }) => fileOf(name, side)));
    const files = new Set(unfit.map(({ name }) => fileOf(name, side)));
    if (files.size === all.size) continue;
    const inFiles = telling.filter(({ name }) => files.has(fileOf(name, side)));
    if (inFiles.length === unfit.length) return { side, files: [...files].map((path) => basename(path)) };
  }
  return null;
}

/** `layers 16 to 31`, `layer 3`, `layers 2, 5, 9`. */
function describeLayers(layers: readonly number[]): string {
  const [first = 0] = layers;
  const last = layers.at(-1) ?? first;
  if (first === last) return `layer ${first}`;
  const isRun = last - first === layers.length - 1;
  return `layers ${isRun ? `${first} to ${last}` : layers.join(", ")}`;
}

/** The layers that hold just the matrices that don't fit; null where these are spread otherwise. */
function layersOf(unfit: readonly TensorCheck[], telling: readonly TensorCheck[]): number[] | null {
  const layerOf = ({ name }: TensorCheck) => Number(LAYER.exec(name)?.[1] ?? Number.NaN);
  const layers = new Set(unfit.map(layerOf));
  if (layers.has(Number.NaN)) return null;
  const inLayers = telling.filter((check) => layers.has(layerOf(check)));
  return inLayers.length === unfit.length ? [...layers].sort((a, b) => a - b) : null;
}
