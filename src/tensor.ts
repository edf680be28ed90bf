/**
 * What a tensor is once its files have been read, whatever the format: a name, a dtype, a shape, and the pieces of files
 * it is made of. Nearly every tensor is one span of bytes; strides and pieces cover a transposed tensor in a pickle,
 * tensors that share a storage, rows in another order, and tensors that are split over files.
 */

/**
 * Element types and their size in bits, spelled and ranked as by safetensors: its writer puts the highest rank first,
 * then sorts by name (safetensors/src/tensor.rs, `enum Dtype`, `bitsize` and `prepare`).
 */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** An element type, as safetensors spells it. */
export type ElementDType = keyof typeof BITS;

/** Those of safetensors, lowest rank first. */
export const DTYPES = Object.keys(BITS) as ElementDType[];

/**
 * ggml's quantized types: the elements of a block, which lie in one row, and its bytes (gguf-py/gguf/constants.py,
 * `GGML_QUANT_SIZES`).
 */
const BLOCKS = {
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q8_1: [32, 36],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  Q8_K: [256, 292],
  IQ2_XXS: [256, 66],
  IQ2_XS: [256, 74],
  IQ3_XXS: [256, 98],
  IQ1_S: [256, 50],
  IQ4_NL: [32, 18],
  IQ3_S: [256, 110],
  IQ2_S: [256, 82],
  IQ4_XS: [256, 136],
  IQ1_M: [256, 56],
  TQ1_0: [256, 54],
  TQ2_0: [256, 66],
  MXFP4: [32, 17],
  NVFP4: [64, 36],
  Q1_0: [128, 18],
  Q2_0: [64, 18],
} as const;

/** A type whose elements are stored in blocks and have no bytes of their own. */
export type BlockDType = keyof typeof BLOCKS;

/** The block types that this program writes and reads as numbers. */
export type QuantizedDType = "Q8_0" | "Q4_0";

/** What a sum is written in. */
export type TargetDType = SumDType | QuantizedDType;

/** What a tensor is made of: an element type, or a block type of ggml's. */
export type DType = ElementDType | BlockDType;

export const BLOCK_DTYPES = Object.keys(BLOCKS) as BlockDType[];

/** The dtypes the arithmetic reads. */
export type FloatDType = "F16" | "BF16" | "F32" | "F64";

/** The dtypes the arithmetic adds in and the target is written in; F64 is rounded to F32 when it is read. */
export type SumDType = "F16" | "BF16" | "F32";

/** Size of one element in bits; of a block type its share of a block, which may end in a fraction. */
export function bitsOf(dtype: DType): number {
  return isBlockDType(dtype) ? (8 * BLOCKS[dtype][1]) / BLOCKS[dtype][0] : BITS[dtype];
}

/** Elements that are stored together: ranges of a tensor begin and end at multiples of it. */
export function blockElements(dtype: DType): number {
  return isBlockDType(dtype) ? BLOCKS[dtype][0] : 1;
}

/** Size of one element in bytes, for the dtypes the arithmetic knows. */
export function bytesOf(dtype: FloatDType): 2 | 4 | 8 {
  return dtype === "F64" ? 8 : dtype === "F32" ? 4 : 2;
}

export function isElementDType(text: string): text is ElementDType {
  return Object.hasOwn(BITS, text);
}

export function isBlockDType(dtype: DType): dtype is BlockDType {
  return Object.hasOwn(BLOCKS, dtype);
}

export function isQuantizedDType(dtype: DType): dtype is QuantizedDType {
  return dtype === "Q8_0" || dtype === "Q4_0";
}

/** What can be looked at as numbers. */
export type NumberDType = FloatDType | QuantizedDType;

export function holdsNumbers(dtype: DType): dtype is NumberDType {
  return isFloatDType(dtype) || isQuantizedDType(dtype);
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype === "F16" || dtype === "BF16" || dtype === "F32" || dtype === "F64";
}

/** How PyTorch and config.json spell the dtypes a target can have. */
export const TORCH_NAMES: Record<SumDType, string> = { F16: "float16", BF16: "bfloat16", F32: "float32" };

/** A file that is read at offsets. `read` gives exactly `byteLength` bytes or rejects with a typed error. */
export interface RandomAccessFile {
  readonly path: string;
  readonly byteLength: number;
  read(offsetBytes: number, byteLength: number): Promise<Uint8Array>;
}

/** Shared memory by which every thread gets bytes of files on the Hub, which only one thread can fetch. */
export interface Exchange {
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly requests: Float64Array<SharedArrayBuffer>;
  readonly failure: Uint8Array<SharedArrayBuffer>;
  readonly data: Uint8Array<SharedArrayBuffer>;
  /** The thread that fetches; it can't wait for itself. */
  readonly threadId: number;
}

/** A file that is fetched as it is read: its number in the exchange. */
export interface RemoteDescriptor {
  readonly exchange: Exchange;
  readonly file: number;
}

/** How any thread reads a file: by the system's descriptor or over the exchange. Plain data. */
export type Descriptor = number | RemoteDescriptor;

/** A file as any thread can read it. */
export interface ReadableFile {
  readonly path: string;
  readonly fd: Descriptor;
}

