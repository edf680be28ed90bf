/**
 * The vocabulary every room shares: what a tensor is once a file format has been read.
 *
 * A tensor is a name, a dtype, a shape and a view: an element offset into one file plus a stride for each
 * dimension. Nearly every view is dense (one span of bytes); the general form covers a transposed tensor in
 * a pickle and tensors that share a storage. Nothing behind `checkpoint/` knows which format it came from.
 */

/**
 * Element types and their size in bits, spelled as safetensors spells them and in the order in which the
 * reference writer ranks them: a file lists the highest rank first, then names (safetensors/src/tensor.rs,
 * `enum Dtype`, `bitsize` and `prepare`).
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
export type DType = keyof typeof BITS;

/** All dtypes, lowest rank first. */
export const DTYPES = Object.keys(BITS) as DType[];

/** The dtypes the arithmetic reads. */
export type FloatDType = "F16" | "BF16" | "F32" | "F64";

/** The dtypes the arithmetic adds in and the target is written in; F64 is rounded to F32 when it is read. */
export type SumDType = "F16" | "BF16" | "F32";

/** Size of one element in bits. */
export function bitsOf(dtype: DType): number {
  return BITS[dtype];
}

/** Size of one element in bytes, for the dtypes the arithmetic knows. */
export function bytesOf(dtype: FloatDType): 2 | 4 | 8 {
  return dtype === "F64" ? 8 : dtype === "F32" ? 4 : 2;
}

export function isDType(text: string): text is DType {
  return Object.hasOwn(BITS, text);
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype === "F16" || dtype === "BF16" || dtype === "F32" || dtype === "F64";
}

/** How PyTorch and config.json spell the dtypes a target can have. */
export const TORCH_NAMES: Record<SumDType, string> = { F16: "float16", BF16: "bfloat16", F32: "float32" };

/**
 * A file that is read at offsets, never as a whole. `read` gives exactly `byteLength` bytes or rejects with a
 * typed error that names the file and the offset.
 */
export interface RandomAccessFile {
  readonly path: string;
  readonly byteLength: number;
  read(offsetBytes: number, byteLength: number): Promise<Uint8Array>;
}

/**
 * Memory that all threads share, by which any of them gets bytes that only one can fetch: those of files on the Hub
 * (checkpoint/exchange.ts).
 */
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

/** What a file is read by, in any thread: the system's descriptor, or a place to ask for it. Plain data. */
export type Descriptor = number | RemoteDescriptor;

/** A file as any thread can read it. */
export interface ReadableFile {
  readonly path: string;
  readonly fd: Descriptor;
}

/** A file held open; `fd` is valid in every thread of the process until `close`. */
export interface OpenFile extends RandomAccessFile, ReadableFile {
  /** What tells this state of the file from others of the same size. */
  readonly version: string;
  /** Throws `source-changed` where the file isn't what it was when it was opened. */
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

/** A tensor and where its bytes lie. Element (i0, i1, …) is at `offsetBytes + sum(i * stride) * element size`. */
export interface TensorView<File extends { readonly path: string } = OpenFile> {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** In elements, one for each dimension, none negative. */
  readonly strides: readonly number[];
  readonly file: File;
  readonly offsetBytes: number;
}

/**
 * PyTorch and NumPy allow 64 dimensions; stops a shape that is millions long: whatever walks the dimensions may then
 * do so by recursion.
 */
export const MAX_RANK = 64;

/** Number of elements of a shape; 1 for rank 0, 0 where any extent is, though the others' product be beyond counting. */
export function elementCount(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes of a tensor's elements, one behind the other; a last byte that is used in part counts whole. */
export function byteLengthOf({
  dtype,
  shape,
}: {
  readonly dtype: DType;
  readonly shape: readonly number[];
}): number {
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

/** Whether the elements lie in row-major order without gaps, as one span. Strides of extents 0 and 1 do not count. */
export function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  if (elementCount(shape) === 0) return true;
  const dense = denseStrides(shape);
  return shape.every((extent, dim) => extent === 1 || strides[dim] === dense[dim]);
}

const encoder = new TextEncoder();

/** Order of names by their UTF-8 bytes, as Rust and Python sort them (JavaScript's own order differs above U+D7FF). */
export function compareNames(a: string, b: string): number {
  return Buffer.compare(encoder.encode(a), encoder.encode(b));
}
