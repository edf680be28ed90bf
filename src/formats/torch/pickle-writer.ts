import { elementCount, type SumDType } from "../../tensor.js";

export interface PickledTensor {
  readonly name: string;
  readonly dtype: SumDType;
  readonly shape: readonly number[];
  /** The name of the storage's record. */
  readonly key: string;
}

/** The type of a storage says what its elements are. */
const STORAGE_TYPES: Record<SumDType, string> = {
  F16: "HalfStorage",
  BF16: "BFloat16Storage",
  F32: "FloatStorage",
};

/** How many entries of a dict the pickler puts between a MARK and a SETITEMS (pickle.py, `_BATCHSIZE`). */
const BATCH_ENTRIES = 1000;

/**
 * The pickle of `{name: tensor, …}`, in the order given, byte for byte what Python's pickler makes in protocol 2 of
 * contiguous CPU tensors that share no storage, as in save_pretrained's shards (Python Lib/pickle.py; torch/_tensor.py
 * `_reduce_ex_internal`, torch/serialization.py `persistent_id`; transformers/modeling_utils.py `shard_checkpoint`).
 */
export function pickleStateDict(tensors: readonly PickledTensor[]): Uint8Array {
  const pickler = createPickler();
  pickler.put(Buffer.from([0x80, 2]));
  pickler.put("}");
  pickler.memoize();
  if (tensors.length === 1) {
    for (const tensor of tensors) putEntry(pickler, tensor);
    pickler.put("s");
  } else if (tensors.length > 1) {
    // A last batch that is full has an empty one behind it, as the pickler's own loop leaves it.
    for (let start = 0; start <= tensors.length; start += BATCH_ENTRIES) {
      pickler.put("(");
      for (const tensor of tensors.slice(start, start + BATCH_ENTRIES)) putEntry(pickler, tensor);
      pickler.put("u");
    }
  }
  pickler.put(".");
  return pickler.bytes();
}

function putEntry(pickler: Pickler, { name, dtype, shape, key }: PickledTensor): void {
  pickler.text(name);
  pickler.global("torch._utils", "_rebuild_tensor_v2");
  pickler.put("(");
  putStorage(pickler, dtype, key, elementCount(shape));
  pickler.integer(0); // The tensor starts where its storage does.
  pickler.tuple(shape);
  pickler.tuple(contiguousStrides(shape));
  pickler.put(Buffer.from([0x89])); // requires_grad: False
  pickler.global("collections", "OrderedDict"); // No backward hooks.
  pickler.put(")R");
  pickler.memoize();
  pickler.put("t");
  pickler.memoize();
  pickler.put("R");
  pickler.memoize();
}

/** The persistent id `("storage", type, key, "cpu", numel)`. */
function putStorage(pickler: Pickler, dtype: SumDType, key: string, elements: number): void {
  pickler.put("(");
  pickler.constant("storage");
  pickler.global("torch", STORAGE_TYPES[dtype]);
  pickler.text(key);
  pickler.constant("cpu");
  pickler.integer(elements);
  pickler.put("t");
  pickler.memoize();
  pickler.put("Q");
}

/** PyTorch counts an extent of 0 as 1 here; `denseStrides` doesn't. */
function contiguousStrides(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const extent of [...shape].reverse()) {
    strides.unshift(stride);
    stride *= Math.max(1, extent);
  }
  return strides;
}

/** Opcodes, and the memo: every object that could be met again gets the next number. */
interface Pickler {
  /** Text is opcodes in ASCII. */
  put(part: string | Uint8Array): void;
  /** Gives the object just made its number. */
  memoize(): void;
  /** An object of its own, even where one of the same text was written before. */
  text(value: string): void;
  /** One and the same object, wherever it is used. */
  constant(value: string): void;
  global(module: string, name: string): void;
  integer(value: number): void;
  tuple(values: readonly number[]): void;
  bytes(): Uint8Array;
}

function createPickler(): Pickler {
  const parts: Uint8Array[] = [];
  const shared = new Map<string, number>();
  let memoLength = 0;
  const put = (part: string | Uint8Array) => {
    parts.push(typeof part === "string" ? Buffer.from(part, "latin1") : part);
  };
  const memoize = () => {
    put(numbered("q", "r", memoLength));
    memoLength++;
  };
  /** Writes an object once, and its number from then on. */
  const once = (id: string, write: () => void) => {
    const number = shared.get(id);
    if (number !== undefined) return put(numbered("h", "j", number));
    write();
    shared.set(id, memoLength);
    memoize();
  };
  const putText = (value: string) => {
    const bytes = Buffer.from(value, "utf8");
    put(withUInt32("X", bytes.length));
    put(bytes);
  };
  const pickler: Pickler = {
    put,
    memoize,
    text(value) {
      putText(value);
      memoize();
    },
    constant: (value) => once(`constant ${value}`, () => putText(value)),
    global: (module, name) => once(`global ${module} ${name}`, () => put(`c${module}\n${name}\n`)),
    integer: (value) => put(integerOpcode(value)),
    tuple(values) {
      if (values.length === 0) return put(")"); // There is only one such tuple; it isn't memoized.
      if (values.length > 3) put("(");
      for (const value of values) pickler.integer(value);
      put(values.length > 3 ? "t" : Buffer.from([0x84 + values.length]));
      memoize();
    },
    bytes: () => Buffer.concat(parts),
  };
  return pickler;
}

/** An opcode with a number of one byte, or its long form with one of four. */
function numbered(short: string, long: string, number: number): Uint8Array {
  return number < 0x100 ? Buffer.of(short.charCodeAt(0), number) : withUInt32(long, number);
}

function withUInt32(opcode: string, value: number): Uint8Array {
  const bytes = Buffer.alloc(5, opcode, "latin1");
  bytes.writeUInt32LE(value, 1);
  return bytes;
}

/** BININT1, BININT2, BININT, or LONG1: little-endian, the highest bit is the sign, no byte too many. */
function integerOpcode(value: number): Uint8Array {
  if (value < 0x100) return Buffer.of(0x4b, value);
  if (value < 0x10000) return Buffer.of(0x4d, value & 0xff, value >> 8);
  if (value < 0x80000000) return withUInt32("J", value);
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.push(rest % 256);
  if ((bytes.at(-1) as number) >= 0x80) bytes.push(0);
  return Buffer.of(0x8a, bytes.length, ...bytes);
}
