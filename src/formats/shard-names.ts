/**
 * In: which tensor went into which shard. Out: the names of the shards and the text of their index.
 * Guards: byte for byte what transformers' `save_pretrained` writes (json.dumps with indent 2, sorted keys, ASCII).
 */
import { compareNames } from "../tensor.js";

/** How the weights of a target are stored: safetensors, or the zip of torch.save. */
export type TargetFormat = "safetensors" | "bin";

/** transformers/utils/__init__.py: SAFE_WEIGHTS_NAME, WEIGHTS_NAME. */
const STEMS: Record<TargetFormat, string> = { safetensors: "model", bin: "pytorch_model" };

/** `model.safetensors.index.json` or `pytorch_model.bin.index.json`. */
export function indexFileName(format: TargetFormat): string {
  return `${shardFileName(format, 1, 1)}.index.json`;
}

/**
 * `model.safetensors` or `pytorch_model.bin` where there is one shard, else `model-00001-of-0000N.safetensors` or
 * `pytorch_model-00001-of-0000N.bin` (`number` counts from 1).
 */
export function shardFileName(format: TargetFormat, number: number, count: number): string {
  const pad = (value: number) => String(value).padStart(5, "0");
  const which = count === 1 ? "" : `-${pad(number)}-of-${pad(count)}`;
  return `${STEMS[format]}${which}.${format}`;
}

/** The index as text. `totalBytes` counts the tensors' data, not the headers. */
export function encodeShardIndex(shardOf: ReadonlyMap<string, string>, totalBytes: number): string {
  const lines = [...shardOf]
    .sort(([a], [b]) => compareNames(a, b))
    .map(([tensor, shard]) => `    ${asciiJson(tensor)}: ${asciiJson(shard)}`);
  return `{\n  "metadata": {\n    "total_size": ${totalBytes}\n  },\n  "weight_map": {\n${lines.join(",\n")}\n  }\n}\n`;
}

/** A JSON string as Python's json.dumps writes it: DEL and everything beyond ASCII escaped by UTF-16 unit. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
