/**
 * A shard's layout, plain data: which bytes are known beforehand, where each tensor's data goes, where its checksum
 * goes. Pieces, data and nothing else make up the file.
 */

import type { FixedPiece } from "../files/output-file.js";
import type { SumDType } from "../tensor.js";

export interface LayoutEntry {
  readonly name: string;
  readonly dtype: SumDType;
  readonly shape: readonly number[];
}

export interface PlacedEntry<Entry> {
  readonly entry: Entry;
  /** From the start of the file. */
  readonly offsetBytes: number;
  readonly byteLength: number;
  /** Where the file wants the CRC-32 of the data: four bytes each, little-endian, zero in their piece. */
  readonly checksumAt: readonly number[];
}

export interface ShardLayout<Entry> {
  /** Length of the whole file. */
  readonly byteLength: number;
  /** In file order. */
  readonly pieces: readonly FixedPiece[];
  /** In file order. */
  readonly placed: readonly PlacedEntry<Entry>[];
}
