import { memoryFile } from "./memory-file.js";
import { safetensorsOf } from "./model-folder.js";

export const PATH = "folder/model.safetensors";

export const file = (header: string, data = Buffer.alloc(0)) => memoryFile(safetensorsOf(header, data), PATH);

/** A file whose header is any bytes. */
export const fileOfBytes = (header: Uint8Array) =>
  memoryFile(safetensorsOf("", header, BigInt(header.length)), PATH);

/** The entry of a tensor as text; each field can be replaced by other text or, with "", left out. */
export function entry(
  fields: { dtype?: string; shape?: string; data_offsets?: string; more?: string } = {},
): string {
  const { dtype = '"F16"', shape = "[2]", data_offsets = "[0,4]", more = "" } = fields;
  const named = Object.entries({ dtype, shape, data_offsets }).filter(([, text]) => text !== "");
  return `{${named.map(([key, text]) => `"${key}":${text}`).join(",")}${more}}`;
}

/** A header with one tensor `t`. */
export const one = (fields?: Parameters<typeof entry>[0]) => `{"t":${entry(fields)}}`;

/** A header of tensors named a, b, … with these byte ranges. */
export function ranged(...ranges: [number, number][]): string {
  const entries = ranges.map(([begin, end], i) => {
    const shape = `[${Math.max(0, end - begin)}]`;
    return `"${"abcdefgh"[i]}":${entry({ dtype: '"U8"', shape, data_offsets: `[${begin},${end}]` })}`;
  });
  return `{${entries.join(",")}}`;
}