/** A file held open; `fd` is valid in every thread of the process until `close`. */
export interface OpenFile extends RandomAccessFile, ReadableFile {
  /** Differs for another state of the file with the same size. */
  readonly version: string;
  /** Throws `source-changed` if the file was changed since it was opened. */
  assertUnchanged(): void;
  /** How much of it came over the network until now. */
  bytesFetched(): number;
  close(): void;
}

/** An open file on this machine. */
export interface LocalFile extends OpenFile {
  readonly fd: number;
}

export function isLocalFile(file: OpenFile): file is LocalFile {
  return typeof file.fd === "number";
}

/**
 * A part of a tensor: a box of its grid, and where the elements lie. The element at the indices (i0, i1, …) of the box
 * is at `offsetBytes + sum(i * stride) * element size` in the file.
 */
export interface TensorPiece<File extends { readonly path: string } = OpenFile> {
  readonly file: File;
  readonly offsetBytes: number;
  /** Where the box begins in each dimension of the grid. */
  readonly start: readonly number[];
  readonly extents: readonly number[];
  /** In elements, one for each dimension, none negative. */
  readonly strides: readonly number[];
}

/** Where a tensor's elements lie. */
export interface Placement<File extends { readonly path: string } = OpenFile> {
  /**
   * The shape that the pieces are boxes of: the tensor's own, or one of more or fewer dimensions with the same elements
   * in the same row-major order.
   */
  readonly grid: readonly number[];
  /** They fill the grid, and no element is in two of them. */
  readonly pieces: readonly [TensorPiece<File>, ...TensorPiece<File>[]];
}

/** A tensor and where it lies: nearly always one piece, and dense. */
export interface TensorView<File extends { readonly path: string } = OpenFile> extends Placement<File> {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tensor of one piece; dense, if no strides are given. */
export function onePiece<File extends { readonly path: string }>(tensor: {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides?: readonly number[];
  readonly file: File;
  readonly offsetBytes: number;
}): TensorView<File> {
  const { name, dtype, shape, strides = denseStrides(shape), file, offsetBytes } = tensor;
  const start = shape.map(() => 0);
  return { name, dtype, shape, grid: shape, pieces: [{ file, offsetBytes, start, extents: shape, strides }] };
}

/** As in PyTorch and NumPy. Stops a crafted shape that is millions long, so that dimensions can be walked by recursion. */
export const MAX_RANK = 64;

/** Number of elements of a shape: 1 for rank 0; 0 if an extent is 0, even if the others' product overflows. */
export function elementCount(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes of a tensor's elements, packed; a last byte that is used in part counts whole. */
export function byteLengthOf({ dtype, shape }: Pick<TensorView, "dtype" | "shape">): number {
  return Math.ceil((elementCount(shape) * bitsOf(dtype)) / 8);
}

/** The index in each dimension of the element at a row-major position. */
export function indexOf(position: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  let left = position;
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    const extent = shape[dim] ?? 1;
    index[dim] = left % extent;
    left = Math.floor(left / extent);
  }
  return index;
}

/** The strides of a row-major (C-contiguous) tensor, in elements. */
export function denseStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    strides[dim] = stride;
    stride *= shape[dim] ?? 0;
  }
  return strides;
}

/** Whether the elements are one span in row-major order. Strides of extents 0 and 1 don't count. */
function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  if (elementCount(shape) === 0) return true;
  const dense = denseStrides(shape);
  return shape.every((extent, dim) => extent === 1 || strides[dim] === dense[dim]);
}

/** Where the elements begin, if they are one span in row-major order; null if they aren't. */
export function denseSpan<File extends { readonly path: string }>({
  pieces,
}: Placement<File>): Pick<TensorPiece<File>, "file" | "offsetBytes"> | null {
  const [piece, ...others] = pieces;
  return others.length === 0 && isDense(piece.extents, piece.strides) ? piece : null;
}

/** The file and the byte of an element, by its row-major position. */
export function locate<File extends { readonly path: string }>(
  { dtype, grid, pieces }: Placement<File> & { readonly dtype: DType },
  position: number,
): { file: File; offsetBytes: number } {
  const index = indexOf(position, grid);
  const holds = ({ start, extents }: TensorPiece<File>) =>
    index.every((at, dim) => at >= (start[dim] ?? 0) && at < (start[dim] ?? 0) + (extents[dim] ?? 0));
  const { file, offsetBytes, start, strides } = pieces.find(holds) ?? pieces[0];
  const elements = index.reduce((sum, at, dim) => sum + (at - (start[dim] ?? 0)) * (strides[dim] ?? 0), 0);
  return { file, offsetBytes: offsetBytes + Math.floor((elements * bitsOf(dtype)) / 8) };
}

/** One piece for each. */
export function mapPieces<From, To>(
  [first, ...others]: readonly [From, ...From[]],
  change: (piece: From) => To,
): [To, ...To[]] {
  return [change(first), ...others.map(change)];
}

/** The files a tensor lies in, each once. */
export function filesOf<File extends { readonly path: string }>({ pieces }: Placement<File>): File[] {
  return [...new Set(pieces.map(({ file }) => file))];
}

/** Orders names by their UTF-8 bytes, as Rust and Python do (JavaScript's own order differs above U+D7FF). */
export function compareNames(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
