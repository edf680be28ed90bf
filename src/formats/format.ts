import { ApplyDeltaError } from "../errors.js";
import type { FixedPiece } from "../files/output-file.js";
import type { ModelConfig } from "../llama/documents.js";
import type { DType, OpenFile, RandomAccessFile, TensorView } from "../tensor.js";
import type { HeaderReader } from "./header-reader.js";

/** All that the program knows of one format of weights files. `table.ts` lists them. */
export interface Format {
  /** What summaries call it. */
  readonly title: string;
  /** What transformers calls a checkpoint of one file; shards and their index are named after it. */
  readonly fileName: string;
  /** How the names of files of this kind end. */
  readonly endings: readonly string[];
  /** Whether a file keeps the state dict's order. */
  readonly keepsOrder: boolean;
  /** Whether a file that begins so is surely of this format. */
  matches(head: Buffer): boolean;
  /** Whether a file that is surely of none is best explained by this format's reader. */
  resembles?(head: Buffer, path: string): boolean;
  /** Reads where the tensors lie. What it allocates is in proportion to what it reads and to the views it makes. */
  read(header: HeaderReader): Promise<TensorView[]>;
}

/** A file of a checkpoint, with the tensors in it. */
export interface Part {
  readonly file: OpenFile;
  readonly tensors: readonly TensorView[];
}

/** The files of a checkpoint, in order. */
export type Parts = readonly [Part, ...Part[]];

/** What files come to that are a checkpoint only together. */
export interface Assembled {
  /** Under transformers' names, in any order. */
  readonly tensors: readonly TensorView[];
  /** What the files say of the model, where there is no config.json. */
  readonly config: ModelConfig;
}

/** A layout of checkpoints in several files of some format, in which a tensor may be split over the files. */
export interface SplitFormat {
  /** What summaries call it. */
  readonly title: string;
  /** The number of the part in a file of this name, from 0; null for a name that no part has. */
  partNumber(fileName: string): number | null;
  partName(number: number): string;
  /** Files beside the parts that are needed or useful. */
  readonly companions: readonly string[];
  /** The companion with the parts' MD5, as md5sum writes it. */
  readonly checklist: string;
  /** Where repositories on the Hub keep such files beside a converted model. */
  readonly hubFolder: string;
  /** Whether a file with tensors of these names is a part, whatever its own name. */
  matches(tensorNames: ReadonlySet<string>): boolean;
  /** `folder` holds the companions. */
  assemble(parts: Parts, folder: string): Promise<Assembled>;
  /** Whether the model in a folder has the width and the layers of these tensors, by its companions. */
  fits(folder: string, tensors: readonly TensorView[]): boolean;
}

/** A format in which a target can be written. */
export interface WritableFormat extends Format {
  /** Lays out one file. Errors: `not-a-state-dict` where the format can't name a tensor. */
  layOut<Entry extends LayoutEntry>(fileName: string, entries: readonly Entry[]): ShardLayout<Entry>;
}

export interface LayoutEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface PlacedEntry<Entry> {
  readonly tensor: Entry;
  /** From the start of the file. */
  readonly offsetBytes: number;
  readonly byteLength: number;
  /** Where the CRC-32 of the data goes, if the format has one: four bytes each, little-endian, zero in their piece. */
  readonly checksumAt: readonly number[];
}

/** Plain data. Pieces, the tensors' data and nothing else make up the file. */
export interface ShardLayout<Entry> {
  /** Length of the whole file. */
  readonly byteLength: number;
  /** In file order. */
  readonly pieces: readonly FixedPiece[];
  /** In file order. */
  readonly placed: readonly PlacedEntry<Entry>[];
}

/**
 * Where the last tensor's data ends, the file must; `padded`: or up to there. Errors: `truncated-file`,
 * `overlong-file`.
 */
export function assertEnd({ path, byteLength }: RandomAccessFile, end: number, padded = end): void {
  if (byteLength >= end && byteLength <= padded) return;
  const [code, message] =
    byteLength < end
      ? (["truncated-file", "The file ends before its last tensor."] as const)
      : (["overlong-file", "There are bytes after the last tensor."] as const);
  const sizes = { expected: `${end} bytes`, got: `${byteLength} bytes` };
  throw new ApplyDeltaError(code, message, { file: path, ...sizes });
}

/** Whether a file begins with this text, each character a byte. */
export function startsWith(head: Buffer, text: string): boolean {
  return head.subarray(0, text.length).equals(Buffer.from(text, "latin1"));
}
