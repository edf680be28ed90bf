/**
 * What a PyTorch pickle turns into: inert data. No value has behaviour that a file could choose, and names from a file
 * are only ever `Map` keys and string values, never property names.
 */
import type { ApplyDeltaError, ErrorCode, ErrorDetails } from "../../errors.js";
import { bounded } from "../../printable.js";
import type { DType } from "../../tensor.js";

/** Integers are `number`, or `bigint` beyond 2^53; a Python float is a `Float`, so that 3.0 is never taken for a size. */
export type PickleValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | Float
  | Tuple
  | PickleValue[]
  | Dict
  | StorageType
  | ElementType
  | TensorClass
  | Callable
  | StorageNode
  | TensorNode;

/** Makes an error that carries the file and the offset of the opcode being read. */
export type MakeError = (code: ErrorCode, message: string, details?: ErrorDetails) => ApplyDeltaError;

export class Float {
  constructor(readonly value: number) {}
}

/** A Python tuple; a Python list is an array. */
export class Tuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/**
 * A Python dict, with a spelling of their own for keys that aren't strings (`dictKey`): the hash of a number is known,
 * of a bigint it is the low 64 bits, so that a file could choose keys that all meet in one bucket.
 */
export class Dict extends Map<string, PickleValue> {}

/** The second half of a surrogate pair, with which no UTF-8 text begins. */
const STRAY = "\udfff";

/** The spelling of a key in a `Dict`; undefined for a value that can't be one. */
export function dictKey(value: PickleValue): string | undefined {
  if (typeof value === "string") return value;
  const isKey = value === null || ["number", "bigint", "boolean"].includes(typeof value);
  return isKey ? `${STRAY}${String(value)}` : undefined;
}

/** The key as it was, in words, where it isn't a string. */
export function strayKey(key: string): string | null {
  return key.startsWith(STRAY) ? key.slice(STRAY.length) : null;
}

/** The one class whose instances may carry attributes (`_metadata` of `nn.Module.state_dict()`). */
export class OrderedDict extends Dict {}

/** What PyTorch calls a storage, which says what its elements are: those that are written. */
export const STORAGE_TYPES: readonly (readonly [DType, string])[] = [
  ["F16", "HalfStorage"],
  ["BF16", "BFloat16Storage"],
  ["F32", "FloatStorage"],
  ["BOOL", "BoolStorage"],
  ["U8", "ByteStorage"],
  ["I8", "CharStorage"],
  ["I16", "ShortStorage"],
  ["I32", "IntStorage"],
  ["I64", "LongStorage"],
  ["C64", "ComplexFloatStorage"],
];

/** A class such as `torch.HalfStorage`: the only thing it says is an element type. */
export class StorageType {
  constructor(readonly dtype: DType) {}
}

/** A `torch.dtype`. */
export class ElementType {
  constructor(readonly dtype: DType) {}
}

/** `torch.Tensor` or `Parameter`, as the type that `_rebuild_from_type_v2` is to give. */
export class TensorClass {}

/** An allowed function or class; `globals.ts` says what it stands for. */
export class Callable {
  constructor(
    readonly name: string,
    /** Its arguments in words, and how few and how many there are. */
    readonly takes: string,
    readonly least: number,
    readonly most: number,
    /** Gives undefined where the arguments are of other types. */
    readonly call: (args: readonly PickleValue[], makeError: MakeError) => PickleValue | undefined,
  ) {}
}

/** A run of elements inside one storage record of the file. */
export class StorageNode {
  constructor(
    /** Names the record that holds the bytes. */
    readonly key: string,
    readonly dtype: DType,
    /** Elements in the record. */
    readonly recordNumel: number,
    /** The first element of the record that belongs to this storage; not 0 only in legacy views. */
    readonly start: number,
    /** Elements from `start` on. */
    readonly numel: number,
  ) {}
}

/** A tensor as the pickle gives it: offset, extents and strides are not checked yet, and count its own elements. */
export class TensorNode {
  constructor(
    readonly storage: StorageNode,
    readonly offset: number | bigint,
    readonly shape: readonly (number | bigint)[],
    readonly strides: readonly (number | bigint)[],
    readonly dtype: DType = storage.dtype,
  ) {}
}

const MAX_QUOTED = 120;

/** What a value is, for an error message; never looks inside, so shared or cyclic values cost nothing. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "None";
  if (typeof value === "string") return `the string ${quote(value)}`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" || typeof value === "bigint")
    return `the integer ${bounded(String(value), MAX_QUOTED)}`;
  if (value instanceof Float) return `the float ${value.value}`;
  if (value instanceof Uint8Array) return `${value.length} raw bytes`;
  if (value instanceof Tuple) return `a tuple of ${value.items.length}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Dict) return `a dict of ${value.size}`;
  if (value instanceof StorageType) return `the storage type for ${value.dtype}`;
  if (value instanceof ElementType) return `the dtype ${value.dtype}`;
  if (value instanceof Callable) return `the function ${value.name}`;
  if (value instanceof TensorClass) return "a class of tensors";
  return value instanceof StorageNode ? "a storage" : "a tensor";
}

/** The first of several values, for an error message. */
export function describeAll(values: readonly PickleValue[]): string {
  return `${values.length}: (${values.slice(0, 8).map(describe).join(", ")}${values.length > 8 ? ", …" : ""})`;
}

/** A string from a file as it may stand in a message: control characters escaped, length bounded. */
export function quote(text: string): string {
  return JSON.stringify(bounded(text, MAX_QUOTED));
}
