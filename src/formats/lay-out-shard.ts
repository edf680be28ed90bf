/**
 * In: a format, a shard's file name and its tensors. Out: the layout of the file.
 */
import { encodeSafetensorsHeader } from "./safetensors/writer.js";
import type { LayoutEntry, ShardLayout } from "./shard-layout.js";
import type { TargetFormat } from "./shard-names.js";
import { layOutTorchZip } from "./torch/zip-writer.js";

/** Errors: `not-a-state-dict` where the format can't name a tensor. */
export function layOutShard<Entry extends LayoutEntry>(
  format: TargetFormat,
  fileName: string,
  entries: readonly Entry[],
): ShardLayout<Entry> {
  if (format === "bin") return layOutTorchZip(fileName, entries);
  const { bytes, placed, fileByteLength } = encodeSafetensorsHeader(entries);
  return {
    byteLength: fileByteLength,
    pieces: [{ offsetBytes: 0, bytes }],
    placed: placed.map((place) => ({ ...place, checksumAt: [] })),
  };
}
