import { ApplyDeltaError } from "../../errors.js";
import { elementCount } from "../../tensor.js";
import type { LayoutEntry } from "../format.js";
import { STORAGE_TYPES } from "./values.js";

/** How many entries of a dict the pickler puts between a MARK and a SETITEMS (pickle.py, `_BATCHSIZE`). */
const BATCH_ENTRIES = 1000;

/**
 * The pickle of `{name: tensor, …}`, in the order given, byte for byte what Python's pickler makes in protocol 2 of
 * contiguous CPU tensors that share no storage, as in save_pretrained's shards (Python Lib/pickle.py; torch/_tensor.py
 * `_reduce_ex_internal`, torch/serialization.py `persistent_id`; transformers/modeling_utils.py `shard_checkpoint`).
 * The storage of a tensor is named by its number.
 */
export function pickleStateDict(tensors: readonly LayoutEntry[]): Uint8Array {
  const pickler = new Pickler();
  const putEntries = (start: number, end: number) => {
    for (const [i, tensor] of tensors.slice(start, end).entries()) {
      putEntry(pickler, tensor, String(start + i));
    }
  };
  pickler.put("\x80\x02}");
  pickler.memoize();
  if (tensors.length === 1) {
    putEntries(0, 1);
    pickler.put("s");
  } else if (tensors.length > 1) {
    // A last batch that is full has an empty one behind it, as the pickler's own loop leaves it.
    for (let start = 0; start <= tensors.length; start += BATCH_ENTRIES) {
      pickler.put("(");
      putEntries(start, start + BATCH_ENTRIES);
      pickler.put("u");
    }
  }
  pickler.put(".");
  return pickler.bytes();
}

function putEntry(pickler: Pickler, tensor: LayoutEntry, key: string): void {
  const { name, shape } = tensor;
  pickler.text(name);
  pickler.global("torch._utils", "_rebuild_tensor_v2");
  pickler.put("(");
  putStorage(pickler, storageTypeOf(tensor), key, elementCount(shape));
  pickler.integer(0); // The tensor starts where its storage does.
  pickler.tuple(shape);
  pickler.tuple(contiguousStrides(shape));
  pickler.put("\x89"); // requires_grad: False
  pickler.global("collections", "OrderedDict"); // No backward hooks.
  for (const made of [")R", "t", "R"]) {
    pickler.put(made);
    pickler.memoize();
  }
}

/** Errors: `unsupported-dtype`. */
function storageTypeOf({ name, dtype }: LayoutEntry): string {
  const type = STORAGE_TYPES.find(([stored]) => stored === dtype)?.[1];
  if (type !== undefined) return type;
  throw new ApplyDeltaError("unsupported-dtype", `A .bin file can't hold a tensor of ${dtype}.`, {
    tensor: name,
    expected: STORAGE_TYPES.map(([stored]) => stored).join(", "),
    got: dtype,
    hint: "Write safetensors: leave --format bin out.",
  });
}

/** The persistent id `("storage", type, key, "cpu", numel)`. */
function putStorage(pickler: Pickler, type: string, key: string, elements: number): void {
  pickler.put("(");
  pickler.constant("storage");
  pickler.global("torch", type);
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
class Pickler {
  readonly #parts: Uint8Array[] = [];
  readonly #shared = new Map<string, number>();
  #memoLength = 0;

  /** Each character is a byte. */
  put(opcodes: string): void {
    this.#parts.push(Buffer.from(opcodes, "latin1"));
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  /** Gives the object just made its number. */
  memoize(): void {
    this.#putNumbered("q", "r", this.#memoLength);
    this.#memoLength++;
  }

  /** An object of its own, even where one of the same text was written before. */
  text(value: string): void {
    this.#putText(value);
    this.memoize();
  }

  /** One and the same object, wherever it is used. */
  constant(value: string): void {
    this.#once(`constant ${value}`, () => this.#putText(value));
  }

  global(module: string, name: string): void {
    this.#once(`global ${module} ${name}`, () => this.put(`c${module}\n${name}\n`));
  }

  /** BININT1, BININT2, BININT, or LONG1: little-endian, the highest bit is the sign, no byte too many. */
  integer(value: number): void {
    if (value < 0x100) this.#putNumber("K", value, 1);
    else if (value < 0x10000) this.#putNumber("M", value, 2);
    else if (value < 0x80000000) this.#putNumber("J", value, 4);
    else {
      const byteLength = value < 2 ** 39 ? 5 : 6; // No tensor has 2^47 elements.
      this.put("\x8a");
      this.#putNumber(String.fromCharCode(byteLength), value, byteLength);
    }
  }

  tuple(values: readonly number[]): void {
    if (values.length > 3) this.put("(");
    for (const value of values) this.integer(value);
    this.put(")\x85\x86\x87"[values.length] ?? "t");
    if (values.length > 0) this.memoize(); // There is only one empty tuple.
  }

  /** Writes an object once, and its number from then on. */
  #once(id: string, write: () => void): void {
    const number = this.#shared.get(id);
    if (number !== undefined) {
      this.#putNumbered("h", "j", number);
      return;
    }
    write();
    this.#shared.set(id, this.#memoLength);
    this.memoize();
  }

  #putText(value: string): void {
    const bytes = Buffer.from(value, "utf8");
    this.#putNumber("X", bytes.length, 4);
    this.#parts.push(bytes);
  }

  /** An opcode with a number of one byte, or its long form with one of four. */
  #putNumbered(short: string, long: string, number: number): void {
    if (number < 0x100) this.#putNumber(short, number, 1);
    else this.#putNumber(long, number, 4);
  }

  #putNumber(opcode: string, value: number, byteLength: number): void {
    const bytes = Buffer.alloc(1 + byteLength, opcode, "latin1");
    bytes.writeUIntLE(value, 1, byteLength);
    this.#parts.push(bytes);
  }
}
