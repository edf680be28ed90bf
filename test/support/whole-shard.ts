/** A planned shard as the file it becomes: its pieces, the tensors' data between them, the checksums in their places. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import type { FixedPiece } from "../../src/files/output-file.js";

export interface ShardPlaces {
  readonly byteLength: number;
  readonly pieces: readonly FixedPiece[];
  readonly placed: readonly { offsetBytes: number; byteLength: number; checksumAt: readonly number[] }[];
}

/** `dataOf` gives the bytes of the place with the index; without it, all data are zeros. */
export function wholeShard(shard: ShardPlaces, dataOf?: (place: number) => Uint8Array): Buffer {
  const file = Buffer.alloc(shard.byteLength);
  for (const { offsetBytes, bytes } of shard.pieces) file.set(bytes, offsetBytes);
  for (const [i, { offsetBytes, byteLength, checksumAt }] of shard.placed.entries()) {
    const data = dataOf?.(i) ?? new Uint8Array(byteLength);
    assert.equal(data.length, byteLength);
    file.set(data, offsetBytes);
    for (const at of checksumAt) file.writeUInt32LE(crc32(data), at);
  }
  return file;
}
