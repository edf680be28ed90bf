/**
 * In: which tensor went into which shard. Out: the names of the shards and the text of their index.
 * Guards: byte for byte what transformers' `save_pretrained` writes (json.dumps with indent 2, sorted keys, ASCII).
 */
import { compareNames } from "../tensor.js";

export const INDEX_FILE_NAME = "model.safetensors.index.json";

/** `model.safetensors` where there is one shard, else `model-00001-of-0000N.safetensors` (`number` counts from 1). */
export function shardFileName(number: number, count: number): string {
  if (count === 1) return "model.safetensors";
  const pad = (value: number) => String(value).padStart(5, "0");
  return `model-${pad(number)}-of-${pad(count)}.safetensors`;
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
