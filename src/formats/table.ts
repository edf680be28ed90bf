/** The formats of weights. A new one is a folder and a line here, in the order in which a folder is searched. */
import type { Format, LayoutEntry, ShardLayout, WritableFormat } from "./format.js";
import { safetensors } from "./safetensors/format.js";
import { torchLegacy, torchZip } from "./torch/format.js";

const TABLE = { safetensors, "torch-zip": torchZip, "torch-legacy": torchLegacy } as const;

const TARGETS = { safetensors, bin: torchZip } as const;

export type CheckpointFormat = keyof typeof TABLE;

/** How the weights of a target are stored: safetensors, or the zip of torch.save. */
export type TargetFormat = keyof typeof TARGETS;

export const FORMATS: Readonly<Record<CheckpointFormat, Format>> = TABLE;

const TARGET_FORMATS: Readonly<Record<TargetFormat, WritableFormat>> = TARGETS;

/** "safetensors and PyTorch .bin". */
export function formatTitles(formats: readonly CheckpointFormat[]): string {
  return formats.map((format) => FORMATS[format].title).join(" and ");
}

export const INDEX_SUFFIX = ".index.json";

/** `model.safetensors.index.json` or `pytorch_model.bin.index.json`. */
export function indexFileName(format: TargetFormat): string {
  return TARGET_FORMATS[format].fileName + INDEX_SUFFIX;
}

/**
 * `model.safetensors` or `pytorch_model.bin` where there is one shard, else `model-00001-of-0000N.safetensors` or
 * `pytorch_model-00001-of-0000N.bin` (`number` counts from 1).
 */
export function shardFileName(format: TargetFormat, number: number, count: number): string {
  const { fileName } = TARGET_FORMATS[format];
  if (count === 1) return fileName;
  const pad = (value: number) => String(value).padStart(5, "0");
  return fileName.replace(/\.[a-z]+$/, `-${pad(number)}-of-${pad(count)}$&`);
}

/** Errors: `not-a-state-dict` where the format can't name a tensor. */
export function layOutShard<Entry extends LayoutEntry>(
  format: TargetFormat,
  fileName: string,
  entries: readonly Entry[],
): ShardLayout<Entry> {
  return TARGET_FORMATS[format].layOut(fileName, entries);
}
