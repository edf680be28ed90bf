/** GGUF files byte by byte, without the writer: anything in them can be wrong. */

export const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

/** A string, with its length before it; `claimed` where the length lies. */
export function text(value: string | Buffer, claimed?: number | bigint): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u64(claimed ?? bytes.length), bytes]);
}

/** A key, the code of its type, and its value. */
export const key = (name: string, type: number, ...value: Buffer[]) =>
  Buffer.concat([text(name), u32(type), ...value]);

/** `extents` as in the file: the length of a row first. */
export const tensor = (
  name: string,
  extents: readonly (number | bigint)[],
  type = 1,
  offsetBytes: number | bigint = 0,
) => Buffer.concat([text(name), u32(extents.length), ...extents.map(u64), u32(type), u64(offsetBytes)]);

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly keyCount?: number | bigint;
  readonly keys?: readonly Buffer[];
  readonly tensors?: readonly Buffer[];
  readonly alignment?: number;
  readonly data?: number;
}

/** A file of these parts, and `data` bytes behind the padded header. */
export function ggufBytes(parts: GgufParts): Buffer {
  const { magic = "GGUF", version = 3, keys = [], tensors = [], alignment = 32, data = 0 } = parts;
  const { tensorCount = tensors.length, keyCount = keys.length } = parts;
  const counts = [Buffer.from(magic, "latin1"), u32(version), u64(tensorCount), u64(keyCount)];
  const header = Buffer.concat([...counts, ...keys, ...tensors]);
  const padding = (alignment - (header.length % alignment)) % alignment;
  return Buffer.concat([header, Buffer.alloc(padding), Buffer.alloc(data, 1)]);
}
