import { ApplyDeltaError } from "../errors.js";
import { parseStrictJson } from "../files/json.js";
import { isJsonObject } from "../files/json-reader.js";
import { compareNames, type RandomAccessFile } from "../tensor.js";
import type { HeaderReader } from "./header-reader.js";

/** A real index is about 60 bytes a tensor; stops a file that would fill the memory. */
export const MAX_INDEX_BYTES = 16_000_000;

/** One for each tensor, and a few; stops an index of half a million files. */
const MAX_INDEX_VALUES = 1 << 17;

export interface ShardIndex {
  /** Shard file names in order, each a plain name inside the folder. */
  readonly shards: readonly string[];
  /** Tensor name to shard file name. */
  readonly shardOf: ReadonlyMap<string, string>;
  /** What the index says all tensors' data come to, in bytes; null where it says nothing, or no size. */
  readonly totalBytes: number | null;
}

/** Errors: `index-malformed`, `duplicate-tensor`, `shard-outside-folder`. */
export async function readShardIndex(file: HeaderReader<RandomAccessFile>): Promise<ShardIndex> {
  const at = { file: file.path, hint: "Download the index again from where the model came from." };
  const fail = (what: string, details = {}): never => {
    const message = `The shard index is malformed: ${what}.`;
    throw new ApplyDeltaError("index-malformed", message, { ...at, ...details });
  };
  if (file.byteLength > MAX_INDEX_BYTES) fail(`it is longer than ${MAX_INDEX_BYTES} bytes`);
  const json = await parseStrictJson(await file.read(0, file.byteLength), {
    ...at,
    offsetBytes: 0,
    malformed: "index-malformed",
    isPython: true,
    budget: file.budget,
    pause: file.pause,
    mostValues: MAX_INDEX_VALUES,
  });
  if (!isJsonObject(json)) return fail("the document is not an object with `weight_map`");
  const { weight_map: weightMap, metadata } = json;
  if (!isJsonObject(weightMap)) return fail("`weight_map` is not an object");
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== "string") return fail("a shard's name is not a string", { tensor });
    if (!isPlainFileName(shard)) {
      throw new ApplyDeltaError("shard-outside-folder", "The shard index names a file outside its folder.", {
        file: file.path,
        tensor,
        expected: "the name of a file beside the index",
        got: JSON.stringify(shard),
        hint: "Don't use this model unless you know who made it; a real index never has such a name.",
      });
    }
    shardOf.set(tensor, shard);
  }
  if (shardOf.size === 0) fail("`weight_map` names no tensor");
  const total = isJsonObject(metadata) ? metadata.total_size : null;
  const totalBytes = typeof total === "number" && Number.isSafeInteger(total) && total >= 0 ? total : null;
  return { shards: [...new Set(shardOf.values())].sort(), shardOf, totalBytes };
}

/** A name without separators, drive letters or control characters, on any system. */
function isPlainFileName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name with one of these is refused.
  return name !== "" && name !== "." && name !== ".." && !/[/\\:\u0000-\u001f]/.test(name);
}

/**
 * The text of an index, byte for byte what `save_pretrained` of transformers 4.53 and later writes (json.dumps with
 * indent 2, sorted keys, ASCII). Of the tensors: `parameters` are the trained elements, without buffers; `bytes` those of
 * the data, without headers.
 */
export function encodeShardIndex(
  shardOf: ReadonlyMap<string, string>,
  parameters: number,
  bytes: number,
): string {
  const lines = [...shardOf]
    .sort(([a], [b]) => compareNames(a, b))
    .map(([tensor, shard]) => `    ${asciiJson(tensor)}: ${asciiJson(shard)}`);
  const metadata = `    "total_parameters": ${parameters},\n    "total_size": ${bytes}`;
  return `{\n  "metadata": {\n${metadata}\n  },\n  "weight_map": {\n${lines.join(",\n")}\n  }\n}\n`;
}

/** A JSON string as Python's json.dumps writes it: DEL and everything beyond ASCII escaped by UTF-16 unit. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
