/**
 * Where a side is a GGUF: its tensors under the other side's names and in its order of rows, and its keys against those
 * that the other's config and tokenizer come to.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isApplyDeltaError } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { readGgufKeys } from "../formats/gguf/keys.js";
import type { GgufEntry } from "../formats/gguf/metadata.js";
import type { Checkpoint } from "../formats/open.js";
import type { Pause } from "../interrupt.js";
import { ASSET_NAMES } from "../llama/file-names.js";
import { configOfKeys } from "../llama/gguf/config.js";
import { ggufMetadata, openTokenizer } from "../llama/gguf/metadata.js";
import { plainTensors } from "../llama/gguf/tensor-names.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import { elementCount, type TensorView } from "../tensor.js";
import { MAX_KEYS, shorten } from "./compare-files.js";
import type { FileComparison, FileKey } from "./documents.js";

export interface AlignedSides {
  readonly a: readonly TensorView[];
  readonly b: readonly TensorView[];
  /** Null where the other side's config and tokenizer can't be told as keys. */
  readonly keys: FileComparison | null;
  readonly notes: readonly string[];
  /** Whether equal values in two dtypes are equal, as one side alone is a GGUF. */
  readonly isByValue: boolean;
}

export const isGguf = ({ formats }: Checkpoint) => formats.includes("gguf");

/** One side is a GGUF at least. Errors: those of reading its header, and the other side's files. */
export async function alignGguf(a: Checkpoint, b: Checkpoint, pause: Pause): Promise<AlignedSides> {
  const [ofA, ofB] = [await keysIn(a), await keysIn(b)];
  const fileType = [...(ofA ?? []), ...(ofB ?? [])].find(({ key }) => key === "general.file_type");
  const left = ofA ?? (await keysOfFolder(a, fileType, pause));
  const right = ofB ?? (await keysOfFolder(b, fileType, pause));
  const areBoth = ofA !== null && ofB !== null;
  const plain = ({ tensors }: Checkpoint, keys: readonly GgufEntry[] | null) =>
    keys === null || areBoth ? tensors : plainTensors(tensors, configOfKeys(keys, true));
  const unknown = left === null || right === null;
  return {
    a: plain(a, ofA),
    b: plain(b, ofB),
    keys: unknown ? null : compareKeys(left, right),
    isByValue: !areBoth,
    notes: unknown
      ? ["config and tokenizer were not compared: they aren't a LLaMA's, as a GGUF has them."]
      : [],
  };
}

async function keysIn(side: Checkpoint): Promise<readonly GgufEntry[] | null> {
  if (!isGguf(side)) return null;
  const parts = await readGgufKeys(side.files);
  return parts[0] ?? [];
}

/** What a GGUF of this folder would say. */
async function keysOfFolder(
  { folder, tensors }: Checkpoint,
  fileType: GgufEntry | undefined,
  pause: Pause,
): Promise<readonly GgufEntry[] | null> {
  const names = onSource(folder, () => readdirSync(folder)).filter((name) => ASSET_NAMES.includes(name));
  const files = names.map((fileName) => ({ fileName, copyFrom: join(folder, fileName) }));
  const weights = tensors.filter(({ name }) => !isRotaryBuffer(name));
  try {
    return ggufMetadata({
      files,
      tokenizer: await openTokenizer(files, pause),
      name: "",
      parameters: weights.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      fileType: Number(fileType?.value ?? 0),
    });
  } catch (error) {
    const codes = ["foreign-architecture", "foreign-tokenizer", "config-mismatch"] as const;
    if (codes.some((code) => isApplyDeltaError(error, code))) return null;
    throw error;
  }
}

/** Keys that name a model, and say where it came from and how it is split: nothing that it answers depends on them. */
const NAMES =
  /^(?:general\.(?!architecture$|type$|file_type$|quantization_version$|alignment$)|split\.|vicuna_apply_delta\.)/;

function compareKeys(a: readonly GgufEntry[], b: readonly GgufEntry[]): FileComparison {
  const [inA, inB] = [texts(a), texts(b)];
  const all: FileKey[] = [...new Set([...inA.keys(), ...inB.keys()])]
    .filter((at) => inA.get(at) !== inB.get(at))
    .map((at) => ({ at, a: inA.get(at) ?? null, b: inB.get(at) ?? null, isNote: NAMES.test(at) }));
  const differences = all.filter(({ isNote }) => !isNote).length;
  return {
    file: "keys of the GGUF",
    isDifferent: differences > 0,
    onlyIn: null,
    differences,
    notes: all.length - differences,
    keys: all.slice(0, MAX_KEYS).map((key) => ({ ...key, ...shorten(key) })),
  };
}

/** Values as text by their keys; of arrays each item, since one token may differ of 32,000. */
function texts(entries: readonly GgufEntry[]): Map<string, string> {
  const found = new Map<string, string>();
  const textOf = (type: string, value: unknown) =>
    `${typeof value === "string" ? JSON.stringify(value) : value} (${type})`;
  for (const entry of entries) {
    if (entry.type !== "array") found.set(entry.key, textOf(entry.type, entry.value));
    else
      for (const [i, item] of entry.value.entries())
        found.set(`${entry.key}[${i}]`, textOf(entry.items, item));
  }
  return found;
}
