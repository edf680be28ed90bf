/**
 * A plan as a GGUF: what llama.cpp's convert_hf_to_gguf.py makes of the folder that the plan would make, without that
 * folder. q and k are views with their rows in Meta's order, so a base in Meta's format is read as it is.
 */
import { ApplyDeltaError } from "../errors.js";
import { SPLIT_COUNT_KEY, SPLIT_NUMBER_KEY, SPLIT_TENSORS_KEY } from "../formats/gguf/constants.js";
import type { GgufEntry } from "../formats/gguf/metadata.js";
import { layOutGguf } from "../formats/gguf/writer.js";
import { partFileName } from "../formats/table.js";
import { configOfKeys } from "../llama/gguf/config.js";
import { ggufNameOf, headsOf } from "../llama/gguf/tensor-names.js";
import { reorderRows } from "../llama/row-order.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import { blockElements, byteLengthOf, elementCount, type TargetDType, type TensorView } from "../tensor.js";
import { sumOf } from "../units.js";
import type { DroppedTensor } from "./match.js";
import {
  bytesToRead,
  type MergePlan,
  type PlannedShard,
  type PlannedSum,
  type PlannedTensor,
} from "./merge-plan.js";

/** llama.cpp's `llama_ftype` of a file whose matrices are of this dtype. */
const FILE_TYPES: Readonly<Record<TargetDType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 };

/** The dtype of a file by its `general.file_type`; null for one that this program doesn't write. */
export function dtypeOfFileType(fileType: unknown): TargetDType | null {
  const dtypes = Object.keys(FILE_TYPES) as TargetDType[];
  return dtypes.find((dtype) => FILE_TYPES[dtype] === fileType) ?? null;
}

export interface GgufFacts {
  readonly parameters: number;
  readonly fileType: number;
}

export interface GgufLayout {
  /** `auto`: that of the first matrix of 16 bits, else F16. */
  readonly dtype: "auto" | TargetDType;
  /** Of the tensors of a part; null: one file. */
  readonly maxShardBytes: number | null;
  /** Of a file that is whole; parts are named after it. */
  fileName(dtype: TargetDType): string;
  /** What the keys say of the model. */
  describe(facts: GgufFacts): readonly GgufEntry[];
  readonly more?: readonly GgufEntry[];
}

/** Pure. `folder`: the plan of a folder with `auto` for its dtype. Errors: `foreign-architecture`, those of `describe`. */
export function layOutAsGguf(folder: MergePlan, layout: GgufLayout): MergePlan {
  const dtype = layout.dtype === "auto" ? mainDTypeOf(folder) : layout.dtype;
  const rotary = folder.tensors.filter(({ name }) => isRotaryBuffer(name));
  const kept = folder.tensors.filter(({ name }) => !isRotaryBuffer(name));
  const named = kept.map((tensor) => storedAs(tensor, dtype));
  const parameters = sumOf(named, ({ shape }) => elementCount(shape));
  const keys = layout.describe({ parameters, fileType: FILE_TYPES[dtype] });
  const config = configOfKeys(keys, true);
  const tensors = named.map((tensor) => inMetasOrder(tensor, headsOf(tensor.name, config)));
  const all = [...keys, ...(layout.more ?? [])];
  const shards = layOutParts(tensors, all, layout.fileName(dtype), layout.maxShardBytes);
  return {
    ...folder,
    tensors,
    dropped: [...folder.dropped, ...rotary.map(dropRotary)],
    format: "gguf",
    keys,
    shards,
    index: null,
    parameterCount: parameters,
    bytesToRead: bytesToRead(tensors),
    bytesToWrite: sumOf(shards, ({ byteLength }) => byteLength),
  };
}

function mainDTypeOf({ tensors }: MergePlan): TargetDType {
  const first = tensors.find(({ shape, dtype }) => shape.length > 1 && (dtype === "F16" || dtype === "BF16"));
  return first?.dtype === "BF16" ? "BF16" : "F16";
}

function dropRotary({ name, base }: PlannedTensor): DroppedTensor {
  return { name, from: base === null ? "delta" : "base", reason: "rotary buffer, which llama.cpp computes" };
}

type NamedSum = PlannedSum & { readonly storedName: string };

/** Vectors are F32, and so short that they don't matter; a row that isn't whole blocks is F16, as the converter has it. */
function storedAs(tensor: PlannedTensor, dtype: TargetDType): NamedSum {
  const storedName = ggufNameOf(tensor.name);
  if (tensor.sumDType === null || storedName === null) {
    throw new ApplyDeltaError("foreign-architecture", "llama.cpp's LLaMA has no such tensor.", {
      tensor: tensor.name,
      expected: "the tensors of a LlamaForCausalLM",
      hint: "Write the model with --format safetensors, or leave the tensor out with --delta-only drop.",
    });
  }
  const { shape } = tensor;
  const areWholeBlocks = (shape.at(-1) ?? 0) % blockElements(dtype) === 0;
  return { ...tensor, storedName, dtype: shape.length < 2 ? "F32" : areWholeBlocks ? dtype : "F16" };
}

/** q and k with their rows in Meta's order, which is GGUF's. */
function inMetasOrder(tensor: NamedSum, heads: number | null): NamedSum {
  if (heads === null) return tensor;
  const reorder = (view: TensorView | null) => {
    if (view === null) return null;
    const reordered = reorderRows(view, (tensor.shape[0] ?? 0) / heads, "transformers");
    if (reordered !== null) return reordered;
    throw new ApplyDeltaError("config-mismatch", "config.json's heads don't divide a tensor's rows.", {
      file: view.pieces[0].file.path,
      tensor: tensor.name,
      expected: `rows of ${heads} heads, each an even number`,
      got: `${tensor.shape[0]} rows`,
      hint: "Copy config.json from where the delta was released, or correct it.",
    });
  };
  return { ...tensor, base: reorder(tensor.base), delta: reorder(tensor.delta) };
}

/** Filled as gguf-py's writer fills them: in order, each with one tensor at least. Only the first has the model's keys. */
function layOutParts(
  tensors: readonly NamedSum[],
  metadata: readonly GgufEntry[],
  fileName: string,
  maxShardBytes: number | null,
): PlannedShard[] {
  const parts: NamedSum[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const byteLength = byteLengthOf(tensor);
    if (bytes > 0 && bytes + byteLength > (maxShardBytes ?? Number.POSITIVE_INFINITY)) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(tensor);
    bytes += byteLength;
  }
  return parts.map((part, i) => {
    const splitKeys: readonly GgufEntry[] = [
      { key: SPLIT_NUMBER_KEY, type: "u16", value: i },
      { key: SPLIT_COUNT_KEY, type: "u16", value: parts.length },
      { key: SPLIT_TENSORS_KEY, type: "i32", value: tensors.length },
    ];
    const keys = [...(i === 0 ? metadata : []), ...(parts.length === 1 ? [] : splitKeys)];
    const entries = part.map((tensor) => ({ ...tensor, name: tensor.storedName, tensor }));
    const { placed, ...layout } = layOutGguf(entries, keys);
    return {
      fileName: partFileName(fileName, i + 1, parts.length),
      ...layout,
      placed: placed.map(({ tensor: entry, ...place }) => ({ tensor: entry.tensor, ...place })),
    };
  });
}
