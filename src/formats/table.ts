/** The formats of weights. A new one is a folder and a line here, in the order in which a folder is searched. */
import type { Format, LayoutEntry, ShardLayout, SplitFormat, WritableFormat } from "./format.js";
import { gguf } from "./gguf/format.js";
import { meta } from "./meta/format.js";
import { safetensors } from "./safetensors/format.js";
import { torchLegacy, torchZip } from "./torch/format.js";

const TABLE = { safetensors, "torch-zip": torchZip, "torch-legacy": torchLegacy, gguf } as const;

const SPLIT_TABLE = { meta } as const;

const TARGETS = { safetensors, bin: torchZip } as const;

/** The format of a file. */
export type CheckpointFormat = keyof typeof TABLE;

/** A layout of tensors over several files. */
export type SplitLayout = keyof typeof SPLIT_TABLE;

/** What is said of a checkpoint's weights. */
export type StoredFormat = CheckpointFormat | SplitLayout;

/** How the weights of a folder that transformers loads are stored: safetensors, or the zip of torch.save. */
export type FolderFormat = keyof typeof TARGETS;

/** How the weights of a target are stored. */
export type TargetFormat = FolderFormat | "gguf";

export const FORMATS: Readonly<Record<CheckpointFormat, Format>> = TABLE;

/** Those that a base or a delta can be in. */
export const SOURCE_FORMATS = Object.values(FORMATS).filter((format) => format !== gguf);

/** They are looked for where no weights of another format are. */
export const SPLIT_FORMATS: Readonly<Record<SplitLayout, SplitFormat>> = SPLIT_TABLE;

const TARGET_FORMATS: Readonly<Record<FolderFormat, WritableFormat>> = TARGETS;

/** "PyTorch .bin". */
export function formatTitle(format: StoredFormat): string {
  return { ...TABLE, ...SPLIT_TABLE }[format].title;
}

/** "safetensors and PyTorch .bin". */
export function formatTitles(formats: readonly StoredFormat[]): string {
  return formats.map(formatTitle).join(" and ");
}

/** Whether the files keep the state dict's order. */
export function keepsOrder(format: StoredFormat): boolean {
  return format in TABLE && FORMATS[format as CheckpointFormat].keepsOrder;
}

export const INDEX_SUFFIX = ".index.json";

/** `model.safetensors.index.json` or `pytorch_model.bin.index.json`. */
export function indexFileName(format: FolderFormat): string {
  return TARGET_FORMATS[format].fileName + INDEX_SUFFIX;
}

/**
 * `model.safetensors` or `pytorch_model.bin` where there is one shard, else `model-00001-of-0000N.safetensors` or
 * `pytorch_model-00001-of-0000N.bin` (`number` counts from 1).
 */
export function shardFileName(format: FolderFormat, number: number, count: number): string {
  return partFileName(TARGET_FORMATS[format].fileName, number, count);
}

/** The name of one of the files that a file is split into; its own where there is one. */
export function partFileName(fileName: string, number: number, count: number): string {
  if (count === 1) return fileName;
  const pad = (value: number) => String(value).padStart(5, "0");
  return fileName.replace(/\.[a-z]+$/, `-${pad(number)}-of-${pad(count)}$&`);
}

/** Errors: `not-a-state-dict` where the format can't name a tensor. */
export function layOutShard<Entry extends LayoutEntry>(
  format: FolderFormat,
  fileName: string,
  entries: readonly Entry[],
): ShardLayout<Entry> {
  return TARGET_FORMATS[format].layOut(fileName, entries);
}
