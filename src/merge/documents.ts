/** What `apply` and `make` both report. */
import * as z from "zod";
import { bytes, count, type DocumentType, number, text, texts } from "../documents.js";

export const actionCountsSchema = z.strictObject({
  added: z.exactOptional(count).describe("Tensors that are base + delta; only in a merge."),
  subtracted: z.exactOptional(count).describe("Tensors that are tuned - base; only in a new delta."),
  copied: z.exactOptional(count).describe("Tensors that only one side has, copied."),
  grown: z.exactOptional(count).describe("Tensors with more rows than the base has."),
  dropped: z.exactOptional(count).describe("Tensors that only one side has, left out."),
});

/** Numbers of tensors by what happens to them. */
export type ActionCounts = DocumentType<typeof actionCountsSchema>;

export const notAddedSchema = z.strictObject({
  name: text.describe("The tensor's name."),
  action: z
    .enum(["added", "subtracted", "copied", "grown", "dropped"])
    .describe("What happens to the tensor."),
  reason: text.describe("Why, in words."),
});

/** A tensor that isn't simply added or subtracted. */
export type NotAdded = DocumentType<typeof notAddedSchema>;

/** What happens to a tensor of the result. */
export type Action = Exclude<NotAdded["action"], "dropped">;

export const shardSummarySchema = z.strictObject({
  file: text.describe("The file's name."),
  bytes: bytes.describe("The file's size."),
});

/** A weights file that was written. */
export type ShardSummary = DocumentType<typeof shardSummarySchema>;

export const outputSummarySchema = z.strictObject({
  tensors: actionCountsSchema.describe("How many tensors were added, copied and so on."),
  shards: z.array(shardSummarySchema).describe("The weights files."),
  keptShards: texts.describe("Names of the weights files that an interrupted run had finished."),
  bytesRead: bytes.describe("Bytes of weights in the sources, those of kept files included."),
  bytesStreamed: bytes.describe("Bytes read from the Hub and not stored, headers and samples included."),
  bytesWritten: bytes.describe("Bytes of the weights files."),
  seconds: number.describe("Duration of the call."),
  peakMemoryBytes: bytes.describe("Largest resident memory of the process so far."),
  kernel: z.enum(["simd", "reference"]).describe("The kernel that did the arithmetic."),
  threads: count.describe("Threads that did the work."),
  warnings: texts.describe("What may be wrong, a sentence each."),
});

/** What is reported of a folder that was made. */
export type OutputSummary = DocumentType<typeof outputSummarySchema>;

export const plannedShardSchema = z.strictObject({
  ...shardSummarySchema.shape,
  tensors: count.describe("How many tensors the file holds."),
});

/** A weights file that will be written. */
export type PlannedShardDocument = DocumentType<typeof plannedShardSchema>;

export const layoutSchema = z.strictObject({
  tensors: actionCountsSchema.describe("How many tensors will be added, copied and so on."),
  shards: z.array(plannedShardSchema).describe("The weights files to write."),
  files: texts.describe("Names of the other files to write."),
  parameters: count.describe("Elements of all tensors to write."),
  bytesToRead: bytes.describe("Bytes of weights to read from both sides."),
  bytesToWrite: bytes.describe("Bytes of the weights files to write."),
  freeBytes: bytes.describe("Free bytes on the disk of the new folder."),
});

/** What a plan says of tensors, files and sizes. */
export type LayoutDocument = DocumentType<typeof layoutSchema>;
