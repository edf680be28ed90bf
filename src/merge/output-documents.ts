import { type ActionCounts, countActions, type MergePlan } from "./merge-plan.js";

/** What is told of a folder that was made, whatever is in it. */
export interface OutputSummary {
  /** How many tensors each thing happened to. */
  readonly tensors: ActionCounts;
  /** The weights files. */
  readonly shards: readonly ShardSummary[];
  /** File names of the shards that an interrupted run had finished. */
  readonly keptShards: readonly string[];
  /** Bytes of weights in the sources; what was read for shards that were kept is among them. */
  readonly bytesRead: number;
  /** Of what was read, headers and samples too, what came from the Hub without being stored. */
  readonly bytesStreamed: number;
  /** Bytes of the weights files. */
  readonly bytesWritten: number;
  /** From the call to its end. */
  readonly seconds: number;
  /** Highest resident memory of the whole process so far. */
  readonly peakMemoryBytes: number;
  /** The kernel that did the arithmetic. */
  readonly kernel: "simd" | "reference";
  /** Worker threads. */
  readonly threads: number;
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

/** A weights file that was written. */
export interface ShardSummary {
  /** Its name. */
  readonly file: string;
  /** Its size. */
  readonly bytes: number;
}

/** The part of anything prepared that a dry run shows. */
export interface PlannedOutput {
  readonly plan: MergePlan;
  readonly freeBytes: number;
  readonly files: readonly { readonly fileName: string }[];
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
}

/** What any plan says of tensors, files and sizes. */
export interface LayoutDocument {
  /** How many tensors each thing will happen to. */
  readonly tensors: ActionCounts;
  /** The weights files that will be written. */
  readonly shards: readonly PlannedShardDocument[];
  /** Names of the files that will stand beside them. */
  readonly files: readonly string[];
  /** Elements of all tensors that will be written. */
  readonly parameters: number;
  /** Bytes of weights to read, of both sides. */
  readonly bytesToRead: number;
  /** Bytes of the weights files to write. */
  readonly bytesToWrite: number;
  /** Free bytes where the folder will be made. */
  readonly freeBytes: number;
}

/** A weights file that will be written. */
export interface PlannedShardDocument {
  /** Its name. */
  readonly file: string;
  /** Its size. */
  readonly bytes: number;
  /** How many tensors are in it. */
  readonly tensors: number;
}

/** What any plan's document says of tensors, files and sizes. */
export function layoutDocument({ plan, freeBytes, files, records }: PlannedOutput): LayoutDocument {
  return {
    tensors: countActions(plan),
    shards: plan.shards.map(({ fileName, byteLength, placed }) => ({
      file: fileName,
      bytes: byteLength,
      tensors: placed.length,
    })),
    files: [...files.map(({ fileName }) => fileName), ...records],
    parameters: plan.parameterCount,
    bytesToRead: plan.bytesToRead,
    bytesToWrite: plan.bytesToWrite,
    freeBytes,
  };
}
