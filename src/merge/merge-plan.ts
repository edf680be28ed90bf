/**
 * The plan: what goes where, byte by byte, known from headers alone and final before the first byte of weights is read.
 * Shards are filled as `save_pretrained` fills them.
 */

import type { ShardLayout } from "../formats/format.js";
import type { GgufEntry } from "../formats/gguf/metadata.js";
import { encodeShardIndex } from "../formats/shard-index.js";
import { type FolderFormat, layOutShard, shardFileName, type TargetFormat } from "../formats/table.js";
import type { Operation } from "../kernel/kernel.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import {
  byteLengthOf,
  type DType,
  elementCount,
  isFloatDType,
  isQuantizedDType,
  type SumDType,
  type TargetDType,
} from "../tensor.js";
import { sumOf } from "../units.js";
import type { Action, ActionCounts, NotAdded } from "./documents.js";
import type { DroppedTensor, Match, MatchedTensor } from "./match.js";
import { DEFAULT_MAX_SHARD_BYTES } from "./options.js";

/** A tensor of integers, booleans or 8-bit floats that only one side has: its bytes are copied. */
export interface CopiedBytes extends MatchedTensor {
  readonly sumDType: null;
  readonly dtype: DType;
}

export type PlannedTensor = PlannedSum | CopiedBytes;

export interface PlannedSum extends MatchedTensor {
  /** The dtype the sum or difference is made in: the delta's or tuned model's (the base's where it alone is there). */
  readonly sumDType: SumDType;
  readonly dtype: TargetDType;
  /** Its name in the file, where that is another. */
  readonly storedName?: string;
}

export function storedNameOf(tensor: PlannedTensor): string {
  return tensor.sumDType === null ? tensor.name : (tensor.storedName ?? tensor.name);
}

export interface PlannedShard extends ShardLayout<PlannedTensor> {
  readonly fileName: string;
}

export interface MergePlan {
  readonly operation: Operation;
  /** In state-dict order. */
  readonly tensors: readonly PlannedTensor[];
  readonly dropped: readonly DroppedTensor[];
  /** What a delta is multiplied by: target = base + scale * delta. */
  readonly scale: number;
  readonly format: TargetFormat;
  readonly shards: readonly PlannedShard[];
  /** Of a GGUF: what its keys say of the model, its record apart. */
  readonly keys?: readonly GgufEntry[];
  /** Text of the shard index; null where there is one shard. */
  readonly index: string | null;
  readonly parameterCount: number;
  readonly bytesToRead: number;
  readonly bytesToWrite: number;
}

export interface LayoutOptions {
  /** `auto` (default): each tensor as in the delta. */
  readonly dtype?: "auto" | SumDType | undefined;
  /** Default `safetensors`. */
  readonly format?: FolderFormat | undefined;
  /** Default 5 GB, as transformers 4. */
  readonly maxShardBytes?: number | undefined;
  /** Default 1: the whole delta. */
  readonly scale?: number | undefined;
}

/** Lays the target out. Pure: no file is touched. */
export function layOut(match: Match, options: LayoutOptions): MergePlan {
  const {
    dtype = "auto",
    format = "safetensors",
    maxShardBytes = DEFAULT_MAX_SHARD_BYTES,
    scale = 1,
  } = options;
  const tensors = match.tensors.map((tensor) => withDTypes(tensor, dtype));
  const groups = fillShards(tensors, maxShardBytes);
  const shards = groups.map((group, i) => {
    const fileName = shardFileName(format, i + 1, groups.length);
    return { fileName, ...layOutShard(format, fileName, group) };
  });
  const trained = tensors.filter(({ name }) => !isRotaryBuffer(name));
  const shardOf = new Map(
    shards.flatMap((shard) => shard.placed.map(({ tensor }) => [tensor.name, shard.fileName] as const)),
  );
  return {
    operation: match.operation,
    tensors,
    dropped: match.dropped,
    scale,
    format,
    shards,
    index:
      shards.length === 1
        ? null
        : encodeShardIndex(shardOf, countElements(trained), sumOf(tensors, byteLengthOf)),
    parameterCount: countElements(tensors),
    bytesToRead: bytesToRead(tensors),
    bytesToWrite: sumOf(shards, ({ byteLength }) => byteLength),
  };
}

const countElements = (tensors: readonly PlannedTensor[]) =>
  sumOf(tensors, ({ shape }) => elementCount(shape));

/** Bytes of weights to read from both sides. */
export function bytesToRead(tensors: readonly PlannedTensor[]): number {
  const views = tensors.flatMap(({ base, delta }) => [base, delta].filter((view) => view !== null));
  return sumOf(views, byteLengthOf);
}

/** Bytes of a shard that are in its file before the first tensor is. */
export function fixedBytes({ pieces }: PlannedShard): number {
  return sumOf(pieces, ({ bytes }) => bytes.length);
}

/** How many tensors had each thing happen to them; 0 is said, too. */
export function countActions({ operation, tensors, dropped }: MergePlan): ActionCounts {
  const count = (asked: Action) => tensors.filter(({ action }) => action === asked).length;
  return {
    ...(operation === "add" ? { added: count("added") } : { subtracted: count("subtracted") }),
    copied: count("copied"),
    grown: count("grown"),
    dropped: dropped.length,
  };
}

/** Every tensor that isn't plainly added (or subtracted), with the reason. */
export function notAdded(plan: MergePlan): NotAdded[] {
  const special = plan.tensors.flatMap(({ name, action, reason }) =>
    reason === null ? [] : [{ name, action, reason }],
  );
  return [
    ...special,
    ...plan.dropped.map(({ name, reason }) => ({ name, action: "dropped" as const, reason })),
  ];
}

/** The dtype most of the target's bytes are in, as config.json's `torch_dtype` should say. */
export function mainDType(plan: MergePlan): SumDType {
  const bytes = new Map<SumDType, number>();
  for (const tensor of plan.tensors) {
    if (tensor.sumDType === null || isQuantizedDType(tensor.dtype)) continue;
    bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + byteLengthOf(tensor));
  }
  return [...bytes].reduce((most, next) => (next[1] > most[1] ? next : most), ["F16", -1] as const)[0];
}

function withDTypes(tensor: MatchedTensor, asked: "auto" | SumDType): PlannedTensor {
  const source = (tensor.delta ?? tensor.base)?.dtype as DType;
  if (!isFloatDType(source)) return { ...tensor, sumDType: null, dtype: source };
  const sumDType = source === "F64" ? "F32" : source;
  const dtype = asked === "auto" || isRotaryBuffer(tensor.name) ? sumDType : asked;
  return { ...tensor, sumDType, dtype };
}

/**
 * Greedy, in state-dict order; a tensor larger than the limit gets a shard of its own while the shard under way
 * goes on (huggingface_hub/serialization/_base.py, `split_state_dict_into_shards_factory`).
 */
function fillShards(tensors: readonly PlannedTensor[], maxShardBytes: number): PlannedTensor[][] {
  const shards: PlannedTensor[][] = [];
  let current: PlannedTensor[] = [];
  let currentBytes = 0;
  for (const tensor of tensors) {
    const byteLength = byteLengthOf(tensor);
    if (byteLength > maxShardBytes) {
      shards.push([tensor]);
      continue;
    }
    if (currentBytes + byteLength > maxShardBytes) {
      shards.push(current);
      current = [];
      currentBytes = 0;
    }
    current.push(tensor);
    currentBytes += byteLength;
  }
  if (current.length > 0) shards.push(current);
  return shards;
}
